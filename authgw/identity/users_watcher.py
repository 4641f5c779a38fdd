"""The users file as it is now: read again when it changes, all of it or nothing."""

import asyncio
import hashlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from authgw.core.rules import glob
from authgw.core.typed_text import comparison_key, typed_name
from authgw.core.users import AppPassword, User
from authgw.identity.passwords import DUMMY, decoy_like
from authgw.identity.users_file import (
    AppPasswordEntry,
    UserEntry,
    UsersFileError,
    alike_warnings,
    load_users,
    names_alike,
    read_users,
    warnings_of,
)

# A file that was just written may be half written, or be written again within the same tick.
_SETTLED = 0.1  # seconds


@dataclass(frozen=True, slots=True)
class _Snapshot:
    """Everything that one reading of the file said."""

    users: Mapping[str, UserEntry]
    people: Mapping[str, User]
    alike: Mapping[str, tuple[str, ...]]
    app_passwords: Mapping[str, AppPassword]
    hashes: tuple[str, ...]

    @classmethod
    def of(cls, users: Mapping[str, UserEntry]) -> "_Snapshot":
        return cls(
            users,
            {sub: _person(sub, user) for sub, user in users.items()},
            names_alike(users),
            {
                entry.sha256: _app_password(sub, entry)
                for sub, user in users.items()
                for entry in user.app_passwords
            },
            tuple(user.password for user in users.values()),
        )


class UsersFile:
    """The people of one file; implements core.people.People.

    Every method answers from one reading of the file; a new reading takes its place at once.
    """

    def __init__(self, path: Path, before: "UsersFile | None" = None) -> None:
        """Read the file; one that does not exist has nobody, if `before` had nobody either.

        Raises:
            UsersFileError: it cannot be used.
        """
        self.path = path
        self._seen = _stamp(path)
        known = before._now.users if before else {}
        self._now: _Snapshot = _Snapshot.of(_read(path, self._seen, known))

    @property
    def count(self) -> int:
        """Return the number of users."""
        return len(self._now.users)

    def find(self, sub: str) -> User | None:
        """The person of this name, None if there is none."""
        return self._now.people.get(sub)

    def resembles_user(self, sub: str) -> bool:
        """Whether an app could take this name for that of a person of the file."""
        return comparison_key(sub) in self._now.alike

    def name_of(self, typed: str) -> str:
        """The name of the person that was meant, as the file has it; else as it was typed.

        The exact spelling comes first, then any other one, unless it fits several people.
        """
        exact = typed_name(typed)
        if exact in self._now.users:
            return exact
        names = self._now.alike.get(comparison_key(typed), ())
        return names[0] if len(names) == 1 else exact

    def app_password(self, digest: str) -> AppPassword | None:
        """The app password whose SHA-256 (hexadecimal) this is."""
        return self._now.app_passwords.get(digest)

    def password_hash(self, sub: str) -> str | None:
        """The argon2id hash of this person's password, None if there is no such person."""
        user = self._now.users.get(sub)
        return user.password if user else None

    def decoy(self, sub: str) -> str:
        """A hash that no password fits, to verify for who is not there or must not log in.

        It takes as long as the person's own, or as that of one of the file's: always the same
        one for a name, so that hashes with old parameters give away nobody's absence.
        """
        now = self._now
        if not now.hashes:
            return DUMMY
        digest = hashlib.sha256(sub.encode("utf-8", "surrogatepass")).digest()
        other = now.hashes[int.from_bytes(digest, "big") % len(now.hashes)]
        user = now.users.get(sub)
        return decoy_like(user.password if user else other)

    def totp_secret(self, sub: str) -> str | None:
        """The base32 secret of this person's second factor, None without one."""
        user = self._now.users.get(sub)
        return user.totp.secret if user and user.totp else None

    def has_recovery(self, sub: str, digest: str) -> bool:
        """Whether this is the digest of a recovery code that this person has left."""
        user = self._now.users.get(sub)
        return bool(user and user.totp and digest in user.totp.recovery)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What is allowed and unwise about the file."""
        return (*warnings_of(self.path), *alike_warnings(self.path, self._now.users))

    def reload_if_changed(self) -> str | None:
        """Read the file again if it has changed; None if it has not, or is being written.

        Returns nothing ("") if it was read, else what is wrong with it, once for each change:
        then everyone stays as before. Not for two threads at once.
        """
        seen = _stamp(self.path)
        if seen == self._seen or _is_young(seen):
            return None
        self._seen = seen
        try:
            self._now = _Snapshot.of(_read(self.path, seen, self._now.users))
        except UsersFileError as error:
            return str(error)
        return ""


async def watch(
    current: Callable[[], UsersFile], *, every: float = 0.5, alarm: Callable[[str], None]
) -> None:
    """Look every so many seconds, for ever, and read the file beside the event loop.

    `current` says which one is in use. `alarm` is called after each change: with nothing ("")
    if all is well, else with what is wrong.
    """
    while True:
        await asyncio.sleep(every)
        users = current()
        try:
            said = await asyncio.to_thread(users.reload_if_changed)
        except Exception as error:
            # A watch that ended would keep in whoever is disabled from now on.
            said = f"{users.path}: {type(error).__name__} while it was read"
        # One that was replaced meanwhile has nothing to say any more.
        if said is not None and users is current():
            alarm(said)


@dataclass(frozen=True, slots=True)
class _Stamp:
    """What differs once a file has changed; the change time also tells of its mode and owner."""

    modified: int
    changed: int
    size: int
    inode: int


def _stamp(path: Path) -> _Stamp | None:
    try:
        seen = path.stat()
    except OSError:
        return None
    return _Stamp(seen.st_mtime_ns, seen.st_ctime_ns, seen.st_size, seen.st_ino)


def _read(
    path: Path, seen: _Stamp | None, before: Mapping[str, UserEntry]
) -> Mapping[str, UserEntry]:
    if not before:
        return load_users(path)
    if seen is not None and seen.size == 0:
        # As a full disk leaves it, or an editor that has only begun.
        raise UsersFileError(f"{path}: is empty: write {{}} if nobody is meant")
    return read_users(path)


def _is_young(seen: _Stamp | None) -> bool:
    return seen is not None and 0 <= time.time() - seen.modified / 1e9 < _SETTLED


def _person(sub: str, user: UserEntry) -> User:
    return User(
        sub=sub,
        groups=user.groups,
        email=user.email,
        name=user.name,
        disabled=user.disabled,
        marks=user.marks,
        has_totp=user.totp is not None,
    )


def _app_password(sub: str, entry: AppPasswordEntry) -> AppPassword:
    expires_at = entry.expires.timestamp() if entry.expires else None
    return AppPassword(sub, entry.name, tuple(map(glob, entry.paths)), expires_at)
