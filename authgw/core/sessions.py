"""Sessions (one login on one device each) and the rotation of their refresh tokens.

All functions are pure transitions: they take a record, the presented token and the store's own
`now`, and return a new record. A store commits it atomically (`ports.SessionStore`).
"""

import hashlib
import re
from dataclasses import field
from enum import Enum

from authgw.core.base64url import base64url
from authgw.core.errors import SessionEndedError
from authgw.core.value_type import replaced, value_type

_SID = re.compile(r"[A-Za-z0-9_-]{44}")
_HASH_LENGTH = 22


@value_type()
class Lifetimes:
    """Lifetimes of tokens and sessions in seconds (`auth.*` of the configuration)."""

    access: float
    refresh: float
    session_max: float
    refresh_grace: float


@value_type()
class Generation:
    """The current pair of tokens; times are Unix seconds."""

    access_jti: str
    refresh_jti: str
    iat: float
    access_exp: float
    refresh_exp: float


@value_type()
class Device:
    """The device of the login, as it was at that time."""

    user_agent: str = ""
    address: str = ""


@value_type(weakref_slot=True)
class Session:
    """A login on a device; times are Unix seconds of the store's clock.

    `source` names the opener. `confirmed` means that the client has the current generation,
    because it has no parent or one of its tokens was presented; the parent's refresh token is not
    expected again. `amr` lists the authentication methods (RFC 8176), `password_mark` identifies
    the password or the link that was used.

    `auth_time` is the time of the oldest proof of the login, `factor_time` that of its second
    factor; 0 stands for the creation, and for no second factor. A login at an identity provider
    has the `issuer`, the `account` there (`sub`) and its session `idp_sid`, if the provider names
    it. The provider confirmed the account at `checked_at`, and was last contacted at `tried_at`.
    `groups_from` is the response that contained the groups (`id_token` or `userinfo`), `sealed`
    the encrypted refresh token of the provider. A previous version drops these fields when it
    replaces a record, so an absent field has the strictest meaning.
    """

    sid: str
    sub: str
    user_id: int | None
    groups: tuple[str, ...]
    email: str
    name: str
    source: str
    created_at: float
    expires_at: float
    gen: int
    current: Generation
    previous_refresh_jti: str | None
    rotated_at: float | None
    confirmed: bool
    client: Device
    amr: tuple[str, ...] = ()
    password_mark: str = ""
    auth_time: float = 0.0
    factor_time: float = 0.0
    issuer: str = ""
    account: str = ""
    idp_sid: str = ""
    checked_at: float = 0.0
    tried_at: float = 0.0
    groups_from: str = ""
    sealed: str = field(default="", repr=False)

    @property
    def proved_at(self) -> float:
        """The time of the oldest proof of the login, in Unix seconds."""
        return self.auth_time or self.created_at

    @property
    def profile(self) -> dict[str, str]:
        """Claims besides the subject and its groups, by name, as of the login."""
        return {"email": self.email, "name": self.name}


@value_type()
class Snapshot:
    """State of a session at the store's time `now`; compare-and-set compares `version`."""

    session: Session | None
    now: float
    version: str = ""
    _digest: bytes = field(default=b"", init=False, repr=False, compare=False)

    @property
    def digest(self) -> bytes:
        """The SHA-256 digest of `version`: 32 bytes in place of a record, computed at first use."""
        if not self._digest:
            _keep_digest(self, hashlib.sha256(self.version.encode()).digest())
        return self._digest

    def at(self, now: float) -> "Snapshot":
        """Return the same state at another time of the store."""
        same = Snapshot(self.session, now, self.version)
        if self._digest:
            _keep_digest(same, self._digest)
        return same


def _keep_digest(snapshot: Snapshot, digest: bytes) -> None:
    object.__setattr__(snapshot, "_digest", digest)


class RefreshOutcome(Enum):
    """Result of a presented refresh token."""

    ROTATED = "rotated"
    REPEATED = "repeated"
    REUSED = "reused"


@value_type()
class RefreshResult:
    """The outcome of a refresh and the session to issue tokens from.

    The session differs from the stored session exactly if it must be committed first.
    """

    outcome: RefreshOutcome
    session: Session


def subject_hash(sub: str) -> str:
    """Return the 22 characters that replace a subject in store keys: fixed slot, no injection."""
    digest = hashlib.sha256(sub.encode()).digest()[:16]
    return _unpadded(digest)


def new_sid(sub: str, random: bytes) -> str:
    """Return a session id that contains its store key: the subject's hash and 16 random bytes.

    Raises:
        ValueError: `random` does not have 16 bytes.
    """
    if len(random) != 16:
        raise ValueError("a sid needs exactly 16 random bytes")
    return subject_hash(sub) + _unpadded(random)


def end_of_sid(sid: str) -> str:
    """Return the part of a sid that does not follow from its subject."""
    return sid[_HASH_LENGTH:]


def sid_with_end(sub: str, end: str) -> str:
    """Return the sid of this subject with this end (`end_of_sid`)."""
    return subject_hash(sub) + end


def is_sid(text: str) -> bool:
    """Return True if the text has the form of a sid."""
    return _SID.fullmatch(text) is not None


def hash_of_sid(sid: str) -> str:
    """Return the subject's hash from a sid.

    Raises:
        SessionEndedError: it is not a valid sid.
    """
    if not is_sid(sid):
        raise SessionEndedError
    return sid[:_HASH_LENGTH]


def generation(
    access_jti: str, refresh_jti: str, *, now: float, expires_at: float, access: float
) -> Generation:
    """Return a pair of tokens issued now; neither outlives its session.

    Times are Unix seconds; `access` is the lifetime of access tokens in seconds.
    """
    return Generation(access_jti, refresh_jti, now, min(now + access, expires_at), expires_at)


def session_end(created_at: float, now: float, lifetimes: Lifetimes) -> float:
    """Return the end of a session that is refreshed now, in Unix seconds."""
    return min(now + lifetimes.refresh, created_at + lifetimes.session_max)


def has_account_of(session: Session, old: Session) -> bool:
    """Return True if both sessions are of the same subject, from the same source and account."""
    return (session.sub, session.source, session.issuer, session.account) == (
        *(old.sub, old.source, old.issuer, old.account),
    )


def continued(session: Session, old: Session, *, now: float, lifetimes: Lifetimes) -> Session:
    """Return a session that is opened now, with creation and end of the old session."""
    expires_at = min(session.expires_at, old.expires_at)
    current = session.current
    return replaced(
        session,
        created_at=old.created_at,
        expires_at=expires_at,
        current=generation(
            current.access_jti,
            current.refresh_jti,
            now=now,
            expires_at=expires_at,
            access=lifetimes.access,
        ),
        tried_at=max(session.tried_at, old.tried_at),
    )


def check_valid(session: Session | None, now: float) -> Session:
    """Return the session if it exists and has not expired at `now`.

    Raises:
        SessionEndedError: it is absent (ended, idle) or expired.
    """
    if session is None or now >= session.expires_at:
        raise SessionEndedError
    return session


def of_subject(session: Session | None, sub: str) -> Session | None:
    """Return the session if it belongs to this subject, else None."""
    return session if session is not None and session.sub == sub else None


def check_sid(sid: str, sub: str) -> None:
    """Check that a sid was created for this subject.

    Raises:
        SessionEndedError: no session of this subject can have it.
    """
    if hash_of_sid(sid) != subject_hash(sub):
        raise SessionEndedError(sub=sub, sid=sid)


def refresh(
    session: Session | None,
    *,
    gen: int,
    jti: str,
    fresh: tuple[str, str],
    now: float,
    lifetimes: Lifetimes,
) -> RefreshResult:
    """Return the outcome of a refresh token with a valid signature.

    `gen` and `jti` are those of the presented token; `fresh` is the (access, refresh) pair of jtis
    for a successor; `now` is the time of the store's clock.

    Raises:
        SessionEndedError: the session is absent or expired.
    """
    stored = check_valid(session, now)
    if is_rotated_by(stored, gen, jti):
        return RefreshResult(
            RefreshOutcome.ROTATED, _rotate(stored, gen, jti, fresh, now, lifetimes)
        )
    if _is_parent(stored, gen, jti) and _may_repeat(stored, now, lifetimes):
        return RefreshResult(RefreshOutcome.REPEATED, _renew_if_expired(stored, now, lifetimes))
    return RefreshResult(RefreshOutcome.REUSED, stored)


def is_rotated_by(session: Session, gen: int, jti: str) -> bool:
    """Return True if a refresh token of this generation, with this jti, rotates the session."""
    # authgw signed a higher generation and the store lost it: the token is authoritative.
    return gen > session.gen or (gen == session.gen and jti == session.current.refresh_jti)


def describe_reuse(session: Session, *, gen: int, now: float) -> str:
    """Return a log message about a refresh token of generation `gen` that was used again."""
    # The store's clock may run back.
    seconds = max(0.0, now - (session.rotated_at or session.created_at))
    age = f"{seconds / 3600:.0f} h" if seconds >= 3600 else f"{seconds:.0f} s"
    at_least = "" if gen == session.gen - 1 else "at least "
    return (
        f"session revoked: a refresh token was used again {at_least}{age} after it was replaced; "
        f"the session was opened from {session.client.address or 'an unknown address'}"
    )


def confirm(session: Session, *, gen: int, jti: str) -> Session:
    """Return the session, confirmed if a token of its current generation was presented."""
    is_current = gen == session.gen and jti in (
        session.current.access_jti,
        session.current.refresh_jti,
    )
    return replaced(session, confirmed=True) if is_current and not session.confirmed else session


def _is_parent(session: Session, gen: int, jti: str) -> bool:
    return gen == session.gen - 1 and jti == session.previous_refresh_jti


def _may_repeat(session: Session, now: float, lifetimes: Lifetimes) -> bool:
    rotated_at = session.rotated_at
    within_grace = rotated_at is not None and now - rotated_at <= lifetimes.refresh_grace
    return within_grace or not session.confirmed


def _rotate(
    session: Session,
    gen: int,
    jti: str,
    fresh: tuple[str, str],
    now: float,
    lifetimes: Lifetimes,
) -> Session:
    expires_at = session_end(session.created_at, now, lifetimes)
    return replaced(
        session,
        gen=gen + 1,
        current=generation(*fresh, now=now, expires_at=expires_at, access=lifetimes.access),
        previous_refresh_jti=jti,
        rotated_at=now,
        confirmed=False,
        expires_at=expires_at,
    )


def _renew_if_expired(session: Session, now: float, lifetimes: Lifetimes) -> Session:
    current = session.current
    if now < current.access_exp:
        return session
    expires_at = session_end(session.created_at, now, lifetimes)
    renewed = generation(
        current.access_jti,
        current.refresh_jti,
        now=now,
        expires_at=expires_at,
        access=lifetimes.access,
    )
    return replaced(session, current=renewed, expires_at=expires_at)


def _unpadded(raw: bytes) -> str:
    return base64url(raw).decode("ascii")
