"""The user directory: a snapshot of the users file, replaced as a whole when the file changes."""

import asyncio
import hashlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from authgw.core.rules import glob
from authgw.core.typed_text import comparison_key, typed_name
from authgw.core.users import AppPassword, User
from authgw.identity.passwords import DUMMY_HASH, decoy_like
from authgw.identity.users_file import (
    AppPasswordEntry,
    UserEntry,
    UsersFileError,
    alike_warnings,
    load_users,
    names_alike,
    permission_warnings,
    read_users,
)

# A file that was just modified may be incomplete, or be modified again within the same timestamp.
_MIN_AGE = 0.1  # seconds


@dataclass(frozen=True, slots=True)
class _Snapshot:
    """The users of the file and the indexes over them, as of a single read."""

    entries: Mapping[str, UserEntry]
    users: Mapping[str, User]
    names_by_key: Mapping[str, tuple[str, ...]]
    app_passwords: Mapping[str, AppPassword]
    hashes: tuple[str, ...]

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
            tuple(entry.password for entry in entries.values()),
        )


class WatchedUsersFile:
    """The users of a file; implements the user directory of `core.users`.

    Every method uses a single snapshot of the file; a reload replaces the snapshot atomically.
    """

    def __init__(self, path: Path, before: "WatchedUsersFile | None" = None) -> None:
        """Read the file; a missing file has no users, if `before` had no users either.

        Raises:
            UsersFileError: The file cannot be used.
        """
        self.path = path
        self.version = 0
        self._stamp = _stamp(path)
        previous = before._snapshot.entries if before else {}
        self._snapshot: _Snapshot = _Snapshot.of(_read(path, self._stamp, previous))

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

    def linked(self, issuer: str, account: str) -> User | None:
        """Return the user to whom this account of an identity provider is linked, or None."""
        return None

    def bound_name(self, issuer: str, account: str) -> str | None:
        """Return the name that is bound to this account of an identity provider, or None."""
        return None

    def binding(self, name: str) -> tuple[str, str] | None:
        """Return issuer and account to which a name like this one is bound, or None."""
        return None

    def is_blocked(self, source: str, account: str, sub: str) -> bool:
        """Return True if the account of this source, or the subject, is blocked."""
        return False

    def password_hash(self, sub: str) -> str | None:
        """Return the argon2id hash of the user's password, None if the user does not exist."""
        entry = self._snapshot.entries.get(sub)
        return entry.password if entry else None

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
        return decoy_like(entry.password if entry else substitute)

    def totp_secret(self, sub: str) -> str | None:
        """Return the base32 secret of the user's second factor, None if it is not set up."""
        entry = self._snapshot.entries.get(sub)
        return entry.totp.secret if entry and entry.totp else None

    def has_recovery(self, sub: str, digest: str) -> bool:
        """Return True if this is the digest of an unused recovery code of the user."""
        entry = self._snapshot.entries.get(sub)
        return bool(entry and entry.totp and digest in entry.totp.recovery)

    @property
    def warnings(self) -> tuple[str, ...]:
        """The warnings about the mode of the file and about similar names."""
        return (*permission_warnings(self.path), *alike_warnings(self.path, self._snapshot.entries))

    def reload_if_changed(self) -> str | None:
        """Read the file again if it has changed; not thread-safe.

        Returns:
            None if the file has not changed, or may still be being written. "" if it was read.
            Otherwise the reason why it cannot be used, once for each change: the previous users
            stay.
        """
        stamp = _stamp(self.path)
        if stamp == self._stamp or _is_recent(stamp):
            return None
        self._stamp = stamp
        try:
            self._snapshot = _Snapshot.of(_read(self.path, stamp, self._snapshot.entries))
        except UsersFileError as error:
            return str(error)
        # After the snapshot: readers read the version first (see `services.identify`).
        self.version += 1
        return ""


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


@dataclass(frozen=True, slots=True)
class _FileStatus:
    """The file status that detects a change; `changed` (ctime) covers mode and owner too."""

    modified: int
    changed: int
    size: int
    inode: int


def _stamp(path: Path) -> _FileStatus | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return _FileStatus(status.st_mtime_ns, status.st_ctime_ns, status.st_size, status.st_ino)


def _read(
    path: Path, stamp: _FileStatus | None, before: Mapping[str, UserEntry]
) -> Mapping[str, UserEntry]:
    if not before:
        return load_users(path)
    if stamp is not None and stamp.size == 0:
        # A full disk, or an editor that is still writing, leaves an empty file.
        raise UsersFileError(f"{path} is empty: restore it, or write {{}} for a file without users")
    return read_users(path)


def _is_recent(stamp: _FileStatus | None) -> bool:
    return stamp is not None and 0 <= time.time() - stamp.modified / 1e9 < _MIN_AGE


def _user(sub: str, entry: UserEntry) -> User:
    return User(
        sub=sub,
        groups=entry.groups,
        profile=entry.profile,
        disabled=entry.disabled,
        password_marks=entry.password_marks,
        has_totp=entry.totp is not None,
    )


def _app_password(sub: str, entry: AppPasswordEntry) -> AppPassword:
    expires_at = entry.expires.timestamp() if entry.expires else None
    return AppPassword(sub, entry.name, tuple(map(glob, entry.paths)), expires_at)
