"""Edits of the users file, each of them whole and alone (`identity.files`).

The order of entries is kept; comments, and whatever else YAML does not mean, are lost. Every edit
raises UsersRefused if the file cannot be read or written, names nobody of that name, or would
hold something that a users file must not.
"""

import secrets
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from authgw.identity.files import alone, write_yaml
from authgw.identity.passwords import digest
from authgw.identity.users import User, UsersRefused, checked, load_users, mark

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
        UsersRefused: there is one of this name already.
    """

    def with_one_more(users: dict[str, User]) -> None:
        if user in users:
            raise UsersRefused(f"{user} is there already: choose another name")
        entry = {"password": password_hash, "groups": groups, "email": email, "name": name}
        users[user] = checked(user, entry)

    _edit(path, with_one_more)


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
        UsersRefused: the person has one, which still works.
    """

    def changed(entry: _Entry) -> None:
        if "totp" in entry:
            raise UsersRefused(f"{user} has a second factor: remove it first")
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
        UsersRefused: a program of this name has one already.
    """
    secret = _PREFIX + secrets.token_urlsafe(32)

    def changed(entry: _Entry) -> None:
        programs = entry.get("app_passwords", ())
        if any(one["name"] == name for one in programs):
            raise UsersRefused(f"{user} has an app password of this name: revoke it first")
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


def nobody(path: Path) -> str:
    """How to say that the file has no such person."""
    return f"{path}: nobody of this name is there: see `authgw user list`"


def _change(path: Path, user: str, change: Callable[[_Entry], object]) -> bool:
    def changed(users: dict[str, User]) -> None:
        if user not in users:
            raise UsersRefused(nobody(path))
        entry = _dumped(users[user])
        change(entry)
        users[user] = checked(user, entry)

    return _edit(path, changed)


def _edit(path: Path, change: Callable[[dict[str, User]], None]) -> bool:
    """Make a change to all entries; say whether anything is different."""
    try:
        with alone(path):
            users = load_users(path)
            before = dict(users)
            change(users)
            if users == before:
                return False
            write_yaml(path, {name: _dumped(entry) for name, entry in users.items()})
            return True
    except OSError as error:
        raise UsersRefused(f"{path}: {error.strerror}") from None


def _dumped(user: User) -> _Entry:
    return user.model_dump(exclude_defaults=True)
