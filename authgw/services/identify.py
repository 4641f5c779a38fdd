"""Identify the caller of a request by an access token or by session cookies."""

from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from typing import Any

from authgw.core import sessions
from authgw.core.errors import (
    AuthgwError,
    CredentialsAmbiguousError,
    SessionEndedError,
    StoreUnavailableError,
    TokenInvalidError,
    TokenMissingError,
)
from authgw.core.limits import (
    MAX_ENDED_SESSIONS,
    MAX_SESSION_COOKIES,
    MAX_TOKEN_MEMORY_BYTES,
    MAX_VERIFIED_COOKIES,
    PROXY_CACHE_LIFETIME,
)
from authgw.core.model import Principal
from authgw.core.ports import MirroringStore
from authgw.core.providers.bounds import ProviderBounds
from authgw.core.sessions import Session, Snapshot
from authgw.core.token_cache import VerifiedTokens
from authgw.core.tokens import Issuer, Token, TokenType, claims_of
from authgw.core.users import UserDirectory, principal_of
from authgw.core.value_type import value_type
from authgw.services.confirmations import Confirmations
from authgw.services.results import Identity, Validity


@value_type()
class _VerifiedCredentials:
    """The tokens of a request that verify, and the last refusal among its other cookies."""

    token: Token | None
    cookie_tokens: Sequence[Token] = ()
    cookie_refusal: AuthgwError | None = None

    @property
    def sids(self) -> tuple[str, ...]:
        """The sids of all tokens, each once."""
        if self.token is not None and not self.cookie_tokens:
            return (self.token.sid,)
        tokens = self.cookie_tokens if self.token is None else (self.token, *self.cookie_tokens)
        return (*dict.fromkeys([token.sid for token in tokens]),)


class Identification:
    """Identifies callers by the tokens of an issuer and the sessions of a store.

    `clock` returns Unix seconds of this replica; `users` is the users file. `bounds` are those of
    the identity providers; `on_due` is called with the snapshot of each session that is used while
    a check by its provider is due, and starts it in the background.
    """

    def __init__(
        self,
        store: MirroringStore,
        issuer: Issuer,
        users: UserDirectory,
        *,
        clock: Callable[[], float],
        bounds: ProviderBounds | None = None,
        on_due: Callable[[Snapshot], None] | None = None,
    ) -> None:
        self._bounds = bounds or ProviderBounds({})
        self._on_due = on_due
        self._store = store
        self._users = users
        self._issuer = issuer
        self._verified = VerifiedTokens(issuer, MAX_TOKEN_MEMORY_BYTES)
        self._clock = clock
        self._confirmations = Confirmations(store)

    async def identify(self, bearer: str | None, cookies: Sequence[str] = ()) -> Identity:
        """Return the identity behind an access token, or behind the only active session cookie.

        Raises:
            TokenMissingError and the errors of `Issuer.verify`.
            SessionEndedError: logged out, revoked, idle or expired.
            RecheckRequiredError: the identity provider has to confirm the session.
            CredentialsAmbiguousError: the credentials belong to several active sessions, or there
                are more than four cookies.
            StoreUnavailableError: the session cannot be read now.
        """
        begun = self.begin(bearer, cookies)
        return begun if isinstance(begun, Identity) else await begun

    def remember(self, text: str, session: Session, kind: TokenType, *, now: float) -> None:
        """Remember a token of a stored session that was minted at `now`: it needs no verification.

        The session itself is checked at each request.
        """
        token = self._issuer.token_of(session, kind, now=now)
        if token is not None:
            self._verified.remember(text, token)

    def claims(self, token: Token, texts: Sequence[str]) -> dict[str, Any]:
        """Return all claims of a token that `identify` has accepted in one of these texts.

        Raises:
            TokenInvalidError: it has expired since.
        """
        for text in texts:
            with suppress(AuthgwError):
                if self._verify(text, token.type) == token:
                    return claims_of(text)
        raise TokenInvalidError

    def begin(
        self, bearer: str | None, cookies: Sequence[str] = ()
    ) -> Identity | Coroutine[Any, Any, Identity]:
        """Return the identity as `identify` does, or the coroutine that reads the sessions first.

        Raises:
            AuthgwError: as `identify`; of the sessions that are read, the coroutine raises it.
        """
        credentials = self._verified_credentials(bearer, cookies)
        snapshots = self._mirrored(credentials.sids)
        if snapshots is None:
            return self._after_read(credentials)
        return self._only_identity(credentials, snapshots)

    async def _after_read(self, credentials: _VerifiedCredentials) -> Identity:
        token = credentials.token
        if token is not None and not credentials.cookie_tokens:
            return self._identity(token, await self._store.get(token.sid))
        return self._only_identity(credentials, await self.snapshots(credentials.sids))

    def is_current(self, validity: Validity) -> bool:
        """Return True if a cached identity is certainly still valid; performs no I/O.

        `validity.until` is compared with the store's time at which the session was read: up to
        `max_staleness` ago, which `admit` has taken into account.
        """
        if self._clock() >= validity.valid_until:
            return False
        snapshot = self._store.peek(validity.sid)
        return snapshot is not None and self._is_unchanged(validity, snapshot)

    def has_to_be_read(self, validity: Validity) -> bool:
        """Return True if only a read of its session can show that a cached identity is valid."""
        return self._clock() < validity.valid_until and self._store.peek(validity.sid) is None

    async def is_current_in_store(self, validity: Validity) -> bool:
        """Return the result of `is_current` after a read of the session.

        Raises:
            StoreUnavailableError: the session cannot be read now.
        """
        snapshot = await self._store.get(validity.sid)
        return self._clock() < validity.valid_until and self._is_unchanged(validity, snapshot)

    def _is_unchanged(self, validity: Validity, snapshot: Snapshot) -> bool:
        """Return True if neither session nor users have changed since the identity was cached."""
        session = snapshot.session
        if session is None or not session.confirmed or snapshot.now >= validity.until:
            return False
        is_same = snapshot.digest == validity.session_digest
        return is_same and self._users.version == validity.users_version

    async def browser_session(self, cookies: Sequence[str]) -> Identity | None:
        """Return the identity behind the only active session of these cookies, else None.

        Raises:
            StoreUnavailableError: the session cannot be read now.
        """
        try:
            return await self.identify(None, cookies)
        except StoreUnavailableError:
            raise
        except AuthgwError:
            return None

    def verified_cookies(self, cookies: Sequence[str]) -> tuple[Token, ...]:
        """Verify at most 16 of these cookies; return tokens of at most 8 different sessions."""
        tokens, _ = self._cookie_tokens([*dict.fromkeys(cookies)][:MAX_VERIFIED_COOKIES])
        return (*{token.sid: token for token in tokens}.values(),)[:MAX_ENDED_SESSIONS]

    async def snapshots(self, sids: Sequence[str]) -> dict[str, Snapshot]:
        """Return the snapshot of each session: mirrored, or read from the store.

        Raises:
            StoreUnavailableError: a session cannot be read now.
        """
        if len(sids) == 1:
            return {sids[0]: await self._store.get(sids[0])}
        return await self._store.get_many(sids)

    def admit(self, session: Session, now: float) -> tuple[Principal, float]:
        """Return the principal of a valid session, and the time until which it may be cached.

        Times are Unix seconds of the store's clock.

        Raises:
            SessionEndedError: its user, its account or its identity provider ended it.
            RecheckRequiredError: its identity provider has to confirm it.
        """
        if not self._bounds.concern(session):
            return principal_of(session, self._users), session.expires_at
        principal = principal_of(session, self._users, provider=self._bounds.source_of(session))
        present = now + PROXY_CACHE_LIFETIME
        until = min(
            self._bounds.until(session, present),
            self._bounds.name_until(session, self._users, present),
        )
        until -= PROXY_CACHE_LIFETIME
        return principal, min(until - self._store.max_staleness, session.expires_at)

    def _mirrored(self, sids: Sequence[str]) -> dict[str, Snapshot] | None:
        """Return the snapshot of each session, None unless all are mirrored."""
        snapshots: dict[str, Snapshot] = {}
        for sid in sids:
            snapshot = self._peek(sid)
            if snapshot is None:
                return None
            snapshots[sid] = snapshot
        return snapshots

    def _peek(self, sid: str) -> Snapshot | None:
        """Return the mirrored snapshot; that of a provider's session has the present time."""
        snapshot = self._store.peek(sid)
        if snapshot is None or snapshot.session is None or not snapshot.session.issuer:
            return snapshot
        return self._store.peek_current(sid)

    async def settle(self) -> None:
        """Wait for the background writes of confirmations."""
        await self._confirmations.settle()

    def _verified_credentials(
        self, bearer: str | None, cookies: Sequence[str]
    ) -> _VerifiedCredentials:
        if bearer is None and not cookies:
            raise TokenMissingError
        if len(cookies) > MAX_SESSION_COOKIES:
            raise CredentialsAmbiguousError
        token = None if bearer is None else self._verify(bearer, TokenType.ACCESS)
        if not cookies:
            return _VerifiedCredentials(token)
        return _VerifiedCredentials(token, *self._cookie_tokens(cookies))

    def _only_identity(
        self, credentials: _VerifiedCredentials, snapshots: Mapping[str, Snapshot]
    ) -> Identity:
        token, from_cookies = credentials.token, credentials.cookie_tokens
        if token is None:
            refusal = credentials.cookie_refusal or TokenMissingError()
            return self._only_active(from_cookies, snapshots, refusal)
        identity = self._identity(token, snapshots[token.sid])
        if from_cookies:
            self._refuse_another(from_cookies, snapshots, identity.session)
        return identity

    def _verify(self, text: str, kind: TokenType) -> Token:
        return self._verified.verify(text, kind, now=self._clock())

    def _identity(self, token: Token, snapshot: Snapshot) -> Identity:
        # Before the look-up: users that change in between must outdate the identity.
        users_version = self._users.version
        try:
            own = sessions.of_subject(snapshot.session, token.sub)
            session = sessions.check_valid(own, snapshot.now)
            principal, until = self.admit(session, snapshot.now)
        except SessionEndedError:
            raise SessionEndedError(sub=token.sub, sid=token.sid) from None
        present = snapshot.now + PROXY_CACHE_LIFETIME
        if self._on_due is not None and self._bounds.is_due(session, present):
            self._on_due(snapshot)
        confirmed = sessions.confirm(session, gen=token.gen, jti=token.jti)
        if confirmed is not session:
            self._confirmations.schedule(snapshot, confirmed)
        return Identity(principal, token, session, snapshot, users_version, until)

    def _cookie_tokens(self, cookies: Sequence[str]) -> tuple[list[Token], AuthgwError | None]:
        """Return the tokens that verify, and the last refusal among the others."""
        tokens: list[Token] = []
        refusal: AuthgwError | None = None
        for text in dict.fromkeys(cookies):
            try:
                tokens.append(self._verify(text, TokenType.SESSION))
            except AuthgwError as error:
                refusal = error.without_frames()
        return tokens, refusal

    def _only_active(
        self, tokens: Sequence[Token], snapshots: Mapping[str, Snapshot], refusal: AuthgwError
    ) -> Identity:
        """Return the identity of the only active session; inactive sessions are ignored.

        A sibling domain can plant cookies of our name.
        """
        active: dict[str, Identity] = {}
        for token in tokens:
            try:
                active[token.sid] = self._identity(token, snapshots[token.sid])
            except AuthgwError as error:
                refusal = error.without_frames()
        if len(active) > 1:
            raise CredentialsAmbiguousError
        if not active:
            raise refusal
        return active.popitem()[1]

    def _refuse_another(
        self, tokens: Sequence[Token], snapshots: Mapping[str, Snapshot], session: Session
    ) -> None:
        try:
            other = self._only_active(tokens, snapshots, TokenMissingError()).session
        except CredentialsAmbiguousError:
            raise
        except AuthgwError:
            return
        if other.sid != session.sid:
            raise CredentialsAmbiguousError
