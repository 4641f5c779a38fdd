"""Edits of the users file and of the bindings by users who log in at providers."""

import asyncio
import os

from authgw.core.errors import (
    ProviderRefusedError,
    ProviderUnavailableError,
    UsersFileUnwritableError,
)
from authgw.identity.bindings_file import BindingsFileError, BindingTakenError
from authgw.identity.users_file import LinkTakenError, UsersFileError
from authgw.identity.users_watcher import WatchedUsersFile


class FileBindings:
    """Bindings in a file that replicas share; see `login.NameBindings`."""

    def __init__(self, users: WatchedUsersFile) -> None:
        self._users = users

    async def bind(self, name: str, issuer: str, account: str) -> None:
        """See `NameBindings.bind`."""
        try:
            await asyncio.to_thread(self._users.bind, name, issuer, account)
        except BindingTakenError as error:
            raise ProviderRefusedError(cause="name_bound", sub=name, note=str(error)) from None
        except BindingsFileError as error:
            raise ProviderUnavailableError(
                cause="bindings_unwritable", sub=name, note=str(error)
            ) from None


class FileLinks:
    """Accounts that are linked to users of the users file.

    Raises:
        UsersFileUnwritableError: from every change, if the file cannot be written.
    """

    def __init__(self, users: WatchedUsersFile) -> None:
        self._users = users

    @property
    def is_writable(self) -> bool:
        """True unless this process cannot replace the users file."""
        return os.access(self._users.path.parent, os.W_OK | os.X_OK)

    def issuers_of(self, sub: str) -> frozenset[str]:
        """Return the issuers of the accounts that are linked to a user."""
        return self._users.linked_issuers(sub)

    async def add(self, sub: str, issuer: str, account: str) -> None:
        """Link an account.

        Raises:
            ProviderRefusedError: it is linked to another user, maybe a moment ago by another
                replica.
        """
        try:
            await asyncio.to_thread(self._users.link, sub, issuer, account)
        except LinkTakenError as error:
            raise ProviderRefusedError(cause="account_taken", sub=sub, note=str(error)) from None
        except UsersFileError as error:
            raise UsersFileUnwritableError(sub=sub, note=f"a link: {error}") from None

    async def remove(self, sub: str, issuer: str) -> bool:
        """Remove the links to accounts of an issuer; return False without such a link."""
        try:
            return await asyncio.to_thread(self._users.unlink, sub, issuer)
        except UsersFileError as error:
            raise UsersFileUnwritableError(sub=sub, note=f"a link: {error}") from None
