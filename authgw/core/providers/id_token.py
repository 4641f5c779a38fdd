"""ID tokens of an identity provider (OpenID Connect Core 1.0 section 3.1.3.7)."""

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from authgw.core.base64url import base64url
from authgw.core.errors import FlowInvalidError
from authgw.core.providers.foreign_tokens import (
    ForeignKeyUnknownError,
    ForeignToken,
    ForeignTokenError,
    check_times,
    signed_token_of,
    text_claim,
    texts_claim,
    time_claim,
)
from authgw.core.providers.jwks import KeyUnknownError, ProviderKeys
from authgw.core.providers.model import Provider


@dataclass(frozen=True, slots=True)
class ProviderIdToken:
    """A verified ID token; times are in Unix seconds, and `claims` are all of its claims.

    `account` is its `sub`, `idp_sid` its `sid` (Back-Channel Logout 1.0 section 2.1), empty without
    that claim.
    """

    account: str
    claims: Mapping[str, Any]
    issued_at: float
    auth_time: float | None = None
    amr: tuple[str, ...] = ()
    acr: str = ""
    idp_sid: str = ""


def verify_id_token(
    text: str,
    *,
    provider: Provider,
    keys: ProviderKeys,
    nonce: str | None,
    access_token: str | None,
    now: float,
) -> ProviderIdToken:
    """Verify an ID token at `now`, in Unix seconds.

    Args:
        text: The token.
        provider: The provider that returned it.
        keys: Its keys.
        nonce: The nonce of the login; None at a refresh (Core section 12.2).
        access_token: The access token that came with it, for `at_hash`.
        now: The time; it may differ from the provider's by `provider.skew`.

    Raises:
        KeyUnknownError: no key is known for it; get the keys again, once.
        FlowInvalidError: the token is not valid; `cause` is the reason.
    """
    try:
        token = signed_token_of(text, provider, keys)
        _check_type(token)
        issued_at = check_times(token.claims, now, provider.skew)
        _check_nonce(token.claims, nonce)
        _check_access_token(token, access_token)
        return _values(token.claims, issued_at, now + provider.skew)
    except ForeignKeyUnknownError:
        raise KeyUnknownError from None
    except ForeignTokenError as error:
        raise FlowInvalidError(cause=error.cause, note=error.note) from None


def _check_type(token: ForeignToken) -> None:
    """Refuse tokens that are made for another purpose (RFC 8725 sections 3.11 and 3.12)."""
    if token.typ.endswith("+jwt") or "events" in token.claims:
        raise ForeignTokenError("provider_type")
    if token.claims.get("exp") is None:
        raise ForeignTokenError("provider_claims", "the ID token has no `exp`")
    # Core section 3.1.3.7 item 4: the client for which a token for several audiences is.
    audience = token.claims["aud"]
    if isinstance(audience, list) and len(audience) > 1 and "azp" not in token.claims:
        raise ForeignTokenError("provider_audience")


def _check_nonce(claims: Mapping[str, Any], nonce: str | None) -> None:
    found = claims.get("nonce")
    if nonce is None:
        return
    if not isinstance(found, str) or not hmac.compare_digest(found.encode(), nonce.encode()):
        raise ForeignTokenError("provider_nonce")


def _check_access_token(token: ForeignToken, access_token: str | None) -> None:
    """Compare `at_hash` with the access token, if both are there (Core section 3.1.3.8)."""
    found = token.claims.get("at_hash")
    if found is None or access_token is None:
        return
    # Ed25519 has SHA-512 inside (RFC 8032 section 5.1); all other algorithms here have SHA-256.
    name = "sha512" if token.algorithm == "EdDSA" else "sha256"
    digest = hashlib.new(name, access_token.encode()).digest()
    expected = base64url(digest[: len(digest) // 2])
    if not isinstance(found, str) or not hmac.compare_digest(found.encode(), expected):
        raise ForeignTokenError("provider_at_hash")


def _values(claims: Mapping[str, Any], issued_at: float, latest: float) -> ProviderIdToken:
    account, auth_time = text_claim(claims, "sub"), time_claim(claims, "auth_time")
    if account is None:
        raise ForeignTokenError("provider_claims", "the ID token has no `sub`")
    if auth_time is not None and auth_time > latest:
        raise ForeignTokenError("provider_not_yet_valid")
    return ProviderIdToken(
        account,
        claims,
        issued_at,
        auth_time,
        texts_claim(claims, "amr"),
        text_claim(claims, "acr") or "",
        text_claim(claims, "sid") or "",
    )
