"""Users and app passwords as decisions need them; their secrets stay outside the core."""

import hashlib
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from authgw.core.errors import SessionEndedError
from authgw.core.limits import MAX_NAME_LENGTH
from authgw.core.model import AccessRequest, Principal
from authgw.core.paths import canonical_path
from authgw.core.patterns import PathPattern
from authgw.core.rules import is_inside
from authgw.core.sessions import Session
from authgw.core.typed_text import comparison_key

# The `source` of sessions that a user opened, and the `amr` values of RFC 8176 section 2.
USERS = "users"
# Begins the `source` of sessions that a login at an identity provider opened; its name follows.
PROVIDER_PREFIX = "oidc:"
# Distinguishes an app password from a token; secret scanners find it in committed source code.
APP_PASSWORD_PREFIX = "agw_"  # noqa: S105  a prefix, not a password
PASSWORD = "pwd"  # noqa: S105  name of an authentication method
TOTP = "otp"
GROUP_NAME = re.compile(rf"[A-Za-z0-9._:@/-]{{1,{MAX_NAME_LENGTH}}}")
GROUP_CHARACTERS = f"write 1 to {MAX_NAME_LENGTH} of A-Z a-z 0-9 . _ : @ / -"
# Controls, surrogates, line and paragraph separators: not safe in a header.
_UNSAFE_IN_HEADERS = {"Cc", "Cs", "Zl", "Zp"}


@dataclass(frozen=True, slots=True)
class User:
    """A user of the users file.

    `profile` are further claims, by name. `password_marks` identify the current password: a session
    that was opened with another password has a different mark. `has_totp` is True if a second
    factor is set up.

    `source` is that of the sessions of this name. Other sources than `users` also state the
    `account` (`sub` at the identity provider) that the name belongs to. `link_marks` identify the
    linked accounts; `epoch` is a part of these marks, and rises when all of them have to change.
    """

    sub: str
    groups: tuple[str, ...]
    profile: Mapping[str, str]
    disabled: bool
    password_marks: frozenset[str]
    has_totp: bool
    source: str = USERS
    account: str = ""
    link_marks: frozenset[str] = frozenset()
    epoch: int = 0


@dataclass(frozen=True, slots=True)
class AppPassword:
    """App password of a user, for a single program.

    `expires_at` is in Unix seconds, None means never. Without `paths` it is valid for every path.
    """

    sub: str
    name: str
    paths: tuple[PathPattern, ...]
    expires_at: float | None

    def belongs_to(self, user: str | None) -> bool:
        """Return True if it belongs to this user, in any spelling; None is any user."""
        return user is None or comparison_key(user) == comparison_key(self.sub)

    def has_expired(self, now: float) -> bool:
        """Return True if it is not valid at `now` (Unix seconds) or later."""
        return self.expires_at is not None and now >= self.expires_at

    def allows(self, access: AccessRequest, now: float) -> bool:
        """Return True if it is valid at `now` (Unix seconds) for all targets of this request.

        It is not valid for a path that servers could read as another path.
        """
        if self.has_expired(now):
            return False
        targets = (access.location, *(target.location for target in access.further))
        return not self.paths or all(self._covers(location.path) for location in targets)

    def _covers(self, raw: str) -> bool:
        path = canonical_path(raw)
        if path.ambiguities or not any(pattern.matches(path.text) for pattern in self.paths):
            return False
        return path.is_plain or is_inside(self.paths, path)


class UserDirectory(Protocol):
    """Current users and app passwords, from the sources that `app` configures.

    The users file (`identity.users_watcher`) is one source. Decisions look up users here alone.
    """

    @property
    def version(self) -> int:
        """Return a number that changes whenever users or app passwords may have changed."""

    def find(self, sub: str) -> User | None:
        """Return the user with this name, or None."""

    def resembles_user(self, sub: str) -> bool:
        """Return True if an app could confuse this name with that of a user."""

    def app_password(self, digest: str) -> AppPassword | None:
        """Return the app password with this SHA-256 digest (hexadecimal), or None."""

    def linked(self, issuer: str, account: str) -> User | None:
        """Return the user that this account of an identity provider is linked to, or None."""

    def binding(self, name: str) -> tuple[str, str] | None:
        """Return the issuer and account that a name, or a similar name, is bound to, or None."""

    def bound_name(self, issuer: str, account: str) -> str | None:
        """Return the name that is bound to this account of an identity provider, or None."""

    def is_blocked(self, source: str, account: str, sub: str) -> bool:
        """Return True if the operator blocked this account of this source, or this subject."""


class NoUsers:
    """Empty user directory of a gateway without a users file."""

    version = 0

    def find(self, sub: str) -> User | None:
        """Return None."""
        return None

    def resembles_user(self, sub: str) -> bool:
        """Return False."""
        return False

    def app_password(self, digest: str) -> AppPassword | None:
        """Return None."""
        return None

    def linked(self, issuer: str, account: str) -> User | None:
        """Return None."""
        return None

    def binding(self, name: str) -> tuple[str, str] | None:
        """Return None."""
        return None

    def bound_name(self, issuer: str, account: str) -> str | None:
        """Return None."""
        return None

    def is_blocked(self, source: str, account: str, sub: str) -> bool:
        """Return False."""
        return False


def link_mark(issuer: str, account: str, epoch: int) -> str:
    """Return the mark of sessions that were opened by a linked account.

    It depends on the `epoch` of the user, so that a raised epoch ends all of these sessions.
    """
    text = "\0".join(("oidc", issuer, account, str(epoch)))
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def principal_of(session: Session, user: User | None) -> Principal:
    """Return the principal of a valid session.

    `user` is the entry of the session's subject in the users file, or None. The groups and profile
    of a user are the current values, not those at the login.

    Raises:
        SessionEndedError: the user was removed, was disabled or has a new password, or a trusted
            backend opened the session for a subject that is the name of a user.
    """
    if session.source != USERS:
        if user is not None:
            raise SessionEndedError
        return Principal(session.sub, session.sid, session.groups, session.profile)
    if user is None or user.disabled or session.password_mark not in user.password_marks:
        raise SessionEndedError
    return Principal(user.sub, session.sid, user.groups, user.profile, TOTP in session.amr)


def principal_of_app_password(user: User | None) -> Principal | None:
    """Return the principal of an app password, or None if its user was removed or disabled."""
    if user is None or user.disabled:
        return None
    return Principal(user.sub, "", user.groups, user.profile)


def is_header_safe(text: str) -> bool:
    """Return True if no character of this text is unsafe in an identity header."""
    return all(unicodedata.category(char) not in _UNSAFE_IN_HEADERS for char in text)
