"""Edits of the bindings, each of them atomic and exclusive (`files.atomic`).

The rest of the file stays as it is (`files.yaml_edit`). Every edit raises BindingsFileError if the
file cannot be read or written. Because an edit holds the lock of the file from reading to writing,
the first of several processes that bind a name wins.
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from authgw.files.atomic import FileWriteError, exclusive_lock, read_bytes, write
from authgw.files.file_errors import file_error
from authgw.files.yaml_edit import YamlEditError, edited
from authgw.identity.bindings_file import (
    Account,
    Bindings,
    BindingsFileError,
    BindingTakenError,
    check_blocked,
    load_bindings,
    parse_bindings,
    similar_name,
)
from authgw.identity.user_values import check_subject


def bind(path: Path, name: str, account: Account) -> bool:
    """Bind a name to an account; return False if it was bound to this account already.

    Raises:
        BindingTakenError: The name, or a similar name, belongs to another account, or the account
            has another name.
    """

    def change(bindings: Bindings) -> Bindings:
        bound = similar_name(bindings.names, name)
        if bound is not None and bindings.names[bound] != account:
            raise BindingTakenError(
                f"the name {bound} is bound to another account: release it first (`authgw user "
                f"binding release {bound}`), if that account must not have it any more"
            )
        own = next((other for other, owner in bindings.names.items() if owner == account), None)
        if own is not None and own != bound:
            raise BindingTakenError(
                f"the account is bound to the name {own}: release it first (`authgw user binding "
                f"release {own}`)"
            )
        if bound is not None:
            return bindings
        return replace(bindings, names={**bindings.names, name: account})

    _check(check_subject, name)
    return _edit(path, change)


def release(path: Path, name: str) -> str:
    """Release a name, or a similar name; return its spelling in the file.

    Raises:
        BindingsFileError: The name is not bound.
    """
    released: list[str] = []

    def change(bindings: Bindings) -> Bindings:
        bound = similar_name(bindings.names, name)
        if bound is None:
            raise BindingsFileError(
                f"{path} has no such name: `authgw user binding list` shows all names"
            )
        released.append(bound)
        names = {other: owner for other, owner in bindings.names.items() if other != bound}
        return replace(bindings, names=names)

    _edit(path, change)
    return released[0]


def block(path: Path, entry: str) -> bool:
    """Block an account or subject, as `oidc:NAME/SUB` or `name:SUBJECT`.

    Return False if it was blocked already.

    Raises:
        BindingsFileError: It has another form.
    """

    def change(bindings: Bindings) -> Bindings:
        if entry in bindings.blocked:
            return bindings
        return replace(bindings, blocked=(*bindings.blocked, entry))

    _check(check_blocked, entry)
    return _edit(path, change)


def unblock(path: Path, entry: str) -> bool:
    """Remove an account or subject from the blocked; return False if it was not blocked."""

    def change(bindings: Bindings) -> Bindings:
        blocked = tuple(other for other in bindings.blocked if other != entry)
        return replace(bindings, blocked=blocked)

    return _edit(path, change)


def _check(check: Callable[[str], None], text: str) -> None:
    try:
        check(text)
    except ValueError as error:
        raise BindingsFileError(f"the text {error}") from None


def _edit(path: Path, change: Callable[[Bindings], Bindings]) -> bool:
    """Write the bindings that `change` returns; return True if the file has changed."""
    try:
        with exclusive_lock(path):
            old = load_bindings(path)
            new = change(old)
            if new == old:
                return False
            _write(path, old, new)
            return True
    except FileWriteError as error:
        raise BindingsFileError(f"{path} cannot be written: {error.strerror}") from None
    except OSError as error:
        raise BindingsFileError(file_error(path, error)) from None


def _write(path: Path, old: Bindings, new: Bindings) -> None:
    text = read_bytes(path).decode() if path.exists() else ""
    try:
        for key, before, after in zip(_KEYS, _dump(old), _dump(new), strict=True):
            if before != after:
                text = edited(text, key, before or None, after)
        is_as_intended = parse_bindings(path, text) == new
    except (YamlEditError, BindingsFileError):
        is_as_intended = False
    if not is_as_intended:
        raise BindingsFileError(
            f"{path} has a form in which a change would change other entries: edit it with a text "
            "editor"
        )
    write(path, text.encode())


_KEYS = ("names", "blocked")


def _dump(bindings: Bindings) -> tuple[Any, Any]:
    """Return the values of the keys, as `yaml_edit` recognises them."""
    return {name: dict(account._asdict()) for name, account in bindings.names.items()}, (
        bindings.blocked
    )
