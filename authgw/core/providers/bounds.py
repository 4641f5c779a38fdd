"""Times at which sessions of identity providers have to be checked again, and at which they end."""

import math
from collections.abc import Mapping

from authgw.core.errors import RecheckRequiredError, SessionEndedError
from authgw.core.limits import BINDING_DELAY, RENEWAL_RETRY_AFTER
from authgw.core.model import PROVIDER_PREFIX
from authgw.core.providers.model import Provider
from authgw.core.sessions import Session
from authgw.core.users import UserDirectory


class ProviderBounds:
    """Bounds of the sessions whose accounts are at these providers, by their names.

    Each provider has another issuer. All times are Unix seconds of the store's clock.
    """

    def __init__(self, providers: Mapping[str, Provider]) -> None:
        self._by_issuer = {provider.issuer: provider for provider in providers.values()}

    def concern(self, session: Session) -> bool:
        """Return True if the session is of an identity provider, or of an account at one."""
        return bool(session.issuer) or session.source.startswith(PROVIDER_PREFIX)

    def source_of(self, session: Session) -> str:
        """Return the source of the session's account, also if it is linked to a user.

        It is empty without a configured provider.
        """
        provider = self._by_issuer.get(session.issuer)
        return provider.source if provider else ""

    def until(self, session: Session, now: float) -> float:
        """Return the time from which a complete check of the session is due.

        It is infinite without a provider.

        Raises:
            SessionEndedError: the provider is not configured any more or has another issuer, the
                session cannot be checked and is too old, or its last check was too long ago.
            RecheckRequiredError: the provider has to confirm the account before the next request.
        """
        provider = self._configured(session)
        return math.inf if provider is None else _until(session, provider, now)

    def name_until(self, session: Session, users: UserDirectory, now: float) -> float:
        """Return the time from which the binding of the session's name has to exist.

        It is infinite if the binding exists, or the session needs no binding.

        Raises:
            SessionEndedError: the binding was released.
        """
        if not session.source.startswith(PROVIDER_PREFIX):
            return math.inf
        provider = self._by_issuer.get(session.issuer)
        if provider is None or not provider.needs_binding or _is_bound(session, provider, users):
            return math.inf
        end = session.created_at + BINDING_DELAY
        _check_before(end, now)
        return end

    def is_due(self, session: Session, now: float) -> bool:
        """Return True if the provider has to be contacted about this valid session.

        Raises:
            SessionEndedError: the provider is not configured any more or has another issuer.
        """
        provider = self._configured(session)
        refresh = None if provider is None else _refresh(session, provider)
        return refresh is not None and now >= session.tried_at + refresh

    def _configured(self, session: Session) -> Provider | None:
        """Return the provider of the session's account, None without an account."""
        if not self.concern(session):
            return None
        provider = self._by_issuer.get(session.issuer)
        is_of_provider = session.source.startswith(PROVIDER_PREFIX)
        if provider is None or (is_of_provider and provider.source != session.source):
            raise SessionEndedError
        return provider


def _is_bound(session: Session, provider: Provider, users: UserDirectory) -> bool:
    if provider.subject == "sub":
        return users.bound_name(session.issuer, session.account) is not None
    return users.binding(session.sub) == (session.issuer, session.account)


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
