"""Times at which sessions of identity providers have to be checked again, and at which they end."""

import math
from collections.abc import Mapping

from authgw.core.errors import RecheckRequiredError, SessionEndedError
from authgw.core.limits import RENEWAL_RETRY_AFTER
from authgw.core.model import PROVIDER_PREFIX
from authgw.core.providers.model import Provider
from authgw.core.sessions import Session


class ProviderBounds:
    """Bounds of the sessions whose accounts are at these providers, by their names.

    A session whose account is linked to a user names an issuer only: if several providers have it,
    the strictest of their bounds applies. All times are Unix seconds of the store's clock.
    """

    def __init__(self, providers: Mapping[str, Provider]) -> None:
        self._by_source = {provider.source: provider for provider in providers.values()}
        self._by_issuer: dict[str, tuple[Provider, ...]] = {}
        for provider in providers.values():
            others = self._by_issuer.get(provider.issuer, ())
            self._by_issuer[provider.issuer] = (*others, provider)

    def sources_of(self, session: Session) -> tuple[str, ...]:
        """Return the sources that the session's account can have, also if it is linked to a user.

        There are none without a configured provider.
        """
        return tuple([provider.source for provider in self._by_issuer.get(session.issuer, ())])

    def until(self, session: Session, now: float) -> float:
        """Return the time from which a complete check of the session is due.

        It is infinite without a provider.

        Raises:
            SessionEndedError: the provider is not configured any more or has another issuer, the
                session cannot be checked and is too old, or its last check was too long ago.
            RecheckRequiredError: the provider has to confirm the account before the next request.
        """
        providers = self._providers(session)
        return min([_until(session, each, now) for each in providers], default=math.inf)

    def is_due(self, session: Session, now: float) -> bool:
        """Return True if the provider has to be contacted about this valid session.

        Raises:
            SessionEndedError: the provider is not configured any more or has another issuer.
        """
        refreshes = [_refresh(session, provider) for provider in self._providers(session)]
        return any(
            refresh is not None and now >= session.tried_at + refresh for refresh in refreshes
        )

    def _providers(self, session: Session) -> tuple[Provider, ...]:
        """Return the providers that the session's account can have, none without an account."""
        if session.source.startswith(PROVIDER_PREFIX):
            provider = self._by_source.get(session.source)
            if provider is None or provider.issuer != session.issuer:
                raise SessionEndedError
            return (provider,)
        if not session.issuer:
            return ()
        if session.issuer not in self._by_issuer:
            raise SessionEndedError
        return self._by_issuer[session.issuer]


def _until(session: Session, provider: Provider, now: float) -> float:
    refresh = _refresh(session, provider)
    if refresh is None:
        end = session.created_at + provider.session
        _check_before(end, now)
        return end
    end = session.checked_at + provider.stale
    _check_before(end, now)
    recheck_at = max(session.checked_at, session.tried_at) + 2 * refresh
    if now >= recheck_at:
        raise RecheckRequiredError(sub=session.sub, sid=session.sid)
    due_at = session.tried_at + refresh
    return min(end, recheck_at, due_at if now < due_at else now + RENEWAL_RETRY_AFTER)


def _refresh(session: Session, provider: Provider) -> float | None:
    """Return the interval of checks in seconds, None if the session cannot be checked."""
    return provider.refresh if session.sealed else None


def _check_before(end: float, now: float) -> None:
    if now >= end:
        raise SessionEndedError
