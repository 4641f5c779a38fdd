"""Logout tokens of an identity provider (OpenID Connect Back-Channel Logout 1.0 section 2.6)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from authgw.core.errors import LogoutTokenInvalidError
from authgw.core.limits import LOGOUT_TOKEN_WINDOW
from authgw.core.providers.foreign_tokens import (
    ForeignKeyUnknownError,
    ForeignToken,
    ForeignTokenError,
    check_times,
    signed_token_of,
    text_claim,
)
from authgw.core.providers.jwks import ProviderKeys
from authgw.core.providers.model import Provider

_EVENT = "http://schemas.openid.net/event/backchannel-logout"
# Section 2.4: the type is recommended only, and Keycloak before version 25 writes `JWT`.
_TYPES = ("", "jwt", "logout+jwt")


class LogoutKeyUnknownError(LogoutTokenInvalidError):
    """Raised when a provider's key set has no key for its logout token: it may have new keys."""

    cause = "provider_key_unknown"


@dataclass(frozen=True, slots=True)
class LogoutNotice:
    """A verified notice that sessions at the provider have ended at `issued_at` (Unix seconds).

    It is for all sessions of `account`, or for the session `idp_sid` only if that is there.
    """

    account: str | None
    idp_sid: str | None
    issued_at: float


def verify_logout_token(
    text: str, *, provider: Provider, keys: ProviderKeys, now: float
) -> LogoutNotice:
    """Verify a logout token at `now`, in Unix seconds.

    A token without `exp`, which earlier versions of the specification did not demand, is valid for
    two minutes. A replay is not refused: it ends only sessions that the first use has ended.

    Raises:
        LogoutKeyUnknownError: no key is known for it; get the keys again, once.
        LogoutTokenInvalidError: the token is not valid; `cause` is the reason.
    """
    try:
        token = signed_token_of(text, provider, keys)
        _check_type(token)
        issued_at = check_times(token.claims, now, provider.skew)
        has_expiry = token.claims.get("exp") is not None
        if not has_expiry and issued_at < now - LOGOUT_TOKEN_WINDOW - provider.skew:
            raise ForeignTokenError("provider_expired")
        return _notice(token.claims, issued_at)
    except ForeignKeyUnknownError:
        raise LogoutKeyUnknownError from None
    except ForeignTokenError as error:
        raise LogoutTokenInvalidError(cause=error.cause, note=error.note) from None


def _check_type(token: ForeignToken) -> None:
    if token.typ not in _TYPES:
        raise ForeignTokenError("provider_type")
    events = token.claims.get("events")
    if not isinstance(events, dict) or not isinstance(events.get(_EVENT), dict):
        raise ForeignTokenError("logout_events")
    if "nonce" in token.claims:
        raise ForeignTokenError("logout_nonce")


def _notice(claims: Mapping[str, Any], issued_at: float) -> LogoutNotice:
    account, idp_sid = text_claim(claims, "sub"), text_claim(claims, "sid")
    if account is None and idp_sid is None:
        raise ForeignTokenError("logout_subject")
    if text_claim(claims, "jti") is None:
        raise ForeignTokenError("provider_claims", "the logout token has no `jti`")
    return LogoutNotice(account, idp_sid, issued_at)
