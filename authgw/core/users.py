"""Users and app passwords as decisions need them; their secrets stay outside the core."""

import hashlib
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Protocol

from authgw.core.errors import SessionEndedError
from authgw.core.limits import MAX_NAME_LENGTH
from authgw.core.model import PROVIDER_PREFIX, AccessRequest, Principal
from authgw.core.paths import canonical_path
from authgw.core.patterns import PathPattern
from authgw.core.rules import is_inside
from authgw.core.sessions import Session
from authgw.core.typed_text import comparison_key

# The `source` of sessions that a user opened, and the `amr` values of RFC 8176 section 2.
USERS = "users"
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
    """An entry of the users file.

    `profile` are further claims, by name. `password_marks` identify the current password: a session
    that was opened with another password has a different mark. `has_totp` is True if a second
    factor is set up.

    A user logs in by password, or by an account of an identity provider that is linked to the
    entry, for each of which `link_marks` has a mark. An entry with the `source` `oidc:NAME` belongs
    to the `account` there: it holds second factors only, and may disable the account. `epoch` is a
    part of the link marks, and rises when all of them have to change.
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

    def has_mark_of(self, session: Session) -> bool:
        """Return True if the password or the link that opened the session is still valid.

        A previous version drops the account of a session, which then could not be checked any more.
        """
        if session.password_mark in self.password_marks:
            return True
        is_linked = session.password_mark in self.link_marks
        return is_linked and bool(session.issuer and session.account)


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
        """Return the user to whom this account of an identity provider is linked, or None."""

    def bound_name(self, issuer: str, account: str) -> str | None:
        """Return the name that is bound to this account of an identity provider, or None."""

    def binding(self, name: str) -> tuple[str, str] | None:
        """Return issuer and account to which a name like this one is bound, or None."""

    def is_blocked(self, source: str, account: str, sub: str) -> bool:
        """Return True if the account of this source, or the subject, is blocked.

        `source` is `oidc:NAME` for an account of an identity provider, also if it is linked.
        """


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

    def bound_name(self, issuer: str, account: str) -> str | None:
        """Return None."""
        return None

    def binding(self, name: str) -> tuple[str, str] | None:
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


def principal_of(session: Session, users: UserDirectory, *, provider: str = "") -> Principal:
    """Return the principal of a valid session.

    `provider` is the source of its account at an identity provider (`ProviderBounds.source_of`).
    The groups and profile of a user are the current values, not those at the login.

    Raises:
        SessionEndedError: the user was removed, was disabled or has another password or link; the
            account or the subject was blocked; the subject is now that of another source, or is
            bound to another account.
    """
    user = users.find(session.sub)
    source = provider or session.source
    if users.is_blocked(source, session.account, session.sub):
        raise SessionEndedError
    if session.source == USERS:
        return _principal_of_user(session, user)
    if session.source.startswith(PROVIDER_PREFIX):
        _check_account(session, users)
    if user is not None and not _is_own_entry(session, user):
        raise SessionEndedError
    principal = _principal(session, session.sub, session.groups, session.profile)
    if session.source.startswith(PROVIDER_PREFIX) and not (user and user.has_totp):
        return replace(principal, can_add_factor=False)
    return principal


def _check_account(session: Session, users: UserDirectory) -> None:
    """Raise SessionEndedError for a session without an account, or with the name of another."""
    account = (session.issuer, session.account)
    if not all(account) or users.binding(session.sub) not in (None, account):
        raise SessionEndedError


def _principal_of_user(session: Session, user: User | None) -> Principal:
    if user is None or user.disabled or user.source != USERS or not user.has_mark_of(session):
        raise SessionEndedError
    return _principal(session, user.sub, user.groups, user.profile)


def _is_own_entry(session: Session, user: User) -> bool:
    """Return True if an entry belongs to the account of this session, and does not disable it."""
    is_own = (user.source, user.account) == (session.source, session.account)
    return is_own and not user.disabled


def _principal(
    session: Session, sub: str, groups: tuple[str, ...], profile: Mapping[str, str]
) -> Principal:
    return Principal(
        sub,
        session.sid,
        groups,
        profile,
        has_second_factor(session),
        session.source,
        session.amr,
        session.proved_at,
    )


def has_second_factor(session: Session) -> bool:
    """Return True if the login proved two factors; trusted backends prove no factor.

    The `amr` of an account at an identity provider is the provider's: only the configured values of
    it count, and set `factor_time`.
    """
    if session.issuer:
        return session.factor_time > 0
    return session.source == USERS and TOTP in session.amr


def principal_of_app_password(sub: str, users: UserDirectory) -> Principal | None:
    """Return the principal of a user's app password, None if the user may not log in any more."""
    user = users.find(sub)
    if user is None or user.disabled or user.source != USERS or users.is_blocked(USERS, "", sub):
        return None
    return Principal(user.sub, "", user.groups, user.profile, source=USERS)


def is_header_safe(text: str) -> bool:
    """Return True if no character of this text is unsafe in an identity header."""
    return all(unicodedata.category(char) not in _UNSAFE_IN_HEADERS for char in text)
