"""Signed tokens of an identity provider: the checks that ID tokens and logout tokens share.

They follow OpenID Connect Core 1.0 section 3.1.3.7 and RFC 8725 section 3.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from authgw.core.errors import TokenMalformedError
from authgw.core.jws import JoseHeader, has_public_signature, parse, signed_part
from authgw.core.keys import PublicKey
from authgw.core.limits import MAX_PROVIDER_AMR, MAX_PROVIDER_TOKEN_BYTES, MAX_TEXT_BYTES
from authgw.core.providers.jwks import ProviderKeys
from authgw.core.providers.model import Provider
from authgw.core.users import is_header_safe


class ForeignTokenError(Exception):
    """Raised for a token that is not valid; `cause` is a code of `core.reasons.CAUSES`."""

    def __init__(self, cause: str, note: str = "") -> None:
        self.cause = cause
        self.note = note
        super().__init__(cause)


class ForeignKeyUnknownError(ForeignTokenError):
    """Raised for a token whose key the known key set does not contain."""

    def __init__(self) -> None:
        super().__init__("provider_key_unknown")


@dataclass(frozen=True, slots=True)
class ForeignToken:
    """A token with a valid signature; `typ` is in lower case and without `application/`."""

    typ: str
    algorithm: str
    claims: Mapping[str, Any]


def signed_token_of(text: str, provider: Provider, keys: ProviderKeys) -> ForeignToken:
    """Return a token that the provider has signed for this client; times are not checked.

    Raises:
        ForeignTokenError: not a canonical JWS, not with an algorithm of the provider, not signed by
            it, or of another issuer or for another client.
        ForeignKeyUnknownError: another key of the provider may have signed it.
    """
    try:
        header, claims, signature = parse(text, MAX_PROVIDER_TOKEN_BYTES)
    except TokenMalformedError:
        raise ForeignTokenError("provider_token") from None
    if header.is_extended or header.brings_key:
        raise ForeignTokenError("provider_token")
    algorithm = header.alg or ""
    public = _key_of(header, algorithm, provider, keys)
    if not has_public_signature(signed_part(text), signature, algorithm, public):
        # Without a kid it may be of a new key that has taken the place of the known key.
        raise ForeignTokenError("provider_signature") if header.kid else ForeignKeyUnknownError
    if claims.get("iss") != provider.issuer:
        raise ForeignTokenError("provider_issuer")
    _check_audience(claims, provider.client_id)
    typ = (header.typ or "").lower().removeprefix("application/")
    return ForeignToken(typ, algorithm, claims)


def check_times(claims: Mapping[str, Any], now: float, skew: float) -> float:
    """Check `exp`, `iat` and `nbf` at `now`, each as far as it is there, and return `iat`.

    Raises:
        ForeignTokenError: `iat` is missing, a time is not a number, or the token is not valid now.
    """
    issued_at = time_claim(claims, "iat")
    if issued_at is None:
        raise ForeignTokenError("provider_claims", "the token has no `iat`")
    expires_at, starts_at = time_claim(claims, "exp"), time_claim(claims, "nbf")
    if expires_at is not None and expires_at <= now - skew:
        raise ForeignTokenError("provider_expired")
    if max(issued_at, starts_at or 0.0) > now + skew:
        raise ForeignTokenError("provider_not_yet_valid")
    return issued_at


def time_claim(claims: Mapping[str, Any], name: str) -> float | None:
    """Return a time in Unix seconds, None without the claim.

    Raises:
        ForeignTokenError: it is not a number.
    """
    value = claims.get(name)
    # The bound also excludes infinities and integers beyond the range of a float.
    if value is not None and (type(value) not in (int, float) or abs(value) >= 2**53):
        raise ForeignTokenError("provider_claims", f"`{name}` is not a number of seconds")
    return None if value is None else float(value)


def text_claim(claims: Mapping[str, Any], name: str) -> str | None:
    """Return a text of 1 to 255 bytes that is safe in a header, None without the claim.

    Raises:
        ForeignTokenError: it is not such a text.
    """
    value = claims.get(name)
    if value is not None and not is_plain_text(value):
        raise ForeignTokenError(
            "provider_claims",
            f"`{name}` is not a text of 1 to {MAX_TEXT_BYTES} bytes without control characters",
        )
    return value


def texts_claim(claims: Mapping[str, Any], name: str) -> tuple[str, ...]:
    """Return a list of such texts, empty without the claim.

    Raises:
        ForeignTokenError: it is not such a list, or it is too long.
    """
    value = claims.get(name)
    if value is None:
        return ()
    if (
        not isinstance(value, list)
        or len(value) > MAX_PROVIDER_AMR
        or not all(map(is_plain_text, value))
    ):
        raise ForeignTokenError("provider_claims", f"`{name}` is not a short list of texts")
    return tuple(value)


def is_plain_text(value: object) -> bool:
    """Return True for a text of 1 to 255 bytes, safe in a header and without spaces around it."""
    return (
        isinstance(value, str)
        and 0 < len(value.encode()) <= MAX_TEXT_BYTES
        and value == value.strip()
        and is_header_safe(value)
    )


def _key_of(
    header: JoseHeader, algorithm: str, provider: Provider, keys: ProviderKeys
) -> PublicKey:
    """Return the key of a token; the key set is that of the configured issuer alone."""
    if algorithm not in provider.algorithms:
        raise ForeignTokenError("provider_alg")
    public = keys.find(header.kid, algorithm)
    if public is not None:
        return public
    if header.kid is not None and keys.has(header.kid):
        raise ForeignTokenError("provider_alg")
    raise ForeignKeyUnknownError


def _check_audience(claims: Mapping[str, Any], client_id: str) -> None:
    audience = claims.get("aud")
    names = audience if isinstance(audience, list) else [audience]
    if client_id not in names or not all(isinstance(name, str) for name in names):
        raise ForeignTokenError("provider_audience")
    # Core section 3.1.3.7 items 4 and 5.
    if claims.get("azp", client_id) != client_id:
        raise ForeignTokenError("provider_audience")
