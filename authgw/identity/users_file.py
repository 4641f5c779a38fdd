"""People, from a YAML file: who they are, what verifies them, which groups each is in."""

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
from authgw.core.rules import RuleError, glob
from authgw.core.typed_text import likeness, typed_name
from authgw.files.atomic import read_bytes
from authgw.files.yaml_entries import Entry, YamlEntriesError, entries
from authgw.identity.passwords import is_hash
from authgw.identity.totp import is_secret, secret_as_meant

_MOST_BYTES = 255
_MOST_GROUPS_BYTES = 4096
_MOST_PROBLEMS = 20
# Controls, surrogates, line and paragraph separators: no header can carry them safely.
_UNPRINTABLE = {"Cc", "Cs", "Zl", "Zp"}
_GROUP = re.compile(r"[A-Za-z0-9._:@/-]{1,64}")
_PROGRAM = re.compile(r"[A-Za-z0-9._@-]{1,64}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_MARK = re.compile(r"[0-9a-f]{16}")


class UsersFileError(OperatorError):
    """A users file, or an edit of one, that cannot be used; one line for each reason.

    A line says where, why and what to do, and never repeats a value: it may be a secret.
    """


class UsersFileWriteError(UsersFileError):
    """A users file that this process cannot write; the message says what to mount or to give."""


def _header_safe(text: str) -> str:
    if any(unicodedata.category(char) in _UNPRINTABLE for char in text):
        raise ValueError("holds a control character: remove it")
    if len(text.encode()) > _MOST_BYTES or text != text.strip():
        raise ValueError(f"must be at most {_MOST_BYTES} bytes without spaces at its edges")
    return text


def _groups_fit(groups: tuple[str, ...]) -> tuple[str, ...]:
    if sum(len(name) + 1 for name in groups) > _MOST_GROUPS_BYTES:
        raise ValueError(f"are over {_MOST_GROUPS_BYTES} bytes together: remove some")
    return groups


def _is_path(text: str) -> str:
    try:
        glob(text)
    except RuleError:
        raise ValueError("is no path as rules have it: write it decoded, such as /dav/**") from None
    return text


def _password_hash(text: str) -> str:
    if not is_hash(text):
        raise ValueError("is no argon2id hash: remove the entry and run `authgw user add`")
    return text


def _totp_secret(text: str) -> str:
    secret = secret_as_meant(text)
    if not is_secret(secret):
        raise ValueError("is no base32 of 128 bits or more: remove totp, run `authgw user totp`")
    return secret


def _shaped(pattern: re.Pattern[str], said: str) -> AfterValidator:
    def check(text: str) -> str:
        if not pattern.fullmatch(text):
            raise ValueError(said)
        return text

    return AfterValidator(check)


Group = Annotated[StrictStr, _shaped(_GROUP, "is no group: A-Z a-z 0-9 . _ : @ / - (1 to 64)")]
Program = Annotated[StrictStr, _shaped(_PROGRAM, "is no name: A-Z a-z 0-9 . _ @ - (1 to 64)")]
Sha256 = Annotated[StrictStr, _shaped(_SHA256, "is no SHA-256: 64 digits of 0-9 a-f")]
Mark = Annotated[StrictStr, _shaped(_MARK, "is no mark: 16 digits of 0-9 a-f")]
HeaderText = Annotated[StrictStr, AfterValidator(_header_safe)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    @model_validator(mode="before")
    @classmethod
    def _without_empty(cls, data: Any) -> Any:
        """Take a key without a value, such as `email:`, for absent."""
        if not isinstance(data, dict):
            return data
        optional = {name for name, field in cls.model_fields.items() if not field.is_required()}
        return {k: value for k, value in data.items() if value is not None or k not in optional}


class TotpEntry(_Part):
    """A second factor: its secret in base32, and the digests of the recovery codes left."""

    secret: Annotated[StrictStr, AfterValidator(_totp_secret), Field(repr=False)]
    recovery: Annotated[tuple[Sha256, ...], Field(repr=False)] = ()


class AppPasswordEntry(_Part):
    """A password of a program; no `paths` means every path, no `expires` never."""

    name: Program
    sha256: Annotated[Sha256, Field(repr=False)]
    paths: tuple[Annotated[StrictStr, AfterValidator(_is_path)], ...] = ()
    expires: Annotated[AwareDatetime, Strict()] | None = None


class UserEntry(_Part):
    """One entry; `password` is an argon2id hash, never the password.

    `same_password` are the marks of hashes that were made from the same password as this one.
    """

    password: Annotated[StrictStr, AfterValidator(_password_hash), Field(repr=False)]
    groups: Annotated[tuple[Group, ...], AfterValidator(_groups_fit)] = ()
    email: HeaderText = ""
    name: HeaderText = ""
    disabled: StrictBool = False
    totp: TotpEntry | None = None
    app_passwords: tuple[AppPasswordEntry, ...] = ()
    same_password: tuple[Mark, ...] = ()

    @property
    def marks(self) -> frozenset[str]:
        """The marks of sessions that were opened with the password of this entry."""
        current = mark(self.password)
        # A hash that was put in by hand is another password: the list does not know it.
        return frozenset({current, *(self.same_password if current in self.same_password else ())})


def mark(password_hash: str) -> str:
    """The 16 hexadecimal digits by which a session names the hash that it was opened with."""
    return hashlib.sha256(password_hash.encode()).hexdigest()[:16]


def check_name(name: str) -> None:
    """Accept a user name: 1 to 255 bytes, no control character, no `:`, composed (NFC).

    Raises:
        ValueError: it is none; the message says why.
    """
    if not name:
        raise ValueError("must not be empty")
    _header_safe(name)
    if ":" in name:
        raise ValueError("must be without `:`, which ends a user name in HTTP Basic (RFC 7617)")
    if unicodedata.normalize("NFC", name) != name:
        raise ValueError("is written with combining characters: write it composed (NFC)")


def find_name(users: Mapping[str, Any], typed: str) -> str | None:
    """Return the name of the entry that was meant, None if there is none.

    The exact spelling counts first, then likeness, unless several entries are like it.
    """
    exact = typed_name(typed)
    if exact in users:
        return exact
    names = names_alike(users).get(likeness(typed), ())
    return names[0] if len(names) == 1 else None


def names_alike(users: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Return the names of each likeness."""
    alike: dict[str, tuple[str, ...]] = {}
    for name in users:
        like = likeness(name)
        alike[like] = (*alike.get(like, ()), name)
    return alike


def checked(name: str, data: Mapping[str, Any]) -> UserEntry:
    """An entry made of these values.

    Raises:
        UsersFileError: they cannot be in a users file, under this name.
    """
    try:
        check_name(name)
        return UserEntry.model_validate(data)
    except ValidationError as error:
        raise UsersFileError("\n".join(said for _, said in _in_words(name, error))) from None
    except ValueError as error:
        raise UsersFileError(f"a user name {error}") from None


def load_users(path: Path) -> dict[str, UserEntry]:
    """Every user by name; nobody if there is no file.

    Raises:
        UsersFileError: it cannot be read, or an entry is not one; nothing of it is taken then.
    """
    try:
        path.stat()
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise UsersFileError(f"{path}: {error.strerror}") from None
    return read_users(path)


def read_users(path: Path) -> dict[str, UserEntry]:
    """Every user by name.

    Raises:
        UsersFileError: there is no such file, it cannot be read, or an entry is not one.
    """
    # To read a pipe could take for ever, and everybody who waits for it with it.
    if path.exists() and not path.is_file():
        raise UsersFileError(f"{path}: is no file")
    try:
        return parse_users(path, decoded(path, read_bytes(path)))
    except OSError as error:
        raise UsersFileError(f"{path}: {error.strerror}") from None


def decoded(path: Path, content: bytes) -> str:
    """Return the text of a users file with its line ends as they are.

    Raises:
        UsersFileError: it is not UTF-8.
    """
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        raise UsersFileError(f"{path}: is not UTF-8 text") from None


def parse_users(path: Path, text: str) -> dict[str, UserEntry]:
    """Return every user by name; `path` is for messages only.

    Raises:
        UsersFileError: it is not YAML of entries, or an entry is not valid.
    """
    try:
        return _taken(path, text)
    except YamlEntriesError as error:
        line = f":{error.line}" if error.line else ""
        raise UsersFileError(f"{path}{line}: {error}") from None


def warnings_of(path: Path) -> tuple[str, ...]:
    """What is allowed and unwise about a users file."""
    try:
        mode = path.stat().st_mode
    except OSError:
        return ()
    if not mode & 0o006:
        return ()
    how = "writable" if mode & 0o002 else "readable"
    return (f"{path} is {how} by everyone on this machine: chmod 600 {path}",)


def alike_warnings(path: Path, users: Iterable[str]) -> tuple[str, ...]:
    """Return a warning for each set of names that differ only in case or invisibly."""
    return tuple(
        f"{path}: {' and '.join(names)} differ only in case or in characters that look alike: "
        "each logs in by its exact spelling only, and the next release refuses the file: "
        "rename all but one of them"
        for names in names_alike(users).values()
        if len(names) > 1
    )


def _taken(path: Path, text: str) -> dict[str, UserEntry]:
    users: dict[str, UserEntry] = {}
    problems: list[tuple[int, str]] = []
    digests: set[str] = set()
    for entry in entries(text):
        said = entry.problems or tuple(_take(entry, users))
        problems += said or _twice(entry, users[entry.name], digests)
    if problems:
        raise UsersFileError(_report(path, problems))
    return users


def _take(entry: Entry, users: dict[str, UserEntry]) -> Iterator[tuple[int, str]]:
    try:
        check_name(entry.name)
        users[entry.name] = UserEntry.model_validate(entry.data)
    except ValidationError as error:
        for where, said in _in_words(entry.name, error):
            yield entry.line(where), said
    except ValueError as error:
        yield entry.line(()), f"a user name {error}"


def _twice(entry: Entry, user: UserEntry, digests: set[str]) -> Iterator[tuple[int, str]]:
    programs: set[str] = set()
    for number, one in enumerate(user.app_passwords):
        if one.sha256 in digests or one.name in programs:
            where = ("app_passwords", number)
            yield (
                entry.line(where),
                f"{entry.name}.app_passwords.{number}: stands twice: remove one",
            )
        digests.add(one.sha256)
        programs.add(one.name)


def _report(path: Path, problems: list[tuple[int, str]]) -> str:
    lines = [f"{path}:{line}: {said}" for line, said in sorted(problems)]
    more = len(lines) - _MOST_PROBLEMS
    return "\n".join([*lines[:_MOST_PROBLEMS], *([f"and {more} more"] if more > 0 else [])])


_WORDS = {
    "missing": "is missing: add it",
    "string_type": "is not text: put it in quotes",
    "bool_type": "must be true or false",
    "tuple_type": "must be a list, such as [users]",
    "model_type": "must be keys with values, such as `password:`",
    "datetime_type": "is no moment: write it as 2027-02-20T10:00:00Z, without quotes",
    "timezone_aware": "has no time zone: write it as 2027-02-20T10:00:00Z",
}
_PARTS: Mapping[str | int, type[BaseModel]] = {"totp": TotpEntry, "app_passwords": AppPasswordEntry}


def _in_words(name: str, error: ValidationError) -> Iterator[tuple[tuple[str | int, ...], str]]:
    for problem in error.errors(include_input=False, include_url=False):
        path = problem["loc"]
        if problem["type"] == "extra_forbidden":
            # The key is not repeated: with a colon forgotten it would be the value.
            place, said = path[:-1], f"an unknown key: {_meant(path)}"
        else:
            place = path
            said = _WORDS.get(problem["type"], problem["msg"].removeprefix("Value error, "))
        yield path, f"{'.'.join(map(str, (name, *place)))}: {said}"


def _meant(path: tuple[str | int, ...]) -> str:
    model = _PARTS.get(path[0], UserEntry) if len(path) > 1 else UserEntry
    near = difflib.get_close_matches(str(path[-1]), model.model_fields, 1)
    return f"did you mean {near[0]}?" if near else f"known are {', '.join(model.model_fields)}"
