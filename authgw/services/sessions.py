"""Session use cases: open, refresh, log out.

`core.sessions` decides; the store holds the state.
"""

import secrets
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace

from authgw.core import sessions
from authgw.core.base64url import base64url
from authgw.core.errors import RefreshReusedError, SessionEndedError, StoreUnavailableError
from authgw.core.measurements import Measurement, labelled_counter
from authgw.core.ports import MirroringStore, SessionIndex
from authgw.core.providers.bounds import ProviderBounds
from authgw.core.sessions import Lifetimes, RefreshOutcome, Session, Snapshot
from authgw.core.tokens import Issuer, Token, TokenType
from authgw.core.users import NoUsers, UserDirectory
from authgw.services.identify import Identification
from authgw.services.results import BrowserSession, LoginRequest, LogoutResult, TokenPair

# A call that loses a compare-and-set decides again; each round has a winner, and a loser that
# reads the winner's record returns the same tokens. More rounds than this mean a broken store.
_MAX_ROUNDS = 8


class RefreshCounts(Counter[RefreshOutcome]):
    """The number of refreshes by outcome; a reload passes it to the new `Sessions`."""

    def collect(self) -> Iterator[Measurement]:
        """See `MeasuredPart.collect`."""
        yield labelled_counter(
            "authgw_refreshes",
            "Refreshes by outcome: rotated; repeated, after a lost response or by two tabs at "
            "once; reused, which ended the session. Refusals are 401 in authgw_requests_total",
            ("outcome",),
            {(outcome.value,): self[outcome] for outcome in RefreshOutcome},
        )


class Sessions:
    """Sessions of an issuer in a store.

    `idle` (seconds) is `auth.auto_logout`; `clock` returns Unix seconds of this replica; `users`
    is the users file. `identification` identifies the sender of a request; `refreshed` counts
    refreshes by their outcome. `bounds` and `on_due` are those of `Identification`; `reseal`
    returns the secret of a session (`sealed`), encrypted for another sid; `index` finds sessions
    by their account at an identity provider.
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
        users: UserDirectory | None = None,
        refreshed: RefreshCounts | None = None,
        bounds: ProviderBounds | None = None,
        on_due: Callable[[Snapshot], None] | None = None,
        reseal: Callable[[Session, str], str] | None = None,
        index: SessionIndex | None = None,
    ) -> None:
        self._store = store
        self._users = users or NoUsers()
        self._issuer = issuer
        self._lifetimes = lifetimes
        self._idle = idle
        self._max_sessions = max_sessions
        self._clock = clock
        self.refreshed = RefreshCounts() if refreshed is None else refreshed
        self._reseal = reseal
        self._index = index
        self.identification = Identification(
            store, issuer, self._users, clock=clock, bounds=bounds, on_due=on_due
        )

    async def log_in(self, login: LoginRequest) -> TokenPair:
        """Open a session and return its first pair of tokens.

        Raises:
            StoreUnavailableError: the session may or may not have been stored.
        """
        session = self._new_session(login, self._clock())
        displaced = await self._store.add(session, self._max_sessions)
        return self._pair(session, session.created_at, displaced)

    async def open(
        self,
        login: LoginRequest,
        *,
        cookies: Sequence[str] = (),
        instead_of: Session | None = None,
        seal: Callable[[str], str] | None = None,
    ) -> BrowserSession:
        """Open a browser session and end the sessions of its former cookies.

        Args:
            login: The verified subject.
            cookies: The values of the browser's session cookies.
            instead_of: The session of the same account to which a proof was added. A copy of its
                cookie must not gain the proof, so it ends, and the new session has its creation and
                end.
            seal: Returns the secret of the login, encrypted for a sid. Without it, the new session
                has that of `instead_of`.

        Raises:
            SessionEndedError: `instead_of` ended before, or the provider of the account has ended
                this login, so the new session has ended as well.
            StoreUnavailableError: the new session may or may not have been stored, and former
                sessions may still be active.
        """
        now = self._clock()
        session = self._new_session(login, now)
        if instead_of is not None:
            session = self._continued(session, instead_of, now)
        if seal is not None:
            session = replace(session, sealed=seal(session.sid))
        ending = self.identification.verified_cookies(cookies)
        snapshots = await self.identification.snapshots([token.sid for token in ending])
        # Sessions that end below do not count for the limit: no other device is displaced by them.
        leaving = {
            token.sid
            for token in ending
            if token.sub == login.sub and snapshots[token.sid].session is not None
        }
        if instead_of is not None and instead_of.sub == login.sub:
            leaving.add(instead_of.sid)
        displaced = await self._add(session, self._max_sessions + len(leaving))
        if instead_of is not None and not await self._store.revoke(instead_of.sid):
            # A logout that came in between is a logout of the new session too.
            await self._store.revoke(session.sid)
            raise SessionEndedError(sub=instead_of.sub, sid=instead_of.sid)
        former = None if instead_of is None else instead_of.sid
        replaced = tuple(
            [
                token
                for token in ending
                if token.sid == former or await self._store.revoke(token.sid)
            ]
        )
        token = self._minted(session, TokenType.SESSION, self._clock())
        return BrowserSession(session, token, int(session.expires_at - now), displaced, replaced)

    async def _add(self, session: Session, max_sessions: int) -> tuple[str, ...]:
        """Store a session; return the sids of sessions over the limit, which were ended.

        Raises:
            SessionEndedError: its provider has ended this login.
        """
        if self._index is None or not session.issuer:
            return await self._store.add(session, max_sessions)
        await self._index.announce(session)
        displaced = await self._store.add(session, max_sessions)
        if await self._index.has_ended(session):
            await self._store.revoke(session.sid)
            raise SessionEndedError(sub=session.sub, sid=session.sid)
        return displaced

    def _continued(self, session: Session, old: Session, now: float) -> Session:
        """Return a new session with creation, end and secret of the old session of its account."""
        if not sessions.has_account_of(session, old):
            return session
        sealed = self._reseal(old, session.sid) if old.sealed and self._reseal else ""
        continued = sessions.continued(session, old, now=now, lifetimes=self._lifetimes)
        return replace(continued, sealed=sealed)

    async def refresh(self, text: str) -> TokenPair:
        """Rotate a refresh token: return the pair of tokens that succeeds it.

        Raises:
            The errors of `Issuer.verify`; SessionEndedError; StoreUnavailableError.
            RefreshReusedError: the token was replaced before; its session is now revoked.
        """
        token = self._issuer.verify(text, TokenType.REFRESH, now=self._clock())
        fresh = _jtis()
        snapshot = await self._snapshot_to_rotate(token)
        for _ in range(_MAX_ROUNDS):
            try:
                if snapshot.session is not None:
                    self.identification.admit(snapshot.session, snapshot.now)
                result = self._decide(snapshot, token, fresh)
            except SessionEndedError:
                raise SessionEndedError(sub=token.sub, sid=token.sid) from None
            if result.outcome is RefreshOutcome.REUSED:
                raise await self._revoke_reused(token, snapshot.now, result.session)
            unchanged = result.session is snapshot.session
            winner = None if unchanged else await self._store.replace(snapshot, result.session)
            if winner is None:
                self.refreshed[result.outcome] += 1
                return self._pair(result.session, snapshot.now)
            snapshot = winner
        raise StoreUnavailableError("the session changed under every attempt")

    async def log_out_by_access(self, text: str, *, everywhere: bool = False) -> LogoutResult:
        """End the session of an access token, which may have expired; idempotent.

        Raises:
            The errors of `Issuer.verify` except TokenExpiredError; StoreUnavailableError.
        """
        token = self._issuer.verify(text, TokenType.ACCESS, now=self._clock(), allow_expired=True)
        return await self._end(token, everywhere)

    async def log_out_by_refresh(self, text: str, *, everywhere: bool = False) -> LogoutResult:
        """End the session of a current refresh token; idempotent.

        Raises:
            The errors of `Issuer.verify`; StoreUnavailableError.
            RefreshReusedError: the token was replaced before; its own session is revoked
                nevertheless.
        """
        token = self._issuer.verify(text, TokenType.REFRESH, now=self._clock())
        snapshot = await self._store.read(token.sid)
        with suppress(SessionEndedError):
            result = self._decide(snapshot, token, _jtis())
            if result.outcome is RefreshOutcome.REUSED:
                raise await self._revoke_reused(token, snapshot.now, result.session)
        return await self._end(token, everywhere)

    async def log_out_by_cookie(
        self, cookies: Sequence[str], *, everywhere: bool = False
    ) -> AsyncIterator[LogoutResult]:
        """End the sessions of these cookies and yield a result for each; idempotent.

        Raises:
            StoreUnavailableError: some of the sessions may still be active.
        """
        for token in self.identification.verified_cookies(cookies):
            yield await self._end(token, everywhere)

    async def sessions_from(self, source: str, sub: str) -> tuple[Session, ...]:
        """Return the active sessions of a subject that this source opened, oldest first.

        Raises:
            StoreUnavailableError: the sessions cannot be read now.
        """
        stored = await self._store.sessions_of(sub)
        now = self._clock()
        return tuple(
            session for session in stored if session.source == source and now < session.expires_at
        )

    async def revoke_from(
        self, source: str, *, sub: str = "", sid: str = ""
    ) -> AsyncIterator[Session]:
        """End and yield the sessions of a subject, or the session `sid`, that this source opened.

        With both arguments, the session must also belong to the subject.

        Raises:
            StoreUnavailableError: some of the sessions may still be active.
        """
        if sid:
            session = (await self._store.read(sid)).session
            if session is None:
                # An unconfirmed call may have ended it: a success here confirms the revocation.
                await self._store.revoke(sid)
            candidates: Sequence[Session] = () if session is None else (session,)
        else:
            candidates = await self.sessions_from(source, sub)
        for candidate in candidates:
            permitted = candidate.source == source and sub in ("", candidate.sub)
            if permitted and await self._store.revoke(candidate.sid):
                yield candidate

    async def end_others(self, session: Session) -> AsyncIterator[Session]:
        """End and yield all other sessions of the session's user, from the same source.

        Raises:
            StoreUnavailableError: some of the sessions may still be active.
        """
        for other in await self.sessions_from(session.source, session.sub):
            if other.sid != session.sid and await self._store.revoke(other.sid):
                yield other

    async def last_used(self, sids: Sequence[str]) -> dict[str, float]:
        """Return the time of each session's last use, in Unix seconds of the store's clock.

        Raises:
            StoreUnavailableError: the times cannot be read now.
        """
        return await self._store.last_used(sids)

    async def settle(self) -> None:
        """Wait for the background writes of confirmations."""
        await self.identification.settle()

    async def _snapshot_to_rotate(self, token: Token) -> Snapshot:
        """Return the snapshot on which a refresh is decided.

        A mirrored snapshot is sufficient for a rotation, because the store compares it with its
        own record. Any other outcome requires a read that starts now: with a record that another
        replica has replaced since, a legitimate client would be taken for a thief.
        """
        snapshot = await self._store.get(token.sid)
        session = sessions.of_subject(snapshot.session, token.sub)
        is_active = session is not None and snapshot.now < session.expires_at
        if session and is_active and sessions.is_rotated_by(session, token.gen, token.jti):
            return snapshot
        return await self._store.read(token.sid)

    def _decide(
        self, snapshot: Snapshot, token: Token, fresh: tuple[str, str]
    ) -> sessions.RefreshResult:
        return sessions.refresh(
            sessions.of_subject(snapshot.session, token.sub),
            gen=token.gen,
            jti=token.jti,
            fresh=fresh,
            now=snapshot.now,
            lifetimes=self._lifetimes,
        )

    async def _revoke_reused(
        self, token: Token, now: float, session: Session
    ) -> RefreshReusedError:
        """Revoke the session of a reused refresh token; return the error to raise."""
        await self._store.revoke(token.sid)
        self.refreshed[RefreshOutcome.REUSED] += 1
        note = sessions.describe_reuse(session, gen=token.gen, now=now)
        return RefreshReusedError(sub=token.sub, sid=token.sid, note=note)

    async def _end(self, token: Token, everywhere: bool) -> LogoutResult:
        sessions.check_sid(token.sid, token.sub)
        if not everywhere:
            return LogoutResult(token, was_active=await self._store.revoke(token.sid))
        ended = await self._store.revoke_all(token.sub)
        others = tuple(sid for sid in ended if sid != token.sid)
        return LogoutResult(token, others, was_active=token.sid in ended)

    def _new_session(self, login: LoginRequest, now: float) -> Session:
        expires_at = sessions.session_end(now, now, self._lifetimes)
        if login.ends_at is not None:
            expires_at = min(expires_at, login.ends_at)
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
                *_jtis(), now=now, expires_at=expires_at, access=self._lifetimes.access
            ),
            previous_refresh_jti=None,
            rotated_at=None,
            # A first generation has no parent that could be presented instead of it.
            confirmed=True,
            client=login.client,
            amr=login.amr,
            password_mark=login.password_mark,
            auth_time=min(login.auth_time, now),
            factor_time=login.factor_time,
            issuer=login.issuer,
            account=login.account,
            idp_sid=login.idp_sid,
            checked_at=login.checked_at,
            tried_at=login.checked_at,
            groups_from=login.groups_from,
        )

    def _pair(self, session: Session, now: float, displaced: tuple[str, ...] = ()) -> TokenPair:
        signed_at = self._clock()
        return TokenPair(
            access=self._minted(session, TokenType.ACCESS, signed_at),
            refresh=self._issuer.mint(session, TokenType.REFRESH, now=signed_at),
            expires_in=int(session.current.access_exp - now),
            refresh_expires_in=int(min(session.expires_at - now, self._idle)),
            sid=session.sid,
            displaced=displaced,
        )

    def _minted(self, session: Session, kind: TokenType, now: float) -> str:
        """Return a token of a stored session, which checks accept: its first check is a fast one.

        Refresh tokens are used once, and not remembered.
        """
        text = self._issuer.mint(session, kind, now=now)
        self.identification.remember(text, session, kind, now=now)
        return text


def jti() -> str:
    """Return a new token id of 128 random bits."""
    return secrets.token_urlsafe(16)


def _jtis() -> tuple[str, str]:
    """Return new ids of an access and a refresh token, of 132 random bits each."""
    text = base64url(secrets.token_bytes(33)).decode("ascii")
    return text[:22], text[22:]
