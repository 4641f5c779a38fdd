"""The use cases: issue, identify, refresh, log out. Decisions are the core's, state the store's."""

import asyncio
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from authgw.core import sessions
from authgw.core.errors import (
    AuthgwError,
    CredentialsAmbiguous,
    RefreshReused,
    SessionEnded,
    StoreUnavailable,
    TokenMissing,
)
from authgw.core.model import Principal
from authgw.core.people import USERS, Nobody, People, principal_of
from authgw.core.sessions import Client, Lifetimes, Outcome, Session, SessionStore, Snapshot
from authgw.core.tokens import Issuer, Token, TokenType

# A loser of a compare-and-set decides again; each round has one winner, and the loser that reads
# the winner's record repeats its answer. More rounds than this mean a store that lies.
_MAX_ROUNDS = 8
# Session cookies that one request may bring; a browser's jar can hold one for each domain.
_MAX_COOKIES = 4


@dataclass(frozen=True, slots=True)
class Pair:
    """What a log-in or refresh hands out; lifetimes in whole seconds from now."""

    access: str = field(repr=False)
    refresh: str = field(repr=False)
    expires_in: int
    refresh_expires_in: int
    sid: str


@dataclass(frozen=True, slots=True)
class Opened:
    """A browser's session and the token for its cookie, which lives `lifetime` seconds."""

    session: Session
    token: str = field(repr=False)
    lifetime: int


@dataclass(frozen=True, slots=True)
class Found:
    """Whom a verified token of a live session stands for."""

    principal: Principal
    token: Token
    session: Session


@dataclass(frozen=True, slots=True)
class Login:
    """A subject that was verified by someone, as the session will remember it.

    `amr` and `password_mark` are those of a person of the users file.
    """

    sub: str
    source: str
    user_id: int | None = None
    groups: tuple[str, ...] = ()
    email: str = ""
    name: str = ""
    client: Client = field(default_factory=Client)
    amr: tuple[str, ...] = ()
    password_mark: str = ""


class Sessions:
    """Sessions of one issuer in one store.

    `idle` (seconds) is `auth.auto_logout`; `clock` gives Unix seconds of this replica; `people`
    is the users file.
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
        people: People | None = None,
    ) -> None:
        self._store = store
        self._people = people or Nobody()
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

    async def open(self, login: Login, *, instead_of: Session | None = None) -> Opened:
        """Open a browser's session; the one that its cookie named until now ends.

        Raises:
            StoreUnavailable: whether it was kept, or the old one ended, is unknown.
        """
        now = self._clock()
        # No refresh token is ever handed out for it, so there is nothing to confirm.
        session = replace(self._new_session(login, now), confirmed=True)
        await self._store.add(session, self._max_sessions)
        if instead_of is not None:
            await self._store.revoke(instead_of.sid)
        token = self._issuer.mint(session, TokenType.SESSION, now=self._clock())
        return Opened(session, token, int(session.expires_at - now))

    async def identify(self, bearer: str | None, cookies: Sequence[str] = ()) -> Found:
        """Who sent this access token, or the one live session among these session cookies.

        Raises:
            TokenMissing and the errors of `Issuer.verify`.
            SessionEnded: logged out, revoked, idle or expired.
            CredentialsAmbiguous: they name more than one live session, or are over four cookies.
            StoreUnavailable: nobody can say now.
        """
        if bearer is None and not cookies:
            raise TokenMissing
        if bearer is None:
            return await self._by_cookies(cookies)
        found = await self._alive(bearer, TokenType.ACCESS)
        if cookies and await self._names_another(cookies, found.session):
            raise CredentialsAmbiguous
        return found

    async def browser_session(self, cookies: Sequence[str]) -> Found | None:
        """The one live session that these cookies name, if there is one.

        Raises:
            StoreUnavailable: nobody can say now.
        """
        try:
            return await self.identify(None, cookies)
        except StoreUnavailable:
            raise
        except AuthgwError:
            return None

    async def refresh(self, text: str) -> Pair:
        """Rotate: hand out the successor of the presented refresh token.

        Raises:
            the errors of `Issuer.verify`; SessionEnded; StoreUnavailable.
            RefreshReused: the token's time was over, its session is now revoked.
        """
        token = self._issuer.verify(text, TokenType.REFRESH, now=self._clock())
        fresh = (jti(), jti())
        seen = await self._store.read(token.sid)
        for _ in range(_MAX_ROUNDS):
            if seen.session is not None:
                principal_of(seen.session, self._people.find(seen.session.sub))
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
            outcome = self._decide(seen, token, (jti(), jti())).outcome
        except SessionEnded:
            outcome = Outcome.REPEATED
        if outcome is Outcome.REUSED:
            await self._store.revoke(token.sid)
            raise RefreshReused(sub=token.sub, sid=token.sid)
        await self._end(token, everywhere)
        return token

    async def log_out_by_cookie(
        self, cookies: Sequence[str], *, everywhere: bool = False
    ) -> tuple[Token, ...]:
        """End every session that these cookies name; gone already is fine.

        Raises:
            StoreUnavailable: some of them may still be alive.
        """
        named = []
        for text in cookies[:_MAX_COOKIES]:
            try:
                named.append(self._issuer.verify(text, TokenType.SESSION, now=self._clock()))
            except AuthgwError:
                continue
        for token in named:
            await self._end(token, everywhere)
        return tuple(named)

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

        With both, the one session must also be the subject's.

        Raises:
            StoreUnavailable: some of them may still be alive.
        """
        if sid:
            session = (await self._store.read(sid)).session
            mine = session is not None and session.source == source
            theirs = session is not None and sub not in ("", session.sub)
            return (sid,) if mine and not theirs and await self._store.revoke(sid) else ()
        found = await self.sessions_from(source, sub)
        for one in found:
            await self._store.revoke(one.sid)
        return tuple(one.sid for one in found)

    async def end_others(self, session: Session) -> tuple[str, ...]:
        """End every session of this person but this one; return their sids.

        Raises:
            StoreUnavailable: some of them may still be alive.
        """
        found = await self.sessions_from(USERS, session.sub)
        others = tuple(one.sid for one in found if one.sid != session.sid)
        for sid in others:
            await self._store.revoke(sid)
        return others

    async def last_used(self, sids: Sequence[str]) -> dict[str, float]:
        """When each of these sessions was last used, in Unix seconds of the store's clock.

        Raises:
            StoreUnavailable: nobody can say now.
        """
        return await self._store.last_used(sids)

    async def settle(self) -> None:
        """Wait for the small writes that answers did not wait for."""
        await asyncio.gather(*self._confirming.values())

    async def _alive(self, text: str, kind: TokenType) -> Found:
        token = self._issuer.verify(text, kind, now=self._clock())
        seen = await self._store.read(token.sid)
        session = sessions.check_alive(seen.session, seen.now)
        if session.sub != token.sub:
            raise SessionEnded
        principal = principal_of(session, self._people.find(session.sub))
        self._confirm_later(seen, session, token)
        return Found(principal, token, session)

    async def _by_cookies(self, cookies: Sequence[str]) -> Found:
        """A sibling domain can plant cookies of our name: what is not live does not count."""
        if len(cookies) > _MAX_COOKIES:
            raise CredentialsAmbiguous
        live: dict[str, Found] = {}
        why: AuthgwError = TokenMissing()
        for text in dict.fromkeys(cookies):
            try:
                found = await self._alive(text, TokenType.SESSION)
            except StoreUnavailable:
                raise
            except AuthgwError as error:
                why = error
            else:
                live[found.session.sid] = found
        if len(live) > 1:
            raise CredentialsAmbiguous
        if not live:
            raise why
        return live.popitem()[1]

    async def _names_another(self, cookies: Sequence[str], session: Session) -> bool:
        try:
            return (await self._by_cookies(cookies)).session.sid != session.sid
        except (StoreUnavailable, CredentialsAmbiguous):
            raise
        except AuthgwError:
            return False

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
                jti(), jti(), now=now, expires_at=expires_at, access=self._lifetimes.access
            ),
            previous_refresh_jti=None,
            rotated_at=None,
            confirmed=False,
            client=login.client,
            amr=login.amr,
            password_mark=login.password_mark,
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


def jti() -> str:
    """A new token id of 128 random bits."""
    return secrets.token_urlsafe(16)
