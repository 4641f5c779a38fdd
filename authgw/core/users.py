"""People of the users file, as decisions need them; their secrets stay outside the core."""

from dataclasses import dataclass
from typing import Protocol

from authgw.core.errors import SessionEndedError
from authgw.core.model import AccessRequest, Principal
from authgw.core.paths import canonical_path
from authgw.core.patterns import PathPattern
from authgw.core.rules import is_inside
from authgw.core.sessions import Session
from authgw.core.typed_text import likeness

# The `source` of sessions that a person opened, and the `amr` values of RFC 8176 section 2.
USERS = "users"
# How a program's password begins, so that it is told from a token.
APP_PASSWORD_PREFIX = "agw_"  # noqa: S105  what many begin with
PASSWORD = "pwd"  # noqa: S105  the name of a method
TOTP = "otp"


@dataclass(frozen=True, slots=True)
class User:
    """One entry of the users file.

    `marks` name the password: a session opened by another one has none of them. `has_totp` is
    whether a second factor is set up.
    """

    sub: str
    groups: tuple[str, ...]
    email: str
    name: str
    disabled: bool
    marks: frozenset[str]
    has_totp: bool


@dataclass(frozen=True, slots=True)
class AppPassword:
    """A password of one program of a person; `expires_at` in Unix seconds, None is never.

    No `paths` means every path.
    """

    sub: str
    name: str
    paths: tuple[PathPattern, ...]
    expires_at: float | None

    def belongs_to(self, user: str | None) -> bool:
        """Return whether it is this user's, in any spelling that logs in; None names nobody."""
        return user is None or likeness(user) == likeness(self.sub)

    def opens(self, access: AccessRequest, now: float) -> bool:
        """Return whether it is valid for all targets of this request.

        A path that could be read otherwise is outside.
        """
        if self.expires_at is not None and now >= self.expires_at:
            return False
        targets = (access.location, *(target.location for target in access.further))
        return not self.paths or all(self._covers(location.path) for location in targets)

    def _covers(self, raw: str) -> bool:
        path = canonical_path(raw)
        if path.ambiguities or not any(pattern.matches(path.text) for pattern in self.paths):
            return False
        return path.is_plain or is_inside(self.paths, path)


class UserDirectory(Protocol):
    """The users file as it is now."""

    def find(self, sub: str) -> User | None:
        """The person of this name, None if there is none."""

    def is_like_a_person(self, sub: str) -> bool:
        """Whether an app could take this name for that of a person."""

    def app_password(self, digest: str) -> AppPassword | None:
        """The app password whose SHA-256 (hexadecimal) this is."""


class NoUsers:
    """A gateway without a users file."""

    def find(self, sub: str) -> User | None:
        """Nobody."""
        return None

    def is_like_a_person(self, sub: str) -> bool:
        """No."""
        return False

    def app_password(self, digest: str) -> AppPassword | None:
        """None."""
        return None


def principal_of(session: Session, person: User | None) -> Principal:
    """Who a live session stands for; `person` is the users file's entry for its subject.

    Groups, email and name of a person are those of now, not those of the log-in.

    Raises:
        SessionEndedError: the person was removed or disabled or has another password since, or the
            session was opened by somebody else for a subject that is a person's.
    """
    if session.source != USERS:
        if person is not None:
            raise SessionEndedError
        known = (session.groups, session.email, session.name)
        return Principal(session.sub, session.sid, *known)
    if person is None or person.disabled or session.password_mark not in person.marks:
        raise SessionEndedError
    return Principal(
        person.sub, session.sid, person.groups, person.email, person.name, TOTP in session.amr
    )


def program_of(person: User | None) -> Principal | None:
    """Who an app password stands for; None for a person that was removed or disabled."""
    if person is None or person.disabled:
        return None
    return Principal(person.sub, "", person.groups, person.email, person.name)
