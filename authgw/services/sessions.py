"""The use cases: issue, refresh, log out. Decisions are the core's, state the store's."""

import secrets
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace

from authgw.core import sessions
from authgw.core.errors import RefreshReusedError, SessionEndedError, StoreUnavailableError
from authgw.core.measurements import Measurement, labelled_counter
from authgw.core.ports import MirroringStore
from authgw.core.sessions import Lifetimes, RefreshOutcome, Session, Snapshot
from authgw.core.tokens import Issuer, Token, TokenType
from authgw.core.users import USERS, NoUsers, UserDirectory, principal_of
from authgw.services.identify import Identification
from authgw.services.results import BrowserSession, LoginRequest, LogoutResult, TokenPair

# A loser of a compare-and-set decides again; each round has one winner, and the loser that reads
# the winner's record repeats its answer. More rounds than this mean a store that lies.
_MAX_ROUNDS = 8


class RefreshCounts(Counter[RefreshOutcome]):
    """The number of refreshes by outcome; a reload passes it to the new `Sessions`."""

    def collect(self) -> Iterator[Measurement]:
        """See `MeasuredPart.collect`."""
        yield labelled_counter(
            "authgw_refreshes",
            "What refresh tokens led to; reused ones ended their session",
            ("outcome",),
            {(outcome.value,): self[outcome] for outcome in RefreshOutcome},
        )


class Sessions:
    """Sessions of one issuer in one store.

    `idle` (seconds) is `auth.auto_logout`; `clock` gives Unix seconds of this replica; `people`
    is the users file. `identification` tells who sends a request; `refreshed` counts what refresh
    tokens led to.
    """

    def __init__(
        self,
        store: MirroringStore,
        issuer: Issuer,
        lifetimes: Lifetimes,
        *,
        idle: float,
        max_sessions: int,
        clock: Callable[[], float],
        people: UserDirectory | None = None,
        refreshed: RefreshCounts | None = None,
    ) -> None:
        self._store = store
        self._people = people or NoUsers()
        self._issuer = issuer
        self._lifetimes = lifetimes
        self._idle = idle
        self._max_sessions = max_sessions
        self._clock = clock
        self.refreshed = RefreshCounts() if refreshed is None else refreshed
        self.identification = Identification(store, issuer, self._people, clock=clock)

    async def log_in(self, login: LoginRequest) -> TokenPair:
        """Open a session and hand out its first pair.

        Raises:
            StoreUnavailableError: whether it was kept is unknown.
        """
        session = self._new_session(login, self._clock())
        displaced = await self._store.add(session, self._max_sessions)
        return replace(self._pair(session, session.created_at), displaced=displaced)

    async def open(self, login: LoginRequest, *, cookies: Sequence[str] = ()) -> BrowserSession:
        """Open a browser's session; those that its cookies name end.

        Raises:
            StoreUnavailableError: whether it was kept, or an old one ended, is unknown.
        """
        now = self._clock()
        session, ending = self._new_session(login, now), self.identification.named_by(cookies)
        seen = await self.identification.seen([one.sid for one in ending])
        # Those that end make room themselves; nobody else's device has to go for them.
        in_place = sum(seen[one.sid].session is not None for one in ending if one.sub == login.sub)
        displaced = await self._store.add(session, self._max_sessions + in_place)
        replaced = tuple([one for one in ending if await self._store.revoke(one.sid)])
        token = self._issuer.mint(session, TokenType.SESSION, now=self._clock())
        return BrowserSession(session, token, int(session.expires_at - now), displaced, replaced)

    async def refresh(self, text: str) -> TokenPair:
        """Rotate: hand out the successor of the presented refresh token.

        Raises:
            the errors of `Issuer.verify`; SessionEndedError; StoreUnavailableError.
            RefreshReusedError: the token's time was over, its session is now revoked.
        """
        token = self._issuer.verify(text, TokenType.REFRESH, now=self._clock())
        fresh = (jti(), jti())
        seen = await self._to_rotate(token, fresh)
        for _ in range(_MAX_ROUNDS):
            try:
                if seen.session is not None:
                    principal_of(seen.session, self._people.find(seen.session.sub))
                decided = self._decide(seen, token, fresh)
            except SessionEndedError:
                raise SessionEndedError(sub=token.sub, sid=token.sid) from None
            if decided.outcome is RefreshOutcome.REUSED:
                raise await self._reused(token, seen.now, decided.session)
            same = decided.session is seen.session
            other = None if same else await self._store.replace(seen, decided.session)
            if other is None:
                self.refreshed[decided.outcome] += 1
                return self._pair(decided.session, seen.now)
            seen = other
        raise StoreUnavailableError("the session changed under every attempt")

    async def log_out_by_access(self, text: str, *, everywhere: bool = False) -> LogoutResult:
        """End the session of an access token, which may have expired; gone already is fine.

        Raises:
            the errors of `Issuer.verify` but TokenExpiredError; StoreUnavailableError.
        """
        token = self._issuer.verify(text, TokenType.ACCESS, now=self._clock(), allow_expired=True)
        return await self._end(token, everywhere)

    async def log_out_by_refresh(self, text: str, *, everywhere: bool = False) -> LogoutResult:
        """End the session of a current refresh token; gone already is fine.

        Raises:
            the errors of `Issuer.verify`; StoreUnavailableError.
            RefreshReusedError: the token's time was over; its own session is revoked all the same.
        """
        token = self._issuer.verify(text, TokenType.REFRESH, now=self._clock())
        seen = await self._store.read(token.sid)
        with suppress(SessionEndedError):
            decided = self._decide(seen, token, (jti(), jti()))
            if decided.outcome is RefreshOutcome.REUSED:
                raise await self._reused(token, seen.now, decided.session)
        return await self._end(token, everywhere)

    async def log_out_by_cookie(
        self, cookies: Sequence[str], *, everywhere: bool = False
    ) -> AsyncIterator[LogoutResult]:
        """End every session that these cookies name, and say so of each; gone already is fine.

        Raises:
            StoreUnavailableError: some of them may still be alive.
        """
        for token in self.identification.named_by(cookies):
            yield await self._end(token, everywhere)

    async def sessions_from(self, source: str, sub: str) -> tuple[Session, ...]:
        """The live sessions of a subject that this source opened, oldest first.

        Raises:
            StoreUnavailableError: nobody can say now.
        """
        found = await self._store.sessions_of(sub)
        now = self._clock()
        return tuple(one for one in found if one.source == source and now < one.expires_at)

    async def revoke_from(
        self, source: str, *, sub: str = "", sid: str = ""
    ) -> AsyncIterator[Session]:
        """End a subject's sessions, or one by `sid`, if this source opened them; say so of each.

        With both, the one session must also be the subject's.

        Raises:
            StoreUnavailableError: some of them may still be alive.
        """
        if sid:
            session = (await self._store.read(sid)).session
            if session is None:
                # Perhaps ended by a call that nobody confirmed: this one says so only if it is.
                await self._store.revoke(sid)
            found: Sequence[Session] = () if session is None else (session,)
        else:
            found = await self.sessions_from(source, sub)
        for one in found:
            theirs = one.source == source and sub in ("", one.sub)
            if theirs and await self._store.revoke(one.sid):
                yield one

    async def end_others(self, session: Session) -> AsyncIterator[Session]:
        """End every session of this person but this one, and say so of each.

        Raises:
            StoreUnavailableError: some of them may still be alive.
        """
        for one in await self.sessions_from(USERS, session.sub):
            if one.sid != session.sid and await self._store.revoke(one.sid):
                yield one

    async def last_used(self, sids: Sequence[str]) -> dict[str, float]:
        """When each of these sessions was last used, in Unix seconds of the store's clock.

        Raises:
            StoreUnavailableError: nobody can say now.
        """
        return await self._store.last_used(sids)

    async def settle(self) -> None:
        """Wait for the small writes that answers did not wait for."""
        await self.identification.settle()

    async def _to_rotate(self, token: Token, fresh: tuple[str, str]) -> Snapshot:
        """What to decide a refresh on.

        The mirror's word is enough for a rotation, which the store holds against what it has;
        everything else is believed of a read sent from here on only: by a record that another
        replica has replaced since, a good client would be a thief.
        """
        seen = await self._store.look(token.sid)
        try:
            if self._decide(seen, token, fresh).outcome is RefreshOutcome.ROTATED:
                return seen
        except SessionEndedError:
            pass
        return await self._store.read(token.sid)

    def _decide(
        self, seen: Snapshot, token: Token, fresh: tuple[str, str]
    ) -> sessions.RefreshResult:
        return sessions.refresh(
            sessions.of_subject(seen.session, token.sub),
            gen=token.gen,
            jti=token.jti,
            fresh=fresh,
            now=seen.now,
            lifetimes=self._lifetimes,
        )

    async def _reused(self, token: Token, now: float, session: Session) -> RefreshReusedError:
        """Revoke the session whose refresh token was used too late; the refusal of that use."""
        await self._store.revoke(token.sid)
        self.refreshed[RefreshOutcome.REUSED] += 1
        said = sessions.describe_reuse(session, gen=token.gen, now=now)
        return RefreshReusedError(sub=token.sub, sid=token.sid, note=said)

    async def _end(self, token: Token, everywhere: bool) -> LogoutResult:
        sessions.check_sid(token.sid, token.sub)
        if not everywhere:
            return LogoutResult(token, alive=await self._store.revoke(token.sid))
        ended = await self._store.revoke_all(token.sub)
        others = tuple(sid for sid in ended if sid != token.sid)
        return LogoutResult(token, others, alive=token.sid in ended)

    def _new_session(self, login: LoginRequest, now: float) -> Session:
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
            # A first generation has no parent that could come in its place.
            confirmed=True,
            client=login.client,
            amr=login.amr,
            password_mark=login.password_mark,
        )

    def _pair(self, session: Session, now: float) -> TokenPair:
        signed_at = self._clock()
        return TokenPair(
            access=self._issuer.mint(session, TokenType.ACCESS, now=signed_at),
            refresh=self._issuer.mint(session, TokenType.REFRESH, now=signed_at),
            expires_in=int(session.current.access_exp - now),
            refresh_expires_in=int(min(session.expires_at - now, self._idle)),
            sid=session.sid,
        )


def jti() -> str:
    """A new token id of 128 random bits."""
    return secrets.token_urlsafe(16)
