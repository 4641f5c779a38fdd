"""Sessions: one login on one device, and how its refresh tokens rotate.

Everything here is a pure transition: a record, what was presented and the store's own `now` go
in, a new record comes out. Committing it atomically is a store's work (`ports.SessionStore`).
"""

import base64
import hashlib
import re
from dataclasses import dataclass, replace
from enum import Enum

from authgw.core.errors import SessionEndedError

_SID = re.compile(r"[A-Za-z0-9_-]{44}")
_HASH_LENGTH = 22


@dataclass(frozen=True, slots=True)
class Lifetimes:
    """How long things live, in seconds (`auth.*` of the configuration)."""

    access: float
    refresh: float
    session_max: float
    refresh_grace: float


@dataclass(frozen=True, slots=True)
class Generation:
    """The pair of tokens that is current; times are Unix seconds."""

    access_jti: str
    refresh_jti: str
    iat: float
    access_exp: float
    refresh_exp: float


@dataclass(frozen=True, slots=True)
class Device:
    """The device that logged in, as it was seen then."""

    user_agent: str = ""
    address: str = ""


@dataclass(frozen=True, slots=True)
class Session:
    """One login on one device; times are Unix seconds of the store's clock.

    `source` names who opened it; `confirmed` says that the parent of the current generation will
    not come again: there is none, or a token of this generation was presented, so its client has
    it. `amr` lists how a person was verified (RFC 8176), `password_mark` names the password that
    was used.
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


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What a store held at its own time `now`; `version` is what a compare-and-set compares."""

    session: Session | None
    now: float
    version: str = ""


class RefreshOutcome(Enum):
    """What a presented refresh token leads to."""

    ROTATED = "rotated"
    REPEATED = "repeated"
    REUSED = "reused"


@dataclass(frozen=True, slots=True)
class RefreshResult:
    """The outcome and the session to issue tokens from.

    The session differs from the stored one exactly if it must first be committed.
    """

    outcome: RefreshOutcome
    session: Session


def subject_hash(sub: str) -> str:
    """The 22 characters that stand for a subject in store keys: one slot, no injection."""
    digest = hashlib.sha256(sub.encode()).digest()[:16]
    return _unpadded(digest)


def new_sid(sub: str, random: bytes) -> str:
    """A session id that finds its own key: the subject's hash and 16 random bytes."""
    if len(random) != 16:
        raise ValueError("a sid needs exactly 16 random bytes")
    return subject_hash(sub) + _unpadded(random)


def hash_of_sid(sid: str) -> str:
    """The subject's hash inside a sid.

    Raises:
        SessionEndedError: no session can ever have had this sid.
    """
    if not _SID.fullmatch(sid):
        raise SessionEndedError
    return sid[:_HASH_LENGTH]


def generation(
    access_jti: str, refresh_jti: str, *, now: float, expires_at: float, access: float
) -> Generation:
    """A pair of tokens issued now; neither outlives its session."""
    return Generation(access_jti, refresh_jti, now, min(now + access, expires_at), expires_at)


def session_end(created_at: float, now: float, lifetimes: Lifetimes) -> float:
    """When a session ends if it is refreshed now, in Unix seconds."""
    return min(now + lifetimes.refresh, created_at + lifetimes.session_max)


def check_alive(session: Session | None, now: float) -> Session:
    """The session, if it is there and has not reached its absolute end.

    Raises:
        SessionEndedError: it is absent (ended, idle) or expired.
    """
    if session is None or now >= session.expires_at:
        raise SessionEndedError
    return session


def of_subject(session: Session | None, sub: str) -> Session | None:
    """Return the session if it is this subject's; another's is as good as absent."""
    return session if session is not None and session.sub == sub else None


def check_sid(sid: str, sub: str) -> None:
    """Refuse a sid that was not made for this subject.

    Raises:
        SessionEndedError: no session of this subject ever had it.
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
    """Decide what a correctly signed refresh token leads to.

    `gen` and `jti` are the presented token's; `fresh` is the (access, refresh) pair of jtis
    for a successor; `now` is the store's clock.

    Raises:
        SessionEndedError: the session is absent or expired.
    """
    live = check_alive(session, now)
    # A higher generation was signed by us and then forgotten by the store: it is the truth.
    if gen > live.gen or (gen == live.gen and jti == live.current.refresh_jti):
        return RefreshResult(RefreshOutcome.ROTATED, _rotate(live, gen, jti, fresh, now, lifetimes))
    if _is_parent(live, gen, jti) and _may_repeat(live, now, lifetimes):
        return RefreshResult(RefreshOutcome.REPEATED, _renew_if_expired(live, now, lifetimes))
    return RefreshResult(RefreshOutcome.REUSED, live)


def reuse_in_words(session: Session, *, gen: int, now: float) -> str:
    """What is known of a refresh token of generation `gen` that came too late, for the log."""
    since = now - (session.rotated_at or session.created_at)
    passed = f"{since / 3600:.0f} h" if since >= 3600 else f"{since:.0f} s"
    least = "" if gen == session.gen - 1 else "at least "
    return (
        f"session revoked: a refresh token was used again {least}{passed} after it was replaced; "
        f"the session was opened from {session.client.address or 'an unknown address'}"
    )


def confirm(session: Session, *, gen: int, jti: str) -> Session:
    """The session once a token was presented: its generation is known to have arrived."""
    arrived = gen == session.gen and jti in (
        session.current.access_jti,
        session.current.refresh_jti,
    )
    return replace(session, confirmed=True) if arrived and not session.confirmed else session


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
    return replace(
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
    return replace(session, current=renewed, expires_at=expires_at)


def _unpadded(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode("ascii")
