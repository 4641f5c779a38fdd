"""The entry of a user in the users file, for the commands that read or change it."""

from collections.abc import Callable
from pathlib import Path

from authgw.config.loader import LoadedConfig
from authgw.core.errors import OperatorError
from authgw.identity import users_editor
from authgw.identity.user_entry import UserEntry
from authgw.identity.users_file import UsersFileError, find_name, load_users

EFFECT = "Takes effect within a second."

Read = Callable[[], LoadedConfig]


def users_path(loaded: LoadedConfig) -> Path:
    """Return the path of the users file."""
    return loaded.path(loaded.settings.auth.users)


def bindings_path(loaded: LoadedConfig) -> Path:
    """Return the path of the bindings."""
    return loaded.path(loaded.settings.auth.bindings)


def issuer_of(loaded: LoadedConfig, provider: str) -> str:
    """Return the issuer of a provider of the configuration.

    Raises:
        OperatorError: The configuration has no such provider.
    """
    providers = loaded.settings.login.providers
    if provider not in providers:
        names = ", ".join(providers)
        remedy = f"write one of {names}" if names else "add the section first"
        raise OperatorError(f"login.providers has no provider of this name: {remedy}")
    return providers[provider].effective_issuer


def entry_of(loaded: LoadedConfig, typed: str) -> tuple[str, UserEntry]:
    """Return the name and the entry of a user; the name as written in the file.

    Raises:
        UsersFileError: The file cannot be used, or has no such user.
    """
    path = users_path(loaded)
    users = load_users(path)
    name = find_name(users, typed)
    if name is None:
        raise UsersFileError(users_editor.unknown_user(path))
    return name, users[name]
