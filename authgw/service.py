"""The use cases: issue, identify, refresh, log out. Decisions are the core's, state the store's."""

import asyncio
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field

from authgw.core import sessions
from authgw.core.errors import RefreshReused, SessionEnded, StoreUnavailable, TokenMissing
from authgw.core.model import Principal
from authgw.core.sessions import Client, Lifetimes, Outcome, Session, SessionStore, Snapshot
from authgw.core.tokens import Issuer, Token, TokenType

# A loser of a compare-and-set decides again; each round has one winner, and the loser that reads
# the winner's record repeats its answer. More rounds than this mean a store that lies.
_MAX_ROUNDS = 8


@dataclass(frozen=True, slots=True)
class Pair:
    """What a log-in or refresh hands out; lifetimes in whole seconds from now."""

    access: str = field(repr=False)
    refresh: str = field(repr=False)
    expires_in: int
    refresh_expires_in: int
    sid: str


@dataclass(frozen=True, slots=True)
class Login:
    """A subject that was verified by someone, as the session will remember it."""

    sub: str
    source: str
    user_id: int | None = None
    groups: tuple[str, ...] = ()
    email: str = ""
    name: str = ""
    client: Client = field(default_factory=Client)


class Sessions:
    """Sessions of one issuer in one store.

    `idle` (seconds) is `auth.auto_logout`; `clock` gives Unix seconds of this replica.
    """

    def __init__(
        self,
        store: SessionStore,
        issuer: Issuer,
        lifetimes: Lifetimes,
        *,
        idle: float,
        max_sessions: int,
        clock: Callable[[], float],
    ) -> None:
        self._store = store
        self._issuer = issuer
        self._lifetimes = lifetimes
        self._idle = idle
        self._max_sessions = max_sessions
        self._clock = clock
        self._confirming: dict[str, asyncio.Task[None]] = {}

    async def log_in(self, login: Login) -> Pair:
        """Open a session and hand out its first pair.

        Raises:
            StoreUnavailable: whether it was kept is unknown.
        """
        session = self._new_session(login, self._clock())
        await self._store.add(session, self._max_sessions)
        return self._pair(session, session.created_at)

    async def identify(self, bearer: str | None) -> tuple[Principal, Token]:
        """Who sent this access token, if its session is alive.

        Raises:
            TokenMissing and the errors of `Issuer.verify`.
            SessionEnded: logged out, revoked, idle or expired.
            StoreUnavailable: nobody can say now.
        """
        if bearer is None:
            raise TokenMissing
        token = self._issuer.verify(bearer, TokenType.ACCESS, now=self._clock())
        seen = await self._store.read(token.sid)
        session = sessions.check_alive(seen.session, seen.now)
        if session.sub != token.sub:
            raise SessionEnded
        self._confirm_later(seen, session, token)
        return _principal(session), token

    async def refresh(self, text: str) -> Pair:
        """Rotate: hand out the successor of the presented refresh token.

        Raises:
            the errors of `Issuer.verify`; SessionEnded; StoreUnavailable.
            RefreshReused: the token's time was over, its session is now revoked.
        """
        token = self._issuer.verify(text, TokenType.REFRESH, now=self._clock())
        fresh = (_jti(), _jti())
        seen = await self._store.read(token.sid)
        for _ in range(_MAX_ROUNDS):
            decided = self._decide(seen, token, fresh)
            if decided.outcome is Outcome.REUSED:
                await self._store.revoke(token.sid)
                raise RefreshReused(sub=token.sub, sid=token.sid)
            if decided.session is seen.session:
                return self._pair(decided.session, seen.now)
            other = await self._store.replace(seen, decided.session)
            if other is None:
                return self._pair(decided.session, seen.now)
            seen = other
        raise StoreUnavailable("the session changed under every attempt")

    async def log_out_by_access(self, text: str, *, everywhere: bool = False) -> Token:
        """End the session of an access token, which may have expired; gone already is fine.

        Raises:
            the errors of `Issuer.verify` but TokenExpired; StoreUnavailable.
        """
        token = self._issuer.verify(text, TokenType.ACCESS, now=self._clock(), allow_expired=True)
        await self._end(token, everywhere)
        return token

    async def log_out_by_refresh(self, text: str, *, everywhere: bool = False) -> Token:
        """End the session of a current refresh token; gone already is fine.

        Raises:
            the errors of `Issuer.verify`; StoreUnavailable.
            RefreshReused: the token's time was over; its own session is revoked all the same.
        """
        token = self._issuer.verify(text, TokenType.REFRESH, now=self._clock())
        seen = await self._store.read(token.sid)
        try:
            outcome = self._decide(seen, token, (_jti(), _jti())).outcome
        except SessionEnded:
            outcome = Outcome.REPEATED
        if outcome is Outcome.REUSED:
            await self._store.revoke(token.sid)
            raise RefreshReused(sub=token.sub, sid=token.sid)
        await self._end(token, everywhere)
        return token

    async def sessions_from(self, source: str, sub: str) -> tuple[Session, ...]:
        """The live sessions of a subject that this source opened, oldest first.

        Raises:
            StoreUnavailable: nobody can say now.
        """
        found = await self._store.sessions_of(sub)
        now = self._clock()
        return tuple(one for one in found if one.source == source and now < one.expires_at)

    async def revoke_from(self, source: str, *, sub: str = "", sid: str = "") -> tuple[str, ...]:
        """End a subject's sessions, or one by `sid`, if this source opened them; return sids.

        Raises:
            StoreUnavailable: some of them may still be alive.
        """
        if sid:
            session = (await self._store.read(sid)).session
            mine = session is not None and session.source == source
            return (sid,) if mine and await self._store.revoke(sid) else ()
        found = await self.sessions_from(source, sub)
        for one in found:
            await self._store.revoke(one.sid)
        return tuple(one.sid for one in found)

    async def settle(self) -> None:
        """Wait for the small writes that answers did not wait for."""
        await asyncio.gather(*self._confirming.values())

    def _decide(self, seen: Snapshot, token: Token, fresh: tuple[str, str]) -> sessions.Refreshed:
        return sessions.refresh(
            seen.session,
            gen=token.gen,
            jti=token.jti,
            fresh=fresh,
            now=seen.now,
            lifetimes=self._lifetimes,
        )

    async def _end(self, token: Token, everywhere: bool) -> None:
        if everywhere:
            await self._store.revoke_all(token.sub)
        else:
            await self._store.revoke(token.sid)

    def _new_session(self, login: Login, now: float) -> Session:
        expires_at = sessions.session_end(now, now, self._lifetimes)
        return Session(
            sid=sessions.new_sid(login.sub, secrets.token_bytes(16)),
            sub=login.sub,
            user_id=login.user_id,
            groups=login.groups,
            email=login.email,
            name=login.name,
            source=login.source,
            created_at=now,
            expires_at=expires_at,
            gen=0,
            current=sessions.generation(
                _jti(), _jti(), now=now, expires_at=expires_at, access=self._lifetimes.access
            ),
            previous_refresh_jti=None,
            rotated_at=None,
            confirmed=False,
            client=login.client,
        )

    def _pair(self, session: Session, now: float) -> Pair:
        signed_at = self._clock()
        return Pair(
            access=self._issuer.mint(session, TokenType.ACCESS, now=signed_at),
            refresh=self._issuer.mint(session, TokenType.REFRESH, now=signed_at),
            expires_in=int(session.current.access_exp - now),
            refresh_expires_in=int(min(session.expires_at - now, self._idle)),
            sid=session.sid,
        )

    def _confirm_later(self, seen: Snapshot, session: Session, token: Token) -> None:
        confirmed = sessions.confirm(session, gen=token.gen, jti=token.jti)
        if confirmed is session or session.sid in self._confirming:
            return
        task = asyncio.create_task(self._confirm(seen, confirmed))
        self._confirming[session.sid] = task
        task.add_done_callback(lambda _: self._confirming.pop(session.sid, None))

    async def _confirm(self, seen: Snapshot, confirmed: Session) -> None:
        # Never a reason to deny: what fails here is tried again at the token's next use.
        try:
            await self._store.replace(seen, confirmed)
        except StoreUnavailable:
            return


def _jti() -> str:
    return secrets.token_urlsafe(16)


def _principal(session: Session) -> Principal:
    return Principal(session.sub, session.sid, session.groups, session.email, session.name)
