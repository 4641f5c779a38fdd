"""Arguments and results of the use cases, as plain values."""

from dataclasses import field, replace

from authgw.core.model import Principal
from authgw.core.sessions import Device, Session, Snapshot
from authgw.core.tokens import Token
from authgw.core.users import USERS, User
from authgw.core.value_type import value_type


@value_type()
class TokenPair:
    """Access and refresh token of a login or refresh; lifetimes in whole seconds from now.

    `displaced` are the sids of the subject's oldest sessions, ended by a login over the limit.
    """

    access: str = field(repr=False)
    refresh: str = field(repr=False)
    expires_in: int
    refresh_expires_in: int
    sid: str
    displaced: tuple[str, ...] = ()


@value_type()
class BrowserSession:
    """A browser session and the token for its cookie, which expires after `lifetime` seconds.

    `displaced` are the sids of the subject's oldest sessions, ended over the limit; `replaced`
    are the tokens of the browser's former sessions, which were ended.
    """

    session: Session
    token: str = field(repr=False)
    lifetime: int
    displaced: tuple[str, ...]
    replaced: tuple[Token, ...]


@value_type()
class LogoutResult:
    """A logout: the token of the session that was ended.

    `others` are the sids of the subject's other sessions that were ended with it; `was_active` is
    False if the session had already ended before.
    """

    token: Token
    others: tuple[str, ...] = ()
    was_active: bool = True


@value_type()
class Identity:
    """The principal of a verified token and an active session.

    The principal was derived from `session`, which is that of the `snapshot`, and from the user
    directory of `users_version`. It may be cached until `until`.
    """

    principal: Principal
    token: Token
    session: Session
    snapshot: Snapshot
    users_version: int
    until: float

    @property
    def validity(self) -> "Validity":
        """The conditions under which this identity is valid."""
        token, digest = self.token, self.snapshot.digest
        return Validity(token.sid, token.valid_until, digest, self.users_version, self.until)


@value_type()
class Validity:
    """The conditions under which an identity is valid, in little memory.

    The snapshot of the session has this digest, which is smaller than the record and of the same
    size for all sessions, the user directory has this version, and the time is before
    `valid_until`, in Unix seconds of this replica. `until`, in Unix seconds of the store's clock,
    is compared with the time at which the session was read: it is the end of the session or, less
    the greatest age of a read session, the time from which an identity provider matters.
    """

    sid: str
    valid_until: float
    session_digest: bytes
    users_version: int
    until: float


@value_type()
class LoginRequest:
    """A verified subject, with the properties that its new session stores.

    `source` names the verifier; `amr` and `password_mark` are set for users of the users file. The
    last fields are those of `sessions.Session`, for logins at identity providers; `ends_at` is the
    latest end of the session in Unix seconds, None without a limit of its own.
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
    auth_time: float = 0.0
    factor_time: float = 0.0
    issuer: str = ""
    account: str = ""
    idp_sid: str = ""
    checked_at: float = 0.0
    groups_from: str = ""
    ends_at: float | None = None

    @classmethod
    def of_session(cls, session: Session, client: Device) -> "LoginRequest":
        """Return the login by which this session was opened, from another device."""
        return cls(
            sub=session.sub,
            source=session.source,
            user_id=session.user_id,
            groups=session.groups,
            email=session.email,
            name=session.name,
            client=client,
            amr=session.amr,
            password_mark=session.password_mark,
            auth_time=session.proved_at,
            factor_time=session.factor_time,
            issuer=session.issuer,
            account=session.account,
            idp_sid=session.idp_sid,
            checked_at=session.checked_at,
            groups_from=session.groups_from,
        )


@value_type()
class VerifiedLogin:
    """A user whose password, and code if given, was correct; `mark` identifies the password.

    `auth_time` is the time of the oldest proof, `factor_time` that of the code, both in Unix
    seconds. `session` is the session to which a code was added.

    `pending` is a login at an identity provider that waits for a code, whose session will keep the
    `secret`; `ticket_id` is the id of its ticket.
    """

    user: User
    mark: str
    amr: tuple[str, ...]
    auth_time: float = 0.0
    factor_time: float = 0.0
    session: Session | None = None
    pending: LoginRequest | None = None
    secret: str = field(default="", repr=False)
    ticket_id: str = ""

    @property
    def began_with_password(self) -> bool:
        """Return True unless the first proof was an account at an identity provider."""
        return self.pending is None and not (self.session and self.session.issuer)

    def login(self, client: Device) -> LoginRequest:
        """Return the login from which a session for this device is opened."""
        if self.pending is not None:
            return replace(self.pending, client=client, amr=self.amr, factor_time=self.factor_time)
        if self.session is not None:
            known = LoginRequest.of_session(self.session, client)
            return replace(known, amr=self.amr, factor_time=self.factor_time)
        return LoginRequest(
            sub=self.user.sub,
            source=USERS,
            groups=self.user.groups,
            email=self.user.profile["email"],
            name=self.user.profile["name"],
            client=client,
            amr=self.amr,
            password_mark=self.mark,
            auth_time=self.auth_time,
            factor_time=self.factor_time,
        )
