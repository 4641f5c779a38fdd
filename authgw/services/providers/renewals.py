"""Check accounts of sessions again at their provider: in the background, or for the login page."""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from loguru import logger

from authgw.core.audit import AuditRecorder, Event, account_fields
from authgw.core.counters import Counters
from authgw.core.errors import (
    FlowInvalidError,
    ProviderRefusedError,
    ProviderUnavailableError,
    StoreUnavailableError,
)
from authgw.core.limits import (
    MAX_RENEWALS,
    PROVIDER_LOG_WINDOW,
    RENEWAL_RETRY_AFTER,
    RENEWAL_TIMEOUT,
)
from authgw.core.measurements import Measurement, labelled_counter
from authgw.core.ports import SessionStore
from authgw.core.providers import renewal
from authgw.core.providers.admission import AccountDirectory, admit
from authgw.core.providers.claims import (
    claims_of_id_token,
    groups_in,
    merge_userinfo,
    missing_claims,
)
from authgw.core.providers.model import Provider, ProviderClaims
from authgw.core.providers.renewal import AfterRefusal, RenewalResult
from authgw.core.reasons import CAUSES
from authgw.core.sealing import SealBrokenError, Sealer
from authgw.core.sessions import Session, Snapshot
from authgw.services.providers.connected import ConnectedProvider
from authgw.services.providers.secrets import ProviderSecret, seal, unseal
from authgw.services.providers.tokens import GrantRefusedError, ProviderTokens

# Compare-and-set: each round has a winner, so that more rounds mean a broken store.
_ROUNDS = 8
_SECRET_BROKEN = "provider_secret_broken"  # noqa: S105  the name of an event
_CHECK_FAILED = "provider_check_failed"
_POLL = 0.25  # seconds between two looks at a check that another replica makes


class RenewalCounts(Counter[tuple[str, ...]]):
    """The number of checks by provider and outcome; a reload leaves them in place."""

    def collect(self) -> Iterator[Measurement]:
        """See `MeasuredPart.collect`."""
        yield labelled_counter(
            "authgw_provider_renewals",
            "Checks of running sessions at identity providers by outcome: confirmed; away, without "
            "a valid response; ended, for an account that may not continue the session",
            ("provider", "outcome"),
            dict(self),
        )


@dataclass(slots=True)
class _Attempt:
    """A check under way; `sealed` is the new refresh token as soon as the provider has sent it."""

    connected: ConnectedProvider
    session: Session
    now: float
    secret: ProviderSecret
    sealed: str = field(default="", repr=False)


class Renewals:
    """Checks of sessions at these providers; a session is checked by one replica at a time.

    `sealer` opens and encrypts refresh tokens; `users` admits the accounts again.
    """

    def __init__(
        self,
        connected: Iterable[ConnectedProvider],
        store: SessionStore,
        counters: Counters,
        sealer: Sealer,
        users: AccountDirectory,
        *,
        record: AuditRecorder,
        clock: Callable[[], float],
        counts: RenewalCounts | None = None,
    ) -> None:
        self._by_issuer = {each.provider.issuer: each for each in connected}
        self._store = store
        self._counters = counters
        self._sealer = sealer
        self._users = users
        self._record = record
        self._clock = clock
        self._counts = RenewalCounts() if counts is None else counts
        self._running: dict[str, asyncio.Task[str]] = {}
        self._logged_at: dict[str, float] = {}

    def schedule(self, snapshot: Snapshot) -> None:
        """Check a session in the background; with many checks under way, its next use does."""
        session = snapshot.session
        is_full = len(self._running) >= MAX_RENEWALS
        if session is None or self._provider_of(session) is None:
            return
        if not is_full and session.sid not in self._running:
            self._start(session.sid)

    async def check(self, session: Session) -> bool:
        """Check a session now, or wait for its check under way; False if it has ended.

        Raises:
            ProviderUnavailableError: the provider did not confirm the account.
            StoreUnavailableError: the session cannot be read or written now.
        """
        connected, sid = self._provider_of(session), session.sid
        if connected is None:
            return True
        if await asyncio.shield(self._running.get(sid) or self._start(sid)) == "busy":
            await self._other_replica(session)
        after = (await self._store.read(sid)).session
        if after is None:
            return False
        if after.checked_at <= session.checked_at:
            name = connected.provider.name
            raise ProviderUnavailableError(note=f"{name} did not confirm the account of a session")
        return True

    async def settle(self) -> None:
        """Wait for the checks in the background."""
        await asyncio.gather(*self._running.values(), return_exceptions=True)

    def _provider_of(self, session: Session | None) -> ConnectedProvider | None:
        """Return the provider that a session can be checked at, or None."""
        if session is None or not session.sealed:
            return None
        return self._by_issuer.get(session.issuer)

    def _start(self, sid: str) -> "asyncio.Task[str]":
        task = asyncio.create_task(self._run(sid))
        self._running[sid] = task
        task.add_done_callback(lambda done: self._ended(sid, done))
        return task

    def _ended(self, sid: str, task: "asyncio.Task[str]") -> None:
        del self._running[sid]
        error = None if task.cancelled() else task.exception()
        if error is not None and not isinstance(error, StoreUnavailableError):
            logger.bind(event="provider_check_failed").warning(
                f"A session was not checked at its provider ({type(error).__name__})."
            )

    async def _run(self, sid: str) -> str:
        """Check a session and store the result; return the outcome."""
        # Before the session is read: whoever claims later reads what this check has stored.
        if not await self._counters.claim(f"renewal:{sid}", RENEWAL_RETRY_AFTER):
            return "busy"
        snapshot = await self._store.read(sid)
        session = snapshot.session
        connected = self._provider_of(session)
        if session is None or connected is None:
            return "none"
        result = await self._result(connected, session, snapshot.now)
        if result is None:
            return "none"
        self._counts[connected.provider.name, result.outcome] += 1
        await self._commit(session, result)
        return result.outcome

    async def _result(
        self, connected: ConnectedProvider, session: Session, now: float
    ) -> RenewalResult | None:
        """Return the result of a check; None if another check took its place."""
        try:
            secret = unseal(self._sealer, session)
        except SealBrokenError:
            self._alarm(
                _SECRET_BROKEN,
                connected.provider,
                "the refresh token of a session cannot be decrypted: a signing key is missing, or "
                "the store was changed",
            )
            return renewal.away(session, now=now)
        attempt = _Attempt(connected, session, now, secret)
        try:
            async with asyncio.timeout(RENEWAL_TIMEOUT):
                return await self._checked(attempt)
        except ProviderRefusedError as error:
            return renewal.ended(session, error.cause)
        except (ProviderUnavailableError, FlowInvalidError) as error:
            reason = error.note or error.detail
        except TimeoutError:
            reason = f"no result within {RENEWAL_TIMEOUT:.0f} s"
        self._alarm(_CHECK_FAILED, connected.provider, reason)
        return renewal.away(session, now=now, sealed=attempt.sealed)

    async def _checked(self, attempt: _Attempt) -> RenewalResult | None:
        tokens = await self._refreshed(attempt)
        if tokens is None:
            return None
        if isinstance(tokens, RenewalResult):
            return tokens
        provider, session = attempt.connected.provider, attempt.session
        if tokens.refresh_token not in ("", attempt.secret.refresh_token):
            kept = ProviderSecret(tokens.refresh_token, attempt.secret.id_token)
            attempt.sealed = seal(self._sealer, kept, session.sid, self._clock())
        claims, responses = await _claims(attempt, tokens)
        if not renewal.is_same_account(session, claims):
            return renewal.ended(session, "renewal_account")
        known = renewal.with_groups(session, claims, responses)
        if known is None:
            raise ProviderUnavailableError(note="the response with the groups is missing")
        admitted = admit(provider, known, self._users)
        return renewal.renewed(session, known, admitted, now=attempt.now, sealed=attempt.sealed)

    async def _refreshed(self, attempt: _Attempt) -> ProviderTokens | RenewalResult | None:
        """Return the tokens for the refresh token, or the result if it is refused.

        None if another replica has used the refresh token up.
        """
        connected, refusals = attempt.connected, 0
        if not attempt.secret.refresh_token:
            raise ProviderUnavailableError(note="a session has no refresh token")
        metadata = await connected.metadata()
        while True:
            try:
                token = attempt.secret.refresh_token
                return await connected.tokens.by_refresh_token(metadata, token)
            except GrantRefusedError:
                refusals += 1
            stored = (await self._store.read(attempt.session.sid)).session
            match renewal.after_refusal(attempt.session.sealed, stored, refusals):
                case AfterRefusal.LEAVE:
                    return None
                case AfterRefusal.END:
                    return renewal.ended(attempt.session, "renewal_refused")
                case AfterRefusal.RETRY:
                    await asyncio.sleep(renewal.RETRY_DELAY)

    async def _commit(self, seen: Session, result: RenewalResult) -> None:
        """End the session, or replace it unless it has ended in the meantime."""
        if result.outcome == "ended":
            if await self._store.revoke(seen.sid):
                sentence = f"ended by its identity provider: {CAUSES.get(result.cause, '')}"
                more = account_fields(self._by_issuer[seen.issuer].provider.name, seen.account)
                self._record(
                    Event("revoke", sub=seen.sub, sid=seen.sid, sentence=sentence, more=more)
                )
            return
        snapshot: Snapshot | None = await self._store.read(seen.sid)
        for _ in range(_ROUNDS):
            stored = None if snapshot is None else snapshot.session
            changed = renewal.carried_over(result.session, seen, stored)
            if snapshot is None or changed is None:
                return
            snapshot = await self._store.replace(snapshot, changed)
        raise StoreUnavailableError("the session changed under every attempt")

    async def _other_replica(self, before: Session) -> None:
        """Wait until another replica has checked the session, for the time of a check."""
        for _ in range(int(RENEWAL_TIMEOUT / _POLL)):
            session = (await self._store.read(before.sid)).session
            if session is None or session.tried_at > before.tried_at:
                return
            await asyncio.sleep(_POLL)

    def _alarm(self, event: str, provider: Provider, reason: str) -> None:
        """Log a failure; of a provider and kind, a single line in a minute."""
        now, name = self._clock(), f"{event}:{provider.name}"
        if now < self._logged_at.get(name, 0.0) + PROVIDER_LOG_WINDOW:
            return
        self._logged_at[name] = now
        sentence = f"login.providers.{provider.name}: sessions stay for at most `stale`: {reason}."
        if event == _SECRET_BROKEN:
            logger.bind(event="provider_secret_broken").error(sentence)
        else:
            logger.bind(event="provider_check_failed").warning(sentence)


async def _claims(
    attempt: _Attempt, tokens: ProviderTokens
) -> tuple[ProviderClaims, tuple[str, ...]]:
    """Return the claims of a refresh, and the responses that they come from.

    A response without an ID token is valid (OpenID Connect Core section 12.2): the user information
    of the same account confirms it as well.
    """
    connected, session = attempt.connected, attempt.session
    provider = connected.provider
    if not tokens.id_token:
        userinfo = await connected.userinfo(tokens.access_token, renews=True)
        return _claims_of_userinfo(provider, userinfo), ("userinfo",)
    # Section 12.2: without a nonce; the times and methods of the login stay as they were.
    verified = await connected.verified(tokens, nonce=None)
    claims = claims_of_id_token(verified, provider)
    if not missing_claims(claims, provider) and session.groups_from != "userinfo":
        return claims, ("id_token",)
    try:
        userinfo = await connected.userinfo(tokens.access_token, renews=True)
    except ProviderUnavailableError:
        return claims, ("id_token",)
    if not userinfo:
        return claims, ("id_token",)
    return merge_userinfo(claims, userinfo, provider), ("id_token", "userinfo")


def _claims_of_userinfo(provider: Provider, userinfo: dict[str, object]) -> ProviderClaims:
    account = userinfo.get("sub")
    if not isinstance(account, str) or not account:
        raise ProviderUnavailableError(
            note="a refresh brought neither an ID token nor user information"
        )
    groups = groups_in(userinfo, provider.groups.claim)
    groups_from = "" if groups is None else "userinfo"
    return ProviderClaims(provider.issuer, account, userinfo, groups, groups_from)
