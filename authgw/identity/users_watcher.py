"""The user directory: snapshots of the users file and of the bindings, each replaced as a whole."""

import asyncio
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from authgw.core.rules import glob
from authgw.core.typed_text import comparison_key, typed_name
from authgw.core.users import AppPassword, User
from authgw.identity import bindings_editor, users_editor
from authgw.identity.bindings_file import (
    BLOCKED_NAME,
    Account,
    Bindings,
    BindingsFileError,
    BindingTakenError,
    load_bindings,
    read_bindings,
)
from authgw.identity.passwords import DUMMY_HASH, decoy_like
from authgw.identity.user_entry import AppPasswordEntry, UserEntry
from authgw.identity.users_file import (
    UsersFileError,
    entry_warnings,
    load_users,
    names_alike,
    permission_warnings,
    read_users,
)
from authgw.identity.watched_file import WatchedFile


@dataclass(frozen=True, slots=True)
class _Snapshot:
    """The users of the file and the indexes over them, as of a single read."""

    entries: Mapping[str, UserEntry]
    users: Mapping[str, User]
    names_by_key: Mapping[str, tuple[str, ...]]
    app_passwords: Mapping[str, AppPassword]
    hashes: tuple[str, ...]
    names_by_link: Mapping[tuple[str, str], str]

    def __bool__(self) -> bool:
        return bool(self.entries)

    @classmethod
    def of(cls, entries: Mapping[str, UserEntry]) -> "_Snapshot":
        return cls(
            entries,
            {sub: _user(sub, entry) for sub, entry in entries.items()},
            names_alike(entries),
            {
                app_password.sha256: _app_password(sub, app_password)
                for sub, entry in entries.items()
                for app_password in entry.app_passwords
            },
            tuple(entry.password for entry in entries.values() if entry.password),
            {
                (link.issuer, link.sub): sub
                for sub, entry in entries.items()
                for link in entry.links
            },
        )


@dataclass(frozen=True, slots=True)
class _BindingsSnapshot:
    """The bindings of the file and the indexes over them, as of a single read."""

    bindings: Bindings
    accounts_by_key: Mapping[str, Account]
    names_by_account: Mapping[Account, str]
    blocked_accounts: frozenset[str]
    blocked_keys: frozenset[str]

    def __bool__(self) -> bool:
        return bool(self.bindings)

    @classmethod
    def of(cls, bindings: Bindings) -> "_BindingsSnapshot":
        names = bindings.names
        blocked_names = [
            text.removeprefix(BLOCKED_NAME)
            for text in bindings.blocked
            if text.startswith(BLOCKED_NAME)
        ]
        return cls(
            bindings,
            {comparison_key(name): account for name, account in names.items()},
            {account: name for name, account in names.items()},
            frozenset(bindings.blocked),
            frozenset(map(comparison_key, blocked_names)),
        )


class WatchedUsersFile:
    """The users of a file and the bindings; implements the user directory of `core.users`.

    Every method uses a single snapshot of a file; a reload replaces the snapshot atomically.
    """

    def __init__(
        self, path: Path, before: "WatchedUsersFile | None" = None, *, bindings: Path | None = None
    ) -> None:
        """Read the files; a missing file has no entries, if that of `before` had none either.

        Raises:
            UsersFileError, BindingsFileError: A file cannot be used.
        """
        self.path = path
        self.bindings_path = bindings or path.with_name("bindings.yml")
        self.version = 0
        self._users: WatchedFile[_Snapshot] = WatchedFile(
            path,
            lambda path: _Snapshot.of(load_users(path)),
            lambda path: _Snapshot.of(read_users(path)),
            before._snapshot if before else None,
            refusal=UsersFileError,
        )
        self._bindings: WatchedFile[_BindingsSnapshot] = WatchedFile(
            self.bindings_path,
            lambda path: _BindingsSnapshot.of(load_bindings(path)),
            lambda path: _BindingsSnapshot.of(read_bindings(path)),
            before._bindings.content if before else None,
            refusal=BindingsFileError,
        )

    @property
    def _snapshot(self) -> _Snapshot:
        return self._users.content

    @property
    def count(self) -> int:
        """The number of users."""
        return len(self._snapshot.entries)

    def find(self, sub: str) -> User | None:
        """Return the user of this name, None if it does not exist."""
        return self._snapshot.users.get(sub)

    def resembles_user(self, sub: str) -> bool:
        """Return True if an app could confuse this name with that of a user in the file."""
        return comparison_key(sub) in self._snapshot.names_by_key

    def name_of(self, typed: str) -> str:
        """Return the name of the user that a typed name refers to, else the typed name.

        The exact spelling is preferred, then a similar name, if there is exactly one.
        """
        exact = typed_name(typed)
        if exact in self._snapshot.entries:
            return exact
        names = self._snapshot.names_by_key.get(comparison_key(typed), ())
        return names[0] if len(names) == 1 else exact

    def app_password(self, digest: str) -> AppPassword | None:
        """Return the app password with this SHA-256 (hexadecimal), None if it does not exist."""
        return self._snapshot.app_passwords.get(digest)

    def password_hash(self, sub: str) -> str | None:
        """Return the argon2id hash of the user's password, None without a user or password."""
        entry = self._snapshot.entries.get(sub)
        return (entry.password or None) if entry else None

    def decoy(self, sub: str) -> str:
        """Return a hash that matches no password, for users that are missing or disabled.

        Its verification takes as long as that of the user's own hash, or else of a hash in the
        file that depends on the name only, so that hashes with old parameters do not reveal which
        users exist.
        """
        snapshot = self._snapshot
        if not snapshot.hashes:
            return DUMMY_HASH
        digest = hashlib.sha256(sub.encode("utf-8", "surrogatepass")).digest()
        substitute = snapshot.hashes[int.from_bytes(digest, "big") % len(snapshot.hashes)]
        entry = snapshot.entries.get(sub)
        return decoy_like((entry.password if entry else "") or substitute)

    def totp_secret(self, sub: str) -> str | None:
        """Return the base32 secret of the user's second factor, None if it is not set up."""
        entry = self._snapshot.entries.get(sub)
        return entry.totp.secret if entry and entry.totp else None

    def has_recovery(self, sub: str, digest: str) -> bool:
        """Return True if this is the digest of an unused recovery code of the user."""
        entry = self._snapshot.entries.get(sub)
        return bool(entry and entry.totp and digest in entry.totp.recovery)

    def linked(self, issuer: str, account: str) -> User | None:
        """Return the user that this account of an identity provider is linked to, or None."""
        snapshot = self._snapshot
        sub = snapshot.names_by_link.get((issuer, account))
        return None if sub is None else snapshot.users[sub]

    def binding(self, name: str) -> tuple[str, str] | None:
        """Return the issuer and account that a name, or a similar name, is bound to, or None."""
        return self._bindings.content.accounts_by_key.get(comparison_key(name))

    def bound_name(self, issuer: str, account: str) -> str | None:
        """Return the name that is bound to this account of an identity provider, or None."""
        return self._bindings.content.names_by_account.get(Account(issuer, account))

    def is_blocked(self, source: str, account: str, sub: str) -> bool:
        """Return True if the operator blocked this account of this source, or this subject."""
        bindings = self._bindings.content
        if not bindings.bindings.blocked:
            return False
        is_account = bool(account) and f"{source}/{account}" in bindings.blocked_accounts
        return is_account or comparison_key(sub) in bindings.blocked_keys

    def bind(self, name: str, issuer: str, account: str) -> None:
        """Bind a name to an account, for all replicas that share the file; blocks.

        The binding applies in this directory at once.

        Raises:
            BindingTakenError: The name belongs to a user or to another account, or the account is
                linked or has another name.
            BindingsFileError: The file cannot be read or written.
        """
        if self.resembles_user(name):
            raise BindingTakenError(f"the name {name} belongs to a user of {self.path}")
        owner = self.linked(issuer, account)
        if owner is not None:
            raise BindingTakenError(f"the account is linked to {owner.sub} already")
        bindings_editor.bind(self.bindings_path, name, Account(issuer, account))
        self._bindings.reload()
        self.version += 1

    def linked_issuers(self, sub: str) -> frozenset[str]:
        """Return the issuers of the accounts that are linked to a user."""
        entry = self._snapshot.entries.get(sub)
        return frozenset(link.issuer for link in entry.links) if entry else frozenset()

    def link(self, sub: str, issuer: str, account: str) -> None:
        """Link an account to a user; the link applies in this directory at once. Blocks.

        Raises:
            LinkTakenError: The account is linked to another user.
            UsersFileError: The file cannot be written.
        """
        try:
            users_editor.add_link(self.path, sub, issuer, account)
        finally:
            # Also after a refusal, which shows that the file has changed.
            self._users.reload()
        self.version += 1

    def unlink(self, sub: str, issuer: str) -> bool:
        """Remove a user's links to accounts of an issuer; return False without a link. Blocks.

        Raises:
            UsersFileError: The file cannot be written.
        """
        was_linked = users_editor.remove_links(self.path, sub, issuer)
        self._users.reload()
        self.version += 1
        return was_linked

    @property
    def warnings(self) -> tuple[str, ...]:
        """The warnings about the modes of the files, similar names and unknown keys."""
        return (
            *permission_warnings(self.path),
            *permission_warnings(self.bindings_path),
            *entry_warnings(self.path, self._snapshot.entries),
        )

    def reload_if_changed(self) -> str | None:
        """Read each file again if it has changed; not thread-safe.

        Returns:
            None if no file has changed, or a file may still be being written. "" if both can be
            used. Otherwise the reasons why not, once for each change: the previous entries stay.
        """
        changed = [file for file in (self._users, self._bindings) if file.reload_if_changed()]
        if not changed:
            return None
        if any(not file.problem for file in changed):
            # After the snapshot: readers read the version first (see `services.identify`).
            self.version += 1
        problems = [file.problem for file in (self._users, self._bindings) if file.problem]
        return "\n".join(problems)


async def watch(
    current: Callable[[], WatchedUsersFile], *, every: float = 0.5, alarm: Callable[[str], None]
) -> None:
    """Reload the users file when it changes, in a worker thread, until cancelled.

    Args:
        current: Returns the users file that is in use.
        every: The interval between checks in seconds.
        alarm: Called after each change, with "" or the reason why the file cannot be used.
    """
    while True:
        await asyncio.sleep(every)
        users = current()
        try:
            problem = await asyncio.to_thread(users.reload_if_changed)
        except Exception as error:
            # If this task ended, users that are disabled later would keep their access.
            problem = (
                f"{users.path} cannot be read ({type(error).__name__}): correct it, or restart"
            )
        # The result for a file that was replaced in the meantime is not reported.
        if problem is not None and users is current():
            alarm(problem)


def _user(sub: str, entry: UserEntry) -> User:
    return User(
        sub=sub,
        groups=entry.groups,
        profile=entry.profile,
        disabled=not entry.may_log_in,
        password_marks=entry.password_marks,
        has_totp=entry.totp is not None,
        source=entry.source,
        account=entry.account or "",
        link_marks=entry.link_marks,
        epoch=entry.epoch,
    )


def _app_password(sub: str, entry: AppPasswordEntry) -> AppPassword:
    expires_at = entry.expires.timestamp() if entry.expires else None
    return AppPassword(sub, entry.name, tuple(map(glob, entry.paths)), expires_at)
