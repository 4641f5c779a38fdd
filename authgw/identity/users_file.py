"""The users file (YAML): entries with password hash, second factor, groups and app passwords."""

import difflib
import hashlib
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    Strict,
    StrictBool,
    StrictStr,
    ValidationError,
    model_validator,
)

from authgw.core.errors import OperatorError
from authgw.core.limits import (
    MAX_GROUPS_BYTES,
    MAX_NAME_LENGTH,
    MAX_REPORTED_PROBLEMS,
    MAX_TEXT_BYTES,
)
from authgw.core.rules import RuleError, glob
from authgw.core.typed_text import comparison_key, typed_name
from authgw.core.users import GROUP_CHARACTERS, GROUP_NAME, is_header_safe
from authgw.files.atomic import read_bytes
from authgw.files.file_errors import file_error
from authgw.files.key_errors import key_text, value_error
from authgw.files.yaml_entries import Entry, YamlEntriesError, entries
from authgw.identity.passwords import is_hash
from authgw.identity.totp import canonical_secret, is_secret

_APP_PASSWORD_NAME = re.compile(rf"[A-Za-z0-9._@-]{{1,{MAX_NAME_LENGTH}}}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_MARK = re.compile(r"[0-9a-f]{16}")


class UsersFileError(OperatorError):
    """Raised for an invalid users file or edit; the message has a line for each problem.

    A line has the place, the reason and the remedy, and never a value: it may be a secret.
    """


class UsersFileWriteError(UsersFileError):
    """Raised for a users file that this process cannot write; the message names the remedy."""


def _header_safe(text: str) -> str:
    if not is_header_safe(text):
        raise ValueError("contains a control character: remove it")
    if len(text.encode()) > MAX_TEXT_BYTES or text != text.strip():
        raise ValueError(
            f"is too long, or begins or ends with a space: write at most {MAX_TEXT_BYTES} bytes"
        )
    return text


def _bounded_groups(groups: tuple[str, ...]) -> tuple[str, ...]:
    if sum(len(name) + 1 for name in groups) > MAX_GROUPS_BYTES:
        raise ValueError(f"have more than {MAX_GROUPS_BYTES} bytes together: remove some")
    return groups


def _path_pattern(text: str) -> str:
    try:
        glob(text)
    except RuleError:
        raise ValueError(
            "is not a path pattern as in rules: write it decoded, such as /dav/**"
        ) from None
    return text


def _password_hash(text: str) -> str:
    if not is_hash(text):
        raise ValueError("is not an argon2id hash: remove the entry and run `authgw user add`")
    return text


def _totp_secret(text: str) -> str:
    secret = canonical_secret(text)
    if not is_secret(secret):
        raise ValueError(
            "is not base32 of at least 128 bits: remove totp and run `authgw user totp`"
        )
    return secret


def _matching(pattern: re.Pattern[str], message: str) -> AfterValidator:
    def check(text: str) -> str:
        if not pattern.fullmatch(text):
            raise ValueError(message)
        return text

    return AfterValidator(check)


Group = Annotated[
    StrictStr, _matching(GROUP_NAME, f"is not a valid name of a group: {GROUP_CHARACTERS}")
]
AppPasswordName = Annotated[
    StrictStr,
    _matching(_APP_PASSWORD_NAME, "is not a valid name: write 1 to 64 of A-Z a-z 0-9 . _ @ -"),
]
Sha256 = Annotated[StrictStr, _matching(_SHA256, "is not a SHA-256: write 64 digits of 0-9 a-f")]
Mark = Annotated[
    StrictStr,
    _matching(_MARK, "is not the mark of a hash: write 16 digits of 0-9 a-f, or remove the key"),
]
HeaderText = Annotated[StrictStr, AfterValidator(_header_safe)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    @model_validator(mode="before")
    @classmethod
    def _without_empty(cls, data: Any) -> Any:
        """Treat an optional key without a value, such as `email:`, as absent."""
        if not isinstance(data, dict):
            return data
        optional = {name for name, field in cls.model_fields.items() if not field.is_required()}
        return {k: value for k, value in data.items() if value is not None or k not in optional}


class TotpEntry(_Part):
    """A second factor: its secret in base32, and the digests of the unused recovery codes."""

    secret: Annotated[StrictStr, AfterValidator(_totp_secret), Field(repr=False)]
    recovery: Annotated[tuple[Sha256, ...], Field(repr=False)] = ()


class AppPasswordEntry(_Part):
    """An app password; without `paths` it is valid for every path, without `expires` forever."""

    name: AppPasswordName
    sha256: Annotated[Sha256, Field(repr=False)]
    paths: tuple[Annotated[StrictStr, AfterValidator(_path_pattern)], ...] = ()
    expires: Annotated[AwareDatetime, Strict()] | None = None


class UserEntry(_Part):
    """An entry of the users file; `password` is an argon2id hash, never the password.

    `same_password` are the marks of hashes of the same password, this hash included.
    """

    password: Annotated[StrictStr, AfterValidator(_password_hash), Field(repr=False)]
    groups: Annotated[tuple[Group, ...], AfterValidator(_bounded_groups)] = ()
    email: HeaderText = ""
    name: HeaderText = ""
    disabled: StrictBool = False
    totp: TotpEntry | None = None
    app_passwords: tuple[AppPasswordEntry, ...] = ()
    same_password: tuple[Mark, ...] = ()

    @property
    def profile(self) -> dict[str, str]:
        """Claims besides the user's name and groups, by name."""
        return {"email": self.email, "name": self.name}

    @property
    def password_marks(self) -> frozenset[str]:
        """The marks of sessions that were opened with the password of this entry."""
        current = mark(self.password)
        # A hash that was set by hand is another password: the list does not contain its mark.
        return frozenset({current, *(self.same_password if current in self.same_password else ())})


def mark(password_hash: str) -> str:
    """Return the 16 hexadecimal digits by which a session identifies the hash of its login."""
    return hashlib.sha256(password_hash.encode()).hexdigest()[:16]


def check_name(name: str) -> None:
    """Check a user name: 1 to 255 bytes, no control character, no `:`, composed (NFC).

    Raises:
        ValueError: The name is not valid; the message has the reason.
    """
    if not name:
        raise ValueError("is empty: write a name")
    _header_safe(name)
    if ":" in name:
        raise ValueError("contains `:`, which ends a user name in HTTP Basic (RFC 7617): remove it")
    if unicodedata.normalize("NFC", name) != name:
        raise ValueError("contains combining characters: write it composed (NFC)")


def find_name(users: Mapping[str, Any], typed: str) -> str | None:
    """Return the name of the entry that a typed name refers to, None without such an entry.

    The exact spelling is preferred, then a similar name, if there is exactly one.
    """
    exact = typed_name(typed)
    if exact in users:
        return exact
    names = names_alike(users).get(comparison_key(typed), ())
    return names[0] if len(names) == 1 else None


def names_alike(users: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Return the names by their comparison key, which is equal for similar names."""
    alike: dict[str, tuple[str, ...]] = {}
    for name in users:
        key = comparison_key(name)
        alike[key] = (*alike.get(key, ()), name)
    return alike


def validate_entry(name: str, data: Mapping[str, Any]) -> UserEntry:
    """Return an entry of these values.

    Raises:
        UsersFileError: The name or a value is not valid in a users file.
    """
    try:
        check_name(name)
        return UserEntry.model_validate(data)
    except ValidationError as error:
        raise UsersFileError("\n".join(message for _, message in _describe(name, error))) from None
    except ValueError as error:
        raise UsersFileError(f"the name of this user {error}") from None


def load_users(path: Path) -> dict[str, UserEntry]:
    """Return every user by name; an empty dictionary if the file does not exist.

    Raises:
        UsersFileError: The file cannot be read, or an entry is not valid.
    """
    try:
        path.stat()
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise UsersFileError(file_error(path, error)) from None
    return read_users(path)


def read_users(path: Path) -> dict[str, UserEntry]:
    """Return every user by name.

    Raises:
        UsersFileError: The file does not exist or cannot be read, or an entry is not valid.
    """
    # Reading a pipe could block forever, and so could all requests that wait for the result.
    if path.exists() and not path.is_file():
        raise UsersFileError(f"{path} is not a regular file: name a file in auth.users")
    try:
        return parse_users(path, decode_text(path, read_bytes(path)))
    except OSError as error:
        raise UsersFileError(file_error(path, error)) from None


def decode_text(path: Path, content: bytes) -> str:
    """Return the text of a users file with its line ends unchanged.

    Raises:
        UsersFileError: The content is not UTF-8.
    """
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        raise UsersFileError(f"{path} is not UTF-8 text: save it as UTF-8") from None


def parse_users(path: Path, text: str) -> dict[str, UserEntry]:
    """Return every user by name; `path` is for messages only.

    Raises:
        UsersFileError: The text is not a YAML mapping of entries, or an entry is not valid.
    """
    try:
        return _parse_entries(path, text)
    except YamlEntriesError as error:
        line = f":{error.line}" if error.line else ""
        raise UsersFileError(f"{path}{line}: {error}") from None


def permission_warnings(path: Path) -> tuple[str, ...]:
    """Return a warning if the users file is accessible to everyone on this machine."""
    try:
        mode = path.stat().st_mode
    except OSError:
        return ()
    if not mode & 0o006:
        return ()
    access = "writable" if mode & 0o002 else "readable"
    return (f"{path} is {access} by every account of this machine: chmod 600 {path}",)


def alike_warnings(path: Path, users: Iterable[str]) -> tuple[str, ...]:
    """Return a warning for each set of names that differ only in case or in similar characters."""
    return tuple(
        f"{path}: the names {' and '.join(names)} differ only in case or in similar characters, "
        "which the next release refuses: keep one of them and rename the others"
        for names in names_alike(users).values()
        if len(names) > 1
    )


def _parse_entries(path: Path, text: str) -> dict[str, UserEntry]:
    users: dict[str, UserEntry] = {}
    problems: list[tuple[int, str]] = []
    digests: set[str] = set()
    for entry in entries(text):
        errors = entry.problems or tuple(_add_user(entry, users))
        problems += errors or _duplicates(entry, users[entry.name], digests)
    if problems:
        raise UsersFileError(_report(path, problems))
    return users


def _add_user(entry: Entry, users: dict[str, UserEntry]) -> Iterator[tuple[int, str]]:
    try:
        check_name(entry.name)
        users[entry.name] = UserEntry.model_validate(entry.data)
    except ValidationError as error:
        for where, message in _describe(entry.name, error):
            yield entry.line(where), message
    except ValueError as error:
        yield entry.line(()), f"the name of this user {error}"


def _duplicates(entry: Entry, user: UserEntry, digests: set[str]) -> Iterator[tuple[int, str]]:
    names: set[str] = set()
    for number, item in enumerate(user.app_passwords):
        if item.sha256 in digests or item.name in names:
            where = ("app_passwords", number)
            yield (
                entry.line(where),
                f"{entry.name}.app_passwords[{number}]: is duplicated: remove one",
            )
        digests.add(item.sha256)
        names.add(item.name)


def _report(path: Path, problems: list[tuple[int, str]]) -> str:
    lines = [f"{path}:{line}: {message}" for line, message in sorted(problems)]
    more = len(lines) - MAX_REPORTED_PROBLEMS
    return "\n".join([*lines[:MAX_REPORTED_PROBLEMS], *([f"and {more} more"] if more > 0 else [])])


_MESSAGES = {
    "string_type": "is not text: put it in quotes",
    "tuple_type": "must be a list: write it as [users]",
    "model_type": "must be a section: write keys such as `password:` below it",
    "datetime_type": "is not a point in time: write it as 2027-02-20T10:00:00Z, without quotes",
    "timezone_aware": "has no time zone: write it as 2027-02-20T10:00:00Z",
}
_MODELS: Mapping[str | int, type[BaseModel]] = {
    "totp": TotpEntry,
    "app_passwords": AppPasswordEntry,
}


def _describe(name: str, error: ValidationError) -> Iterator[tuple[tuple[str | int, ...], str]]:
    for problem in error.errors(include_input=False, include_url=False):
        path = problem["loc"]
        if problem["type"] == "extra_forbidden":
            # The key is not repeated: if its colon is missing, it contains the value.
            place, message = path[:-1], f"unknown key: {_suggestion(path)}"
        else:
            place = path
            kind = problem["type"]
            message = _MESSAGES.get(kind) or value_error(kind, problem["msg"])
        yield path, f"{key_text((name, *place))}: {message}"


def _suggestion(path: tuple[str | int, ...]) -> str:
    model = _MODELS.get(path[0], UserEntry) if len(path) > 1 else UserEntry
    close = difflib.get_close_matches(str(path[-1]), model.model_fields, 1)
    return f"did you mean {close[0]}?" if close else f"use {', '.join(model.model_fields)}"
