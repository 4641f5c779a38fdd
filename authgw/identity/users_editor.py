"""Edits of the users file, each of them atomic and exclusive (`files.atomic`).

The rest of the file stays as it is (`files.yaml_edit`). User names are matched as at login. Every
edit raises UsersFileError if the file cannot be read or written (UsersFileWriteError), if the user
does not exist, or if the new entry would not be valid.
"""

import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from authgw.core.limits import MAX_PASSWORD_MARKS
from authgw.core.typed_text import comparison_key
from authgw.core.users import APP_PASSWORD_PREFIX
from authgw.files.atomic import FileWriteError, exclusive_lock, read_bytes, write
from authgw.files.file_errors import file_error
from authgw.files.yaml_edit import YamlEditError, edited, removed
from authgw.identity.passwords import digest
from authgw.identity.user_entry import UserEntry, mark
from authgw.identity.users_file import (
    LinkTakenError,
    UsersFileError,
    UsersFileWriteError,
    decode_text,
    find_name,
    load_users,
    parse_users,
    validate_entry,
)

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
    """Append a user to the file; create the file if it does not exist.

    Raises:
        UsersFileError: A user of this or a similar name exists already.
    """

    def add_entry(users: dict[str, UserEntry]) -> tuple[str, UserEntry]:
        check_name_is_new(users, user)
        entry = {"password": password_hash, "groups": groups, "email": email, "name": name}
        return user, validate_entry(user, entry)

    _edit(path, add_entry)


def remove(path: Path, user: str) -> None:
    """Remove a user with all of its credentials; its sessions end."""

    def find_entry(users: dict[str, UserEntry]) -> tuple[str, None]:
        return _existing_name(path, users, user), None

    _edit(path, find_entry)


def set_profile(
    path: Path,
    user: str,
    *,
    groups: Sequence[str] | None = None,
    email: str | None = None,
    name: str | None = None,
) -> bool:
    """Set the values that are not None; return False if nothing changed. Sessions continue."""
    texts = {key: text for key, text in (("email", email), ("name", name)) if text is not None}

    def change_entry(entry: _Entry) -> None:
        entry.update(texts)
        if groups is not None:
            # Groups that stay keep their place in the file.
            kept = [group for group in entry.get("groups", ()) if group in groups]
            entry["groups"] = (*dict.fromkeys([*kept, *groups]),)

    return _change_user(path, user, change_entry)


def set_password(path: Path, user: str, password_hash: str) -> None:
    """Set the password of a user; its sessions end, those of linked accounts too."""

    def change_entry(entry: _Entry) -> None:
        entry["password"] = password_hash
        entry.pop("same_password", None)
        _raise_epoch(entry)

    _change_user(path, user, change_entry)


def rehash(path: Path, user: str, old_hash: str, new_hash: str) -> bool:
    """Replace `old_hash` by a new hash of the same password; sessions continue.

    Return False, and change nothing, if the file has another hash by now.
    """

    def change_entry(entry: _Entry) -> None:
        if entry.get("password") == old_hash:
            marks = entry.get("same_password", ())
            old_marks = marks if mark(old_hash) in marks else (mark(old_hash),)
            entry["password"] = new_hash
            entry["same_password"] = (*old_marks, mark(new_hash))[-MAX_PASSWORD_MARKS:]

    return _change_user(path, user, change_entry)


def set_disabled(path: Path, user: str, disabled: bool) -> bool:
    """Disable or enable a user; return False if nothing changed."""
    return _change_user(path, user, lambda entry: entry.update(disabled=disabled))


def set_totp(path: Path, user: str, secret: str, recovery: Iterable[str]) -> None:
    """Set up the second factor of a user; `recovery` are digests of recovery codes.

    Raises:
        UsersFileError: The user has a second factor already.
    """

    def change_entry(entry: _Entry) -> None:
        if "totp" in entry:
            raise UsersFileError(
                f"{user} has a second factor already: remove it first (`authgw user totp {user} "
                "--remove`)"
            )
        entry["totp"] = {"secret": secret, "recovery": tuple(recovery)}

    _change_user(path, user, change_entry)


def remove_totp(path: Path, user: str) -> bool:
    """Remove the second factor of a user; return False if the user has no second factor.

    Sessions of linked accounts end.
    """

    def change_entry(entry: _Entry) -> None:
        if entry.pop("totp", None) is not None:
            _raise_epoch(entry)

    return _change_user(path, user, change_entry)


def add_link(path: Path, user: str, issuer: str, account: str) -> bool:
    """Link an account of an identity provider to a user; return False if it is linked already.

    Raises:
        LinkTakenError: The account is linked to another user.
    """

    def change_entry(users: dict[str, UserEntry]) -> tuple[str, UserEntry]:
        name = _existing_name(path, users, user)
        link = {"issuer": issuer, "sub": account}
        _check_is_readable(name, users[name])
        owner = _owner_of(users, issuer, account)
        if owner not in (None, name):
            raise LinkTakenError(
                f"the account is linked to {owner} already: remove that link first (`authgw user "
                "unlink`)"
            )
        entry = _dump(users[name])
        if owner is None:
            entry["links"] = (*entry.get("links", ()), link)
        return name, validate_entry(name, entry)

    return _edit(path, change_entry)


def remove_links(path: Path, user: str, issuer: str) -> bool:
    """Remove the links of a user to accounts of this issuer; return False without such a link.

    Sessions of all linked accounts of this user end.
    """

    def change_entry(entry: _Entry) -> None:
        links = entry.get("links", ())
        kept = tuple(link for link in links if link["issuer"] != issuer)
        if kept != links:
            _raise_epoch(entry)
            entry["links"] = kept

    return _change_user(path, user, change_entry)


def spend_recovery(path: Path, user: str, digest: str) -> bool:
    """Remove a recovery code, so that it is used only once; return False if it does not exist."""

    def change_entry(entry: _Entry) -> None:
        totp = entry.get("totp", {})
        remaining = tuple(item for item in totp.get("recovery", ()) if item != digest)
        if totp:
            entry["totp"] = {**totp, "recovery": remaining}

    return _change_user(path, user, change_entry)


def add_app_password(
    path: Path,
    user: str,
    name: str,
    *,
    paths: Sequence[str] = (),
    expires: datetime | None = None,
) -> str:
    """Create and return an app password; the file contains only its SHA-256.

    Raises:
        UsersFileError: The user has an app password of this name already.
    """
    secret = APP_PASSWORD_PREFIX + secrets.token_urlsafe(32)

    def change_entry(entry: _Entry) -> None:
        app_passwords = entry.get("app_passwords", ())
        if any(item["name"] == name for item in app_passwords):
            raise UsersFileError(
                f"{user} has an app password of this name already: revoke it first, or choose "
                "another name"
            )
        new = {"name": name, "sha256": digest(secret), "paths": paths, "expires": expires}
        entry["app_passwords"] = (*app_passwords, new)

    _change_user(path, user, change_entry)
    return secret


def remove_app_password(path: Path, user: str, name: str) -> bool:
    """Revoke an app password; return False if it does not exist."""

    def change_entry(entry: _Entry) -> None:
        app_passwords = entry.get("app_passwords", ())
        entry["app_passwords"] = tuple(item for item in app_passwords if item["name"] != name)

    return _change_user(path, user, change_entry)


def check_name_is_new(users: Mapping[str, UserEntry], user: str) -> None:
    """Check that login can distinguish a new name from the existing names.

    Raises:
        UsersFileError: An entry of this or a similar name exists.
    """
    key = comparison_key(user)
    similar = next((name for name in users if comparison_key(name) == key), None)
    if similar is not None:
        raise UsersFileError(
            f"the user {similar} exists already: choose another name, or change this user with "
            "`authgw user set` and `authgw user passwd`"
        )


def unknown_user(path: Path) -> str:
    """Return the error message for a user that is not in the file."""
    return f"{path} has no user of this name: `authgw user list` shows all names"


def _raise_epoch(entry: _Entry) -> None:
    """Change the marks of all links; an entry that never had a link has no mark to change."""
    if entry.get("links") or "epoch" in entry:
        entry["epoch"] = entry.get("epoch", 0) + 1


def _owner_of(users: Mapping[str, UserEntry], issuer: str, account: str) -> str | None:
    accounts = {(link.issuer, link.sub): name for name in users for link in users[name].links}
    return accounts.get((issuer, account))


def _change_user(path: Path, user: str, change: Callable[[_Entry], object]) -> bool:
    def change_entry(users: dict[str, UserEntry]) -> tuple[str, UserEntry]:
        name = _existing_name(path, users, user)
        _check_is_readable(name, users[name])
        entry = _dump(users[name])
        change(entry)
        return name, validate_entry(name, entry)

    return _edit(path, change_entry)


def _check_is_readable(name: str, entry: UserEntry) -> None:
    if entry.unread:
        raise UsersFileError(
            f"the entry of {name} has a key that this version of authgw does not know, and cannot "
            "be changed: correct it with a text editor, or use the version that wrote it"
        )


def _existing_name(path: Path, users: Mapping[str, UserEntry], user: str) -> str:
    name = find_name(users, user)
    if name is None:
        raise UsersFileError(unknown_user(path))
    return name


def _edit(
    path: Path, change: Callable[[dict[str, UserEntry]], tuple[str, UserEntry | None]]
) -> bool:
    """Write the entry that `change` returns, or remove the entry if it returns None.

    Return True if the file has changed.
    """
    try:
        with exclusive_lock(path):
            users = load_users(path)
            name, entry = change(users)
            old = users.get(name)
            if old == entry:
                return False
            _write(path, name, old, entry, users)
            return True
    except FileWriteError as error:
        raise UsersFileWriteError(f"{path} cannot be written: {error.strerror}") from None
    except OSError as error:
        raise UsersFileError(file_error(path, error)) from None


def _write(
    path: Path,
    name: str,
    old: UserEntry | None,
    new: UserEntry | None,
    users: Mapping[str, UserEntry],
) -> None:
    text = decode_text(path, read_bytes(path)) if path.exists() else ""
    changed = {**users, name: new}
    intended = [(other, entry) for other, entry in changed.items() if entry is not None]
    try:
        old_values = None if old is None else _dump(old)
        if new is None:
            text = removed(text, name, old_values or {})
        else:
            text = edited(text, name, old_values, _dump(new))
        is_as_intended = list(parse_users(path, text).items()) == intended
    except (YamlEditError, UsersFileError):
        is_as_intended = False
    if not is_as_intended:
        # An anchor that several entries share, for example.
        raise UsersFileError(
            f"{path}: the entry of {name} has a form in which its change would change others: edit "
            "it with a text editor"
        )
    write(path, text.encode())


def _dump(user: UserEntry) -> _Entry:
    return user.model_dump(exclude_defaults=True)
