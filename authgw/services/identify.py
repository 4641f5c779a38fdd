"""Identify the caller of a request by an access token or by session cookies."""

from collections.abc import Callable, Mapping, Sequence

from authgw.core import sessions
from authgw.core.errors import (
    AuthgwError,
    CredentialsAmbiguousError,
    SessionEndedError,
    StoreUnavailableError,
    TokenMissingError,
)
from authgw.core.ports import MirroringStore
from authgw.core.sessions import Session, Snapshot
from authgw.core.token_cache import VerifiedTokens
from authgw.core.tokens import Issuer, Token, TokenType
from authgw.core.users import UserDirectory, principal_of
from authgw.services.confirmations import Confirmations
from authgw.services.results import Identity

# Session cookies that one request may bring; a browser's jar can hold one for each domain. A login
# or logout verifies more and ends some of them, so that a browser with more has a way out.
_MAX_COOKIES, _MAX_VERIFIED, _MAX_ENDED = 4, 16, 8
# Verified tokens that are remembered; each takes about 1 KB.
MAX_TOKENS = 4096


class Identification:
    """Identifies callers by the tokens of one issuer and the sessions of one store.

    `clock` gives Unix seconds of this replica; `people` is the users file.
    """

    def __init__(
        self,
        store: MirroringStore,
        issuer: Issuer,
        people: UserDirectory,
        *,
        clock: Callable[[], float],
    ) -> None:
        self._store = store
        self._people = people
        self._verified = VerifiedTokens(issuer, MAX_TOKENS)
        self._clock = clock
        self._confirmations = Confirmations(store)

    async def identify(self, bearer: str | None, cookies: Sequence[str] = ()) -> Identity:
        """Who sent this access token, or the one live session among these session cookies.

        Raises:
            TokenMissingError and the errors of `Issuer.verify`.
            SessionEndedError: logged out, revoked, idle or expired.
            CredentialsAmbiguousError: they name more than one live session, or are over four
                cookies.
            StoreUnavailableError: nobody can say now.
        """
        if bearer is None and not cookies:
            raise TokenMissingError
        if len(cookies) > _MAX_COOKIES:
            raise CredentialsAmbiguousError
        token = None if bearer is None else self._verify(bearer, TokenType.ACCESS)
        if token is not None and not cookies:
            known = self._store.peek(token.sid) or await self._store.look(token.sid)
            return self._alive(token, known)
        planted, why = self._cookie_tokens(cookies)
        if token is None:
            return self._one_of(planted, await self.seen([one.sid for one in planted]), why)
        seen = await self.seen([token.sid, *(one.sid for one in planted)])
        found = self._alive(token, seen[token.sid])
        self._refuse_another(planted, seen, found.session)
        return found

    def still(self, found: Identity) -> bool:
        """Whether all that was found still holds, as far as can be said without waiting."""
        session = found.session
        if not session.confirmed or self._clock() >= found.token.valid_until:
            return False
        seen = self._store.peek(session.sid)
        # The mirror and the users file keep an object for as long as what it says is true.
        if seen is None or seen.session is not session or seen.now >= session.expires_at:
            return False
        return self._people.find(session.sub) is found.person

    async def browser_session(self, cookies: Sequence[str]) -> Identity | None:
        """The one live session that these cookies name, if there is one.

        Raises:
            StoreUnavailableError: nobody can say now.
        """
        try:
            return await self.identify(None, cookies)
        except StoreUnavailableError:
            raise
        except AuthgwError:
            return None

    def named_by(self, cookies: Sequence[str]) -> tuple[Token, ...]:
        """At most 8 sessions of these cookies, of which at most 16 are verified."""
        tokens, _ = self._cookie_tokens([*dict.fromkeys(cookies)][:_MAX_VERIFIED])
        return (*{token.sid: token for token in tokens}.values(),)[:_MAX_ENDED]

    async def seen(self, sids: Sequence[str]) -> dict[str, Snapshot]:
        """Return what is known of each of these sessions, read from the store if need be.

        Raises:
            StoreUnavailableError: nobody can say now.
        """
        known = {sid: self._store.peek(sid) for sid in sids}
        if None in known.values():
            return await self._store.look_all(tuple(known))
        return {sid: snapshot for sid, snapshot in known.items() if snapshot is not None}

    async def settle(self) -> None:
        """Wait for the small writes that answers did not wait for."""
        await self._confirmations.settle()

    def _verify(self, text: str, kind: TokenType) -> Token:
        return self._verified.verify(text, kind, now=self._clock())

    def _alive(self, token: Token, snapshot: Snapshot) -> Identity:
        try:
            ours = sessions.of_subject(snapshot.session, token.sub)
            session = sessions.check_valid(ours, snapshot.now)
            person = self._people.find(session.sub)
            principal = principal_of(session, person)
        except SessionEndedError:
            raise SessionEndedError(sub=token.sub, sid=token.sid) from None
        confirmed = sessions.confirm(session, gen=token.gen, jti=token.jti)
        if confirmed is not session:
            self._confirmations.later(snapshot, confirmed)
        return Identity(principal, token, session, person)

    def _cookie_tokens(self, cookies: Sequence[str]) -> tuple[list[Token], AuthgwError]:
        """The tokens that verify, and why the last one that does not is refused."""
        tokens: list[Token] = []
        why: AuthgwError = TokenMissingError()
        for text in dict.fromkeys(cookies):
            try:
                tokens.append(self._verify(text, TokenType.SESSION))
            except AuthgwError as error:
                why = error
        return tokens, why

    def _one_of(
        self, tokens: Sequence[Token], seen: Mapping[str, Snapshot], why: AuthgwError
    ) -> Identity:
        """A sibling domain can plant cookies of our name: what is not live does not count."""
        live: dict[str, Identity] = {}
        for token in tokens:
            try:
                live[token.sid] = self._alive(token, seen[token.sid])
            except AuthgwError as error:
                why = error
        if len(live) > 1:
            raise CredentialsAmbiguousError
        if not live:
            raise why
        return live.popitem()[1]

    def _refuse_another(
        self, tokens: Sequence[Token], seen: Mapping[str, Snapshot], session: Session
    ) -> None:
        try:
            other = self._one_of(tokens, seen, TokenMissingError()).session
        except CredentialsAmbiguousError:
            raise
        except AuthgwError:
            return
        if other.sid != session.sid:
            raise CredentialsAmbiguousError
