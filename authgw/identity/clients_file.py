"""Trusted backends: programs that open sessions for their own subjects.

The file contains only the SHA-256 of each secret. A secret has 256 random bits and cannot be
guessed, so a slow password hash would add nothing.
"""

import hmac
import re
import secrets
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails

from authgw.core.errors import OperatorError
from authgw.core.model import BACKEND_PREFIX
from authgw.core.networks import TrustedProxies, checked_entry
from authgw.core.typed_text import comparison_key
from authgw.core.value_type import value_type
from authgw.files.atomic import FileWriteError, exclusive_lock, read_bytes, write
from authgw.files.file_errors import file_error
from authgw.files.key_errors import key_text, value_error
from authgw.files.yaml_edit import YamlEditError, edited, removed
from authgw.files.yaml_entries import YamlEntriesError, entries
from authgw.identity.passwords import digest

_NOT_A_DIGEST = (
    "is not the SHA-256 of a secret: remove the entry and run `authgw client add`, which writes it"
)
_RESERVED = ("service", "client")
_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")


class BackendsFileError(OperatorError):
    """Raised for a clients file that must not be used; the message names the remedy."""


class BackendEntry(BaseModel):
    """An entry of the clients file; `networks` None allows every address.

    `excluded` are patterns of subjects that `subjects` does not include.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)
    secret_sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$", repr=False)]
    subjects: str | None = None
    excluded: Annotated[tuple[str, ...], Field(alias="except")] = ()
    groups: tuple[str, ...] = ()
    networks: Annotated[
        tuple[Annotated[str, AfterValidator(checked_entry)], ...] | None, Field(alias="from")
    ] = None


@value_type()
class TrustedBackend:
    """A trusted backend and its rights; `networks` None allows every address."""

    id: str
    subjects: str | None
    groups: tuple[str, ...]
    networks: TrustedProxies | None
    excluded: tuple[str, ...] = ()

    @property
    def source(self) -> str:
        """The `source` of the sessions that this backend opens."""
        return f"{BACKEND_PREFIX}{self.id}"

    def may_open(self, sub: str) -> bool:
        """Return True if the backend may open and list sessions of this subject."""
        if self.subjects is None or not fnmatchcase(sub, self.subjects):
            return False
        if not self.excluded:
            return True
        # By comparison_key: an app could confuse another spelling with an excluded subject.
        key = comparison_key(sub)
        return not any(fnmatchcase(key, comparison_key(pattern)) for pattern in self.excluded)

    def may_grant(self, group: str) -> bool:
        """Return True if the backend may put its subjects into this group."""
        return any(fnmatchcase(group, pattern) for pattern in self.groups)

    def may_connect_from(self, address: str) -> bool:
        """Return True if the backend may send requests from this address."""
        return self.networks is None or self.networks.trusts(address)


class TrustedBackends:
    """The trusted backends of a clients file."""

    def __init__(self, entries: Mapping[str, BackendEntry]) -> None:
        self._entries = dict(entries)

    @property
    def entries(self) -> Mapping[str, BackendEntry]:
        """The entries of the file by id."""
        return self._entries

    @property
    def ids(self) -> tuple[str, ...]:
        """The id of every backend."""
        return tuple(self._entries)

    def verify(self, client_id: str, secret: str) -> TrustedBackend | None:
        """Return the backend of this id if the secret is correct, else None."""
        entry = self._entries.get(client_id)
        expected = entry.secret_sha256 if entry else "0" * 64
        is_correct = hmac.compare_digest(digest(secret), expected)
        if entry is None or not is_correct:
            return None
        networks = None if entry.networks is None else TrustedProxies.parse(entry.networks)
        return TrustedBackend(client_id, entry.subjects, entry.groups, networks, entry.excluded)


def load_clients(path: Path) -> TrustedBackends:
    """Read a clients file; a missing file contains no backends.

    Raises:
        BackendsFileError: The file cannot be read, or its content is not valid.
    """
    return TrustedBackends(_read(path))


def is_reserved(sub: str, providers: Iterable[str]) -> bool:
    """Return True if a subject is in a name space that trusted backends may not use.

    Those are `service:`, `client:` and that of each identity provider, `NAME:`.
    """
    key = comparison_key(sub)
    return any(key.startswith(f"{name}:") for name in (*_RESERVED, *providers))


def unlimited_clients(path: Path, providers: Iterable[str]) -> Iterator[str]:
    """Yield a problem for each backend of any subject beside identity providers.

    Its subjects could have the names of their accounts.

    Raises:
        BackendsFileError: The file cannot be read, or its content is not valid.
    """
    if not [*providers]:
        return
    for name, entry in load_clients(path).entries.items():
        if set(entry.subjects or "") == {"*"} and not entry.excluded:
            yield (
                f"{path}: {name}.subjects is '*', which includes the names of accounts at "
                "login.providers: write a pattern such as 'shop-*', or exclude their names, as in "
                "except: ['*@example.com']"
            )


def add_client(path: Path, client_id: str, *, subjects: str | None, groups: tuple[str, ...]) -> str:
    """Add a backend and return its secret, which is not stored anywhere else.

    Raises:
        BackendsFileError: The id is malformed or taken, or the file cannot be read or written.
    """
    if not _ID.fullmatch(client_id):
        raise BackendsFileError(
            "the client id is not valid: write 1 to 64 letters, digits, `_` or `-`"
        )
    secret = secrets.token_urlsafe(32)
    with _editing(path) as backends:
        if client_id in backends:
            raise BackendsFileError(
                f"{path}: the client {client_id} exists already: choose another id, or make a new "
                "secret with `authgw client rotate`"
            )
        entry = BackendEntry(secret_sha256=digest(secret), subjects=subjects, groups=groups)
        _write(path, client_id, backends, entry)
    return secret


def rotate_client(path: Path, client_id: str) -> str:
    """Replace the secret of a backend and return the new secret; the old secret is not kept.

    Raises:
        BackendsFileError: The id is unknown, or the file cannot be read or written.
    """
    secret = secrets.token_urlsafe(32)
    with _editing(path) as backends:
        old = _existing(path, backends, client_id)
        new = old.model_copy(update={"secret_sha256": digest(secret)})
        _write(path, client_id, backends, new)
    return secret


def remove_client(path: Path, client_id: str) -> None:
    """Remove a backend; the sessions that it opened continue.

    Raises:
        BackendsFileError: The id is unknown, or the file cannot be read or written.
    """
    with _editing(path) as backends:
        _existing(path, backends, client_id)
        _write(path, client_id, backends, None)


def check_client_exists(path: Path, client_id: str) -> None:
    """Check that the file has a backend of this id.

    Raises:
        BackendsFileError: The id is unknown, or the file cannot be read.
    """
    _existing(path, _read(path), client_id)


@contextmanager
def _editing(path: Path) -> Iterator[dict[str, BackendEntry]]:
    """Lock the file and yield its entries; raise BackendsFileError for failures of the system."""
    try:
        with exclusive_lock(path):
            yield _read(path)
    except FileWriteError as error:
        raise BackendsFileError(f"{path} cannot be written: {error.strerror}") from None
    except OSError as error:
        raise BackendsFileError(file_error(path, error)) from None


def _existing(path: Path, backends: Mapping[str, BackendEntry], client_id: str) -> BackendEntry:
    if client_id not in backends:
        raise BackendsFileError(f"{path}: no such client: see `authgw client list`")
    return backends[client_id]


def _read(path: Path) -> dict[str, BackendEntry]:
    try:
        return _parse(path, _text(path))
    except OSError as error:
        raise BackendsFileError(file_error(path, error)) from None


def _text(path: Path) -> str:
    """Return the text of the file, or an empty text if the file does not exist."""
    try:
        return read_bytes(path).decode("utf-8")
    except FileNotFoundError:
        return ""
    except UnicodeDecodeError:
        raise BackendsFileError(f"{path} is not UTF-8 text: save it as UTF-8") from None


def _parse(path: Path, text: str) -> dict[str, BackendEntry]:
    try:
        return _parse_entries(path, text)
    except YamlEntriesError as error:
        line = f":{error.line}" if error.line else ""
        raise BackendsFileError(f"{path}{line}: {error}") from None


def _parse_entries(path: Path, text: str) -> dict[str, BackendEntry]:
    backends: dict[str, BackendEntry] = {}
    problems: list[tuple[int, str]] = []
    for entry in entries(text):
        problems += entry.problems
        try:
            backends[entry.name] = BackendEntry.model_validate(entry.data)
        except ValidationError as error:
            for problem in error.errors(include_input=False, include_url=False):
                problems.append((entry.line(problem["loc"]), _message(entry.name, problem)))
    if problems:
        lines = [f"{path}:{line}: {problem}" for line, problem in sorted(problems)]
        raise BackendsFileError("\n".join(lines))
    return backends


def _message(name: str, problem: ErrorDetails) -> str:
    path, kind = problem["loc"], problem["type"]
    if kind == "extra_forbidden":
        # The key is not repeated: if its colon is missing, it contains the value.
        keys = [field.alias or key for key, field in BackendEntry.model_fields.items()]
        return f"{name}: unknown key: use {', '.join(keys)}"
    if path == ("secret_sha256",):
        return f"{name}.secret_sha256: {_NOT_A_DIGEST}"
    return f"{key_text((name, *path))}: {value_error(kind, problem['msg'])}"


def _write(
    path: Path, client_id: str, backends: Mapping[str, BackendEntry], new: BackendEntry | None
) -> None:
    """Write `new` as the entry of this id, or remove the entry if it is None."""
    changed = {**backends, client_id: new}
    intended = {other: entry for other, entry in changed.items() if entry is not None}
    old = None if client_id not in backends else _dump(backends[client_id])
    try:
        text = _text(path)
        if new is None:
            text = removed(text, client_id, old or {})
        else:
            text = edited(text, client_id, old, _dump(new))
        is_as_intended = _parse(path, text) == intended
    except (YamlEditError, BackendsFileError):
        is_as_intended = False
    if not is_as_intended:
        raise BackendsFileError(
            f"{path} has a form in which a change of {client_id} would change other entries: edit "
            "the file with a text editor"
        )
    write(path, text.encode())


def _dump(entry: BackendEntry) -> dict[str, Any]:
    # Not as JSON: `yaml_edit` recognises lists by their type, tuple.
    return entry.model_dump(by_alias=True, exclude_defaults=True)
