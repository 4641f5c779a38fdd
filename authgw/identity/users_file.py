"""The users file (YAML): entries with password hash, second factor, groups and app passwords."""

import difflib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from authgw.core.errors import OperatorError
from authgw.core.limits import MAX_REPORTED_PROBLEMS
from authgw.core.typed_text import comparison_key, typed_name
from authgw.core.users import USERS
from authgw.files.atomic import read_bytes
from authgw.files.file_errors import file_error
from authgw.files.key_errors import key_text, value_error
from authgw.files.yaml_entries import Entry, YamlEntriesError, entries
from authgw.identity.user_entry import (
    AppPasswordEntry,
    LinkEntry,
    TotpEntry,
    UnreadKey,
    UserEntry,
    contradictions,
)
from authgw.identity.user_values import check_name


class UsersFileError(OperatorError):
    """Raised for an invalid users file or edit; the message has a line for each problem.

    A line has the place, the reason and the remedy, and never a value: it may be a secret.
    """


class UsersFileWriteError(UsersFileError):
    """Raised for a users file that this process cannot write; the message names the remedy."""


class LinkTakenError(UsersFileError):
    """Raised for an account that is linked to another user."""


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
        check_name(name, data.get("source", USERS))
        entry = UserEntry.model_validate(data)
    except ValidationError as error:
        problems = [_message(name, problem) for problem in _details(error)]
        raise UsersFileError("\n".join(problems)) from None
    except ValueError as error:
        raise UsersFileError(f"the name of this user {error}") from None
    problems = [f"{key_text((name, key))}: {text}" for key, text in contradictions(entry)]
    if problems:
        raise UsersFileError("\n".join(problems))
    return entry


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


def _alike_warnings(path: Path, users: Iterable[str]) -> tuple[str, ...]:
    """Return a warning for each set of names that differ only in case or in similar characters."""
    return tuple(
        f"{path}: the names {' and '.join(names)} differ only in case or in similar characters, "
        "which the next release refuses: keep one of them and rename the others"
        for names in names_alike(users).values()
        if len(names) > 1
    )


def entry_warnings(path: Path, users: Mapping[str, UserEntry]) -> tuple[str, ...]:
    """Return the warnings about similar names, and about keys that this version does not know."""
    return (*_alike_warnings(path, users), *_unread_warnings(path, users))


def _unread_warnings(path: Path, users: Mapping[str, UserEntry]) -> tuple[str, ...]:
    return tuple(
        f"{path}:{key.line}: {key.message.removesuffix('?')}? Until then {name} cannot log in; a "
        "newer version of authgw may have written the key"
        for name, entry in users.items()
        for key in entry.unread
    )


def _parse_entries(path: Path, text: str) -> dict[str, UserEntry]:
    users: dict[str, UserEntry] = {}
    problems: list[tuple[int, str]] = []
    taken = _Taken()
    for entry in entries(text):
        errors = entry.problems or tuple(_add_user(entry, users))
        problems += errors or taken.duplicates(entry, users[entry.name])
    if problems:
        raise UsersFileError(_report(path, problems))
    return users


def _add_user(entry: Entry, users: dict[str, UserEntry]) -> Iterator[tuple[int, str]]:
    data = entry.data
    try:
        check_name(entry.name, data.get("source", USERS) if isinstance(data, dict) else USERS)
        user = UserEntry.model_validate(data)
    except ValidationError as error:
        problems = _details(error)
        tolerated = [problem for problem in problems if _is_of_newer_version(problem)]
        incomplete = [problem for problem in problems if problem["type"] == "missing"]
        if tolerated and len(tolerated) + len(incomplete) == len(problems):
            users[entry.name] = _partly_read(entry, problems, tolerated)
            return
        for problem in problems:
            yield entry.line(problem["loc"]), _message(entry.name, problem)
        return
    except ValueError as error:
        yield entry.line(()), f"the name of this user {error}"
        return
    users[entry.name] = user
    for key, message in contradictions(user):
        yield entry.line((key,)), f"{key_text((entry.name, key))}: {message}"


def _partly_read(
    entry: Entry, problems: list[ErrorDetails], tolerated: list[ErrorDetails]
) -> UserEntry:
    """Return an entry without the keys that have a problem."""
    left_out = {problem["loc"][0] for problem in problems}
    data = {key: value for key, value in entry.data.items() if key not in left_out}
    unread = tuple(
        UnreadKey(
            _message(entry.name, problem),
            entry.data[problem["loc"][0]],
            entry.line(problem["loc"]),
        )
        for problem in tolerated
    )
    return UserEntry.partly_read(data, unread)


def _is_of_newer_version(problem: ErrorDetails) -> bool:
    """Return True for an unknown key, and for a source that only another version knows."""
    is_source = problem["loc"] == ("source",) and problem["type"] == "value_error"
    return is_source or problem["type"] == "extra_forbidden"


class _Taken:
    """Values of the entries read so far that no other entry may have."""

    def __init__(self) -> None:
        self._digests: set[str] = set()
        self._accounts: set[tuple[str, str | None]] = set()

    def duplicates(self, entry: Entry, user: UserEntry) -> Iterator[tuple[int, str]]:
        """Yield the duplicates of an entry, and remember its values."""
        names: set[str] = set()
        for number, item in enumerate(user.app_passwords):
            if item.sha256 in self._digests or item.name in names:
                yield self._duplicate(entry, "app_passwords", number)
            self._digests.add(item.sha256)
            names.add(item.name)
        for number, link in enumerate(user.links):
            if (link.issuer, link.sub) in self._accounts:
                yield self._duplicate(entry, "links", number)
            self._accounts.add((link.issuer, link.sub))
        if user.source != USERS:
            if (user.source, user.account) in self._accounts:
                yield self._duplicate(entry, "account")
            self._accounts.add((user.source, user.account))

    def _duplicate(self, entry: Entry, *path: str | int) -> tuple[int, str]:
        return entry.line(path), f"{key_text((entry.name, *path))}: is duplicated: remove one"


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
    "links": LinkEntry,
}


def _details(error: ValidationError) -> list[ErrorDetails]:
    return error.errors(include_input=False, include_url=False)


def _message(name: str, problem: ErrorDetails) -> str:
    path, kind = problem["loc"], problem["type"]
    if kind == "extra_forbidden":
        # The key is not repeated: if its colon is missing, it contains the value.
        return f"{key_text((name, *path[:-1]))}: unknown key: {_suggestion(path)}"
    message = _MESSAGES.get(kind) or value_error(kind, problem["msg"])
    return f"{key_text((name, *path))}: {message}"


def _suggestion(path: tuple[str | int, ...]) -> str:
    model = _MODELS.get(path[0], UserEntry) if len(path) > 1 else UserEntry
    close = difflib.get_close_matches(str(path[-1]), model.model_fields, 1)
    return f"did you mean {close[0]}?" if close else f"use {', '.join(model.model_fields)}"
