"""Sign tokens and verify signatures (JWS compact serialization, RFC 7515 section 3.1).

The signatures themselves are made by `cryptography` and `hmac`. Those of public keys pass through
PyJWT's algorithms, except ES256 by own keys.

ES256 takes its nonce from key and message (RFC 6979), so a text has a single signature by a key:
making it again and comparing takes half the time of a verification. `_encoded_header` has an order
of members that marks these tokens. Any other token is verified by the public key: those of previous
versions have another order and a random nonce.
"""

import binascii
import hashlib
import hmac
import json
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, cast

import jwt
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import (
    ECDSA,
    EllipticCurvePrivateKey,
    EllipticCurvePublicKey,
)
from cryptography.hazmat.primitives.asymmetric.utils import (
    Prehashed,
    decode_dss_signature,
    encode_dss_signature,
)
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.hmac import HMAC

from authgw.core.base64url import base64url
from authgw.core.errors import TokenMalformedError
from authgw.core.keys import Key, PublicKey
from authgw.core.limits import MAX_CACHED_JOSE_HEADERS, MAX_TOKEN_BYTES
from authgw.core.strict_json import read_object

_ASYMMETRIC = {
    name: algorithm
    for name, algorithm in jwt.algorithms.get_default_algorithms().items()
    if name in ("ES256", "RS256", "PS256", "EdDSA")
}
# PyJWT makes its objects anew for each signature of this algorithm, that of most keys; and so does
# `cryptography` for each hash.
_ES256 = ECDSA(Prehashed(SHA256()))
_ES256_BYTES = 32  # of each of the two numbers of a signature (RFC 7518 section 3.4)
_STANDARD = bytes.maketrans(b"-_", b"+/")  # RFC 4648 section 5 to section 4
_PADDING = (b"", b"===", b"==", b"=")  # by the number of characters after the last four
# RFC 7515 sections 4.1.2, 4.1.3, 4.1.5 and 4.1.6: a key or certificate, or the address of either.
_KEY_MEMBERS = frozenset({"jku", "jwk", "x5u", "x5c"})
_ENCODE = json.JSONEncoder(separators=(",", ":"), check_circular=False).encode


def _deterministic_es256() -> ECDSA | None:
    """Return ES256 with nonces by RFC 6979, None if `cryptography` uses an OpenSSL before 3.2."""
    try:
        return ECDSA(Prehashed(SHA256()), deterministic_signing=True)
    except UnsupportedAlgorithm:
        return None


_DETERMINISTIC_ES256 = _deterministic_es256()


def signed_token(claims: dict[str, Any], typ: str, key: Key) -> str:
    """Return a token with these claims, of this JOSE type."""
    return signed_text(_ENCODE(claims), typ, key)


def signed_text(claims: str, typ: str, key: Key) -> str:
    """Return a token with the claims of this JSON text, of this JOSE type."""
    signed = _encoded_header(key.kid, key.algorithm, typ) + base64url(claims.encode())
    return (signed + b"." + base64url(_signature(signed, key))).decode("ascii")


def has_signature(signed: bytes, signature: bytes, key: Key, typ: str) -> bool:
    """Return True if this key has made the signature; `typ` is the JOSE type to expect."""
    public = key.verifying
    if isinstance(public, bytes) or _has_single_signature(signed, key, typ):
        return hmac.compare_digest(signature, _signature(signed, key))
    if key.algorithm == "ES256":
        return _has_es256_signature(signed, signature, cast(EllipticCurvePublicKey, public))
    return has_public_signature(signed, signature, key.algorithm, public)


def has_public_signature(
    signed: bytes, signature: bytes, algorithm: str, public: PublicKey
) -> bool:
    """Return True if the private key of `public` has made the signature with this algorithm."""
    return _ASYMMETRIC[algorithm].verify(signed, public, signature)


@dataclass(frozen=True, slots=True)
class JoseHeader:
    """Members of a JOSE header; None for a member that is missing or not a string.

    `is_extended` marks an extension (`crit`, `b64`), `brings_key` a key of the token's own.
    """

    kid: str | None
    alg: str | None
    typ: str | None
    is_extended: bool
    brings_key: bool


def signed_part(text: str) -> bytes:
    """Return the signed input of a token: the text before its second dot (RFC 7515 section 5.2)."""
    return text.rpartition(".")[0].encode("ascii")


def parse(text: str, max_bytes: int = MAX_TOKEN_BYTES) -> tuple[JoseHeader, dict[str, Any], bytes]:
    """Return header, claims and signature of a token; the signature is not verified.

    Raises:
        TokenMalformedError: not a canonical JWS in compact form, or over `max_bytes`.
    """
    # Check the size before decoding: a huge token must not cost time.
    if len(text) > max_bytes or not text.isascii():
        raise TokenMalformedError
    parts = text.encode("ascii").split(b".")
    if len(parts) != 3:
        raise TokenMalformedError
    header, claims, signature = parts
    return header_of(header), json_object(claims), canonical(signature)


@lru_cache(MAX_CACHED_JOSE_HEADERS)
def header_of(part: bytes) -> JoseHeader:
    """Parse a JOSE header; cached, because few headers differ."""
    members = json_object(part)
    kid, alg, typ = (
        value if isinstance(value, str) else None
        for value in map(members.get, ("kid", "alg", "typ"))
    )
    # RFC 7515 section 4.1.11: authgw supports no extension, so all are refused.
    is_extended = "crit" in members or "b64" in members
    return JoseHeader(kid, alg, typ, is_extended, not _KEY_MEMBERS.isdisjoint(members))


def canonical(part: bytes) -> bytes:
    """Decode base64url; refuse padding and stray bits, so that each token has a single text.

    See RFC 4648 section 3.5.
    """
    standard = part.translate(_STANDARD) + _PADDING[len(part) % 4]
    try:
        raw = binascii.a2b_base64(standard)
    except binascii.Error:
        raise TokenMalformedError from None
    if b"+" in part or b"/" in part or b"=" in part:
        raise TokenMalformedError
    if binascii.b2a_base64(raw, newline=False) != standard:
        raise TokenMalformedError
    return raw


def json_object(part: bytes) -> dict[str, Any]:
    """Return the JSON object that a part of a token contains.

    Raises:
        TokenMalformedError: the part is not base64url, or its content is not strict JSON.
    """
    try:
        return read_object(canonical(part))
    except ValueError:
        raise TokenMalformedError from None


def _has_single_signature(signed: bytes, key: Key, typ: str) -> bool:
    """Return True if only the signature that `_signature` returns is valid for this text."""
    if key.algorithm != "ES256" or _DETERMINISTIC_ES256 is None:
        return False
    return signed.startswith(_encoded_header(key.kid, key.algorithm, typ))


def _signature(signed: bytes, key: Key) -> bytes:
    private = key.signing
    if isinstance(private, bytes):
        return _hs256(signed, private)
    if key.algorithm == "ES256":
        digest = hashlib.sha256(signed).digest()
        algorithm = _DETERMINISTIC_ES256 or _ES256
        signature = cast(EllipticCurvePrivateKey, private).sign(digest, algorithm)
        numbers = decode_dss_signature(signature)
        return b"".join([number.to_bytes(_ES256_BYTES) for number in numbers])
    return _ASYMMETRIC[key.algorithm].sign(signed, private)


def _hs256(signed: bytes, secret: bytes) -> bytes:
    """Return the signature of HS256; a one-shot function would prepare the key each time."""
    mac = _prepared_hmac(secret).copy()
    mac.update(signed)
    return mac.finalize()


@lru_cache(MAX_CACHED_JOSE_HEADERS)
def _prepared_hmac(secret: bytes) -> HMAC:
    return HMAC(secret, SHA256())


def _has_es256_signature(signed: bytes, signature: bytes, public: EllipticCurvePublicKey) -> bool:
    if len(signature) != 2 * _ES256_BYTES:
        return False
    r, s = signature[:_ES256_BYTES], signature[_ES256_BYTES:]
    numbers, digest = (int.from_bytes(r), int.from_bytes(s)), hashlib.sha256(signed).digest()
    try:
        public.verify(encode_dss_signature(*numbers), digest, _ES256)
    except InvalidSignature:
        return False
    return True


@lru_cache(MAX_CACHED_JOSE_HEADERS)
def _encoded_header(kid: str, algorithm: str, typ: str) -> bytes:
    """Return the header's part of a token and the dot; cached, because few headers differ."""
    header = {"alg": algorithm, "kid": kid, "typ": typ}
    if algorithm == "ES256" and _DETERMINISTIC_ES256 is not None:
        header = {"kid": kid, "typ": typ, "alg": algorithm}
    return base64url(_ENCODE(header).encode()) + b"."
