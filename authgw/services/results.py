"""What the use cases take and what they lead to, as plain values."""

from dataclasses import dataclass, field

from authgw.core.model import Principal
from authgw.core.sessions import Device, Session
from authgw.core.tokens import Token
from authgw.core.users import USERS, User


@dataclass(frozen=True, slots=True)
class TokenPair:
    """What a log-in or refresh hands out; lifetimes in whole seconds from now.

    `displaced` are the sids of the subject's oldest sessions, ended by a log-in over the limit.
    """

    access: str = field(repr=False)
    refresh: str = field(repr=False)
    expires_in: int
    refresh_expires_in: int
    sid: str
    displaced: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class BrowserSession:
    """A browser's session and the token for its cookie, which lives `lifetime` seconds.

    `displaced` are the sids of the subject's oldest sessions, ended over the limit; `replaced`
    are the tokens of the browser's sessions from before that were ended.
    """

    session: Session
    token: str = field(repr=False)
    lifetime: int
    displaced: tuple[str, ...]
    replaced: tuple[Token, ...]


@dataclass(frozen=True, slots=True)
class LogoutResult:
    """Whose session was ended, by its token; `others` are the subject's that went along.

    `alive` is whether it had not ended before.
    """

    token: Token
    others: tuple[str, ...] = ()
    alive: bool = True


@dataclass(frozen=True, slots=True)
class Identity:
    """Whom a verified token of a live session stands for.

    `person` is the users file's entry that this rests on, None if there is none.
    """

    principal: Principal
    token: Token
    session: Session
    person: User | None


@dataclass(frozen=True, slots=True)
class LoginRequest:
    """A subject that was verified by someone, as the session will remember it.

    `amr` and `password_mark` are those of a person of the users file.
    """

    sub: str
    source: str
    user_id: int | None = None
    groups: tuple[str, ...] = ()
    email: str = ""
    name: str = ""
    client: Device = field(default_factory=Device)
    amr: tuple[str, ...] = ()
    password_mark: str = ""


@dataclass(frozen=True, slots=True)
class VerifiedLogin:
    """A person whose password, and perhaps code, was right."""

    person: User
    mark: str
    amr: tuple[str, ...]

    def login(self, client: Device) -> LoginRequest:
        """The log-in that a session remembers."""
        return LoginRequest(
            sub=self.person.sub,
            source=USERS,
            groups=self.person.groups,
            email=self.person.email,
            name=self.person.name,
            client=client,
            amr=self.amr,
            password_mark=self.mark,
        )
