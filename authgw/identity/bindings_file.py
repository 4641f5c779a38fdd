"""Names that are bound to accounts of identity providers, and blocked accounts (`bindings.yml`).

A name that comes from a claim which its owner can change, such as an e-mail address, belongs for
ever to the first account that had it. An account is its issuer and `sub` there (OpenID Connect Core
section 5.7).
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from authgw.core.errors import OperatorError
from authgw.core.limits import MAX_REPORTED_PROBLEMS
from authgw.core.typed_text import comparison_key
from authgw.files.atomic import read_bytes
from authgw.files.file_errors import file_error
from authgw.files.key_errors import key_text, value_error
from authgw.files.yaml_entries import Entry, YamlEntriesError, entries
from authgw.identity.user_values import AccountId, IssuerUrl, check_subject, header_safe

BLOCKED_ACCOUNT = re.compile(r"oidc:(?P<provider>[a-z0-9-]+)/(?P<account>.+)")
BLOCKED_NAME = "name:"
_FORMS = "write oidc:NAME/SUB for an account, or name:SUBJECT"


class BindingsFileError(OperatorError):
    """Raised for an invalid file of bindings or edit; the message has a line for each problem."""


class BindingTakenError(BindingsFileError):
    """Raised if a name belongs to another account, or an account has another name."""


class Account(NamedTuple):
    """An account of an identity provider."""

    issuer: str
    sub: str


@dataclass(frozen=True, slots=True)
class Bindings:
    """Accounts by their names, and blocked accounts and names; no two names are similar."""

    names: Mapping[str, Account] = field(default_factory=dict)
    blocked: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        """Return True if the file has any content."""
        return bool(self.names or self.blocked)


class _BindingEntry(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)
    issuer: IssuerUrl
    sub: AccountId


_NAMES = TypeAdapter(dict[str, _BindingEntry])
_Problems = Iterator[tuple[int, str]]


def load_bindings(path: Path) -> Bindings:
    """Return the bindings of a file; a missing file has none.

    Raises:
        BindingsFileError: The file cannot be read, or an entry is not valid.
    """
    try:
        path.stat()
    except FileNotFoundError:
        return Bindings()
    except OSError as error:
        raise BindingsFileError(file_error(path, error)) from None
    return read_bindings(path)


def read_bindings(path: Path) -> Bindings:
    """Return the bindings of a file that must exist.

    Raises:
        BindingsFileError: The file does not exist or cannot be read, or an entry is not valid.
    """
    # Reading a pipe could block forever.
    if path.exists() and not path.is_file():
        raise BindingsFileError(f"{path} is not a regular file: name a file in auth.bindings")
    try:
        return parse_bindings(path, read_bytes(path).decode("utf-8"))
    except UnicodeDecodeError:
        raise BindingsFileError(f"{path} is not UTF-8 text: save it as UTF-8") from None
    except OSError as error:
        raise BindingsFileError(file_error(path, error)) from None


def parse_bindings(path: Path, text: str) -> Bindings:
    """Return the bindings of a text; `path` is for messages only.

    Raises:
        BindingsFileError: The text is not a YAML mapping with these keys, or a value is not valid.
    """
    names: dict[str, Account] = {}
    blocked: list[str] = []
    problems: list[tuple[int, str]] = []
    try:
        for entry in entries(text):
            problems += entry.problems or tuple(_read_part(entry, names, blocked))
    except YamlEntriesError as error:
        line = f":{error.line}" if error.line else ""
        raise BindingsFileError(f"{path}{line}: {error}") from None
    if problems:
        lines = [f"{path}:{line}: {message}" for line, message in sorted(problems)]
        raise BindingsFileError("\n".join(lines[:MAX_REPORTED_PROBLEMS]))
    return Bindings(names, tuple(blocked))


def similar_name(names: Iterable[str], name: str) -> str | None:
    """Return the name of these that an app could confuse with a name, or None."""
    key = comparison_key(name)
    return next((other for other in names if comparison_key(other) == key), None)


def check_blocked(text: str) -> None:
    """Check an entry of `blocked`.

    Raises:
        ValueError: It names no account and no subject; the message has the reason.
    """
    account = BLOCKED_ACCOUNT.fullmatch(text)
    name = text.removeprefix(BLOCKED_NAME) if text.startswith(BLOCKED_NAME) else ""
    if not account and not name:
        raise ValueError(f"names no account: {_FORMS}")
    if account:
        header_safe(account["account"])
    else:
        check_subject(name)


def _read_part(entry: Entry, names: dict[str, Account], blocked: list[str]) -> _Problems:
    if entry.name == "names":
        yield from _read_names(entry, names)
    elif entry.name == "blocked":
        yield from _read_blocked(entry, blocked)
    else:
        # The key is not repeated: if its colon is missing, it contains the value.
        yield entry.line(()), "unknown key: use names, blocked"


def _read_names(entry: Entry, names: dict[str, Account]) -> _Problems:
    data: Any = {} if entry.data is None else entry.data
    invalid = [*_invalid_names(entry, data)] if isinstance(data, dict) else []
    if invalid:
        yield from invalid
        return
    try:
        found = _NAMES.validate_python(data)
    except ValidationError as error:
        for problem in error.errors(include_input=False, include_url=False):
            yield entry.line(problem["loc"]), _message(problem)
        return
    keys: dict[str, str] = {}
    owners: dict[Account, str] = {}
    for name, value in found.items():
        account, line = Account(value.issuer, value.sub), entry.line((name,))
        other = keys.setdefault(comparison_key(name), name)
        if other != name:
            yield line, f"names.{name}: differs from {other} only in case or similar characters"
        owner = owners.setdefault(account, name)
        if owner != name:
            yield line, f"names.{name}: its account has the name {owner} already: remove one"
        names[name] = account


def _invalid_names(entry: Entry, names: Iterable[str]) -> _Problems:
    for name in names:
        try:
            check_subject(name)
        except ValueError as error:
            yield entry.line((name,)), f"a name {error}"


def _read_blocked(entry: Entry, blocked: list[str]) -> _Problems:
    values: Any = [] if entry.data is None else entry.data
    if not isinstance(values, list):
        yield entry.line(()), "blocked: must be a list: write it as [name:alice]"
        return
    for number, value in enumerate(values):
        try:
            check_blocked(value if isinstance(value, str) else "")
        except ValueError as error:
            yield entry.line((number,)), f"blocked[{number}]: {error}"
            continue
        if value in blocked:
            yield entry.line((number,)), f"blocked[{number}]: is duplicated: remove one"
        blocked.append(value)


_MESSAGES = {
    "model_type": "must be an account: write {issuer: URL, sub: TEXT}",
    "dict_type": "must be names: write NAME: {issuer: URL, sub: TEXT}",
    "string_type": "is not text: put it in quotes",
}


def _message(problem: ErrorDetails) -> str:
    path, kind = ("names", *problem["loc"]), problem["type"]
    if kind == "extra_forbidden":
        # The key is not repeated: if its colon is missing, it contains the value.
        return f"{key_text(path[:-1])}: unknown key: use issuer, sub"
    return f"{key_text(path)}: {_MESSAGES.get(kind) or value_error(kind, problem['msg'])}"
