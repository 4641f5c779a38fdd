"""Edits of the users file, each of them whole and alone (`identity.files`).

Whatever else is in the file stays as it is (`identity.yaml_edit`). Names are taken as at log-in.
Every edit raises UsersFileError if the file cannot be read or written (UsersFileWriteError), has no such
person, or would hold something that a users file must not.
"""

import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from authgw.core.typed_text import likeness
from authgw.files.atomic import FileWriteError, exclusive_lock, read_bytes, write
from authgw.files.yaml_edit import YamlEditError, edited
from authgw.identity.passwords import digest
from authgw.identity.users_file import (
    UserEntry,
    UsersFileError,
    UsersFileWriteError,
    checked,
    decoded,
    find_name,
    load_users,
    mark,
    parse_users,
)

_KEPT_MARKS = 4
_PREFIX = "agw_"  # lets scanners of source code find an app password that was committed

_Entry = dict[str, Any]


def add(
    path: Path,
    user: str,
    password_hash: str,
    *,
    groups: Sequence[str] = (),
    email: str = "",
    name: str = "",
) -> None:
    """Add a person, last in the file; it is made if there is none.

    Raises:
        UsersFileError: there is one of this name already.
    """

    def added(users: dict[str, UserEntry]) -> tuple[str, UserEntry]:
        refuse_second(users, user)
        entry = {"password": password_hash, "groups": groups, "email": email, "name": name}
        return user, checked(user, entry)

    _edit(path, added)


def set_password(path: Path, user: str, password_hash: str) -> None:
    """Give a person another password; sessions opened with the old one end."""

    def changed(entry: _Entry) -> None:
        entry["password"] = password_hash
        entry.pop("same_password", None)

    _change(path, user, changed)


def rehash(path: Path, user: str, old_hash: str, new_hash: str) -> bool:
    """Put a newer hash of the same password in the place of `old_hash`; sessions go on.

    False if the file holds another hash by now, which then stays.
    """

    def changed(entry: _Entry) -> None:
        if entry["password"] == old_hash:
            marks = entry.get("same_password", ())
            known = marks if mark(old_hash) in marks else (mark(old_hash),)
            entry["password"] = new_hash
            entry["same_password"] = (*known, mark(new_hash))[-_KEPT_MARKS:]

    return _change(path, user, changed)


def set_disabled(path: Path, user: str, disabled: bool) -> bool:
    """Let a person in no more, or again; False if it was so already."""
    return _change(path, user, lambda entry: entry.update(disabled=disabled))


def set_totp(path: Path, user: str, secret: str, recovery: Iterable[str]) -> None:
    """Ask a person for a second factor; `recovery` are digests of recovery codes.

    Raises:
        UsersFileError: the person has one, which still works.
    """

    def changed(entry: _Entry) -> None:
        if "totp" in entry:
            raise UsersFileError(f"{user} has a second factor: remove it first")
        entry["totp"] = {"secret": secret, "recovery": tuple(recovery)}

    _change(path, user, changed)


def remove_totp(path: Path, user: str) -> bool:
    """Ask a person for no second factor any more; False if there is none."""
    return _change(path, user, lambda entry: entry.pop("totp", None))


def spend_recovery(path: Path, user: str, digest: str) -> bool:
    """Remove a recovery code; False if it is not there, so that each opens once."""

    def changed(entry: _Entry) -> None:
        totp = entry.get("totp", {})
        left = tuple(one for one in totp.get("recovery", ()) if one != digest)
        if totp:
            entry["totp"] = {**totp, "recovery": left}

    return _change(path, user, changed)


def add_app_password(
    path: Path,
    user: str,
    name: str,
    *,
    paths: Sequence[str] = (),
    expires: datetime | None = None,
) -> str:
    """Give a program a password of its own and return it; the file keeps its SHA-256 only.

    Raises:
        UsersFileError: a program of this name has one already.
    """
    secret = _PREFIX + secrets.token_urlsafe(32)

    def changed(entry: _Entry) -> None:
        programs = entry.get("app_passwords", ())
        if any(one["name"] == name for one in programs):
            raise UsersFileError(f"{user} has an app password of this name: revoke it first")
        new = {"name": name, "sha256": digest(secret), "paths": paths, "expires": expires}
        entry["app_passwords"] = (*programs, new)

    _change(path, user, changed)
    return secret


def remove_app_password(path: Path, user: str, name: str) -> bool:
    """Revoke the password of a program; False if there is none."""

    def changed(entry: _Entry) -> None:
        programs = entry.get("app_passwords", ())
        entry["app_passwords"] = tuple(one for one in programs if one["name"] != name)

    return _change(path, user, changed)


def refuse_second(users: Mapping[str, UserEntry], user: str) -> None:
    """Refuse a new name that cannot be told from another one at log-in.

    Raises:
        UsersFileError: there is an entry of this or of a like name.
    """
    wanted = likeness(user)
    like = next((name for name in users if likeness(name) == wanted), None)
    if like is not None:
        raise UsersFileError(
            f"{like} is there already: `authgw user passwd` changes a password, "
            "another name adds another person"
        )


def nobody(path: Path) -> str:
    """How to say that the file has no such person."""
    return f"{path}: nobody of this name is there: see `authgw user list`"


def _change(path: Path, user: str, change: Callable[[_Entry], object]) -> bool:
    def changed(users: dict[str, UserEntry]) -> tuple[str, UserEntry]:
        name = find_name(users, user)
        if name is None:
            raise UsersFileError(nobody(path))
        entry = _dumped(users[name])
        change(entry)
        return name, checked(name, entry)

    return _edit(path, changed)


def _edit(path: Path, change: Callable[[dict[str, UserEntry]], tuple[str, UserEntry]]) -> bool:
    """Write the entry that `change` returns; say whether anything is different."""
    try:
        with exclusive_lock(path):
            users = load_users(path)
            name, entry = change(users)
            old = users.get(name)
            if old == entry:
                return False
            _write(path, name, old, {**users, name: entry})
            return True
    except FileWriteError as error:
        raise UsersFileWriteError(f"{path} cannot be written: {error.strerror}") from None
    except OSError as error:
        raise UsersFileError(f"{path}: {error.strerror}") from None


def _write(path: Path, name: str, old: UserEntry | None, users: dict[str, UserEntry]) -> None:
    text = decoded(path, read_bytes(path)) if path.exists() else ""
    try:
        before = None if old is None else _dumped(old)
        text = edited(text, name, before, _dumped(users[name]))
        as_wanted = list(parse_users(path, text).items()) == list(users.items())
    except (YamlEditError, UsersFileError):
        as_wanted = False
    if not as_wanted:
        # An anchor that several entries share, for example.
        raise UsersFileError(
            f"{path}: the entry of {name} is written so that it cannot be changed alone: "
            "edit it by hand"
        )
    write(path, text.encode())


def _dumped(user: UserEntry) -> _Entry:
    return user.model_dump(exclude_defaults=True)
