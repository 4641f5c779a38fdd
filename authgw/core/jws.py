"""Sign tokens and verify signatures (JWS compact serialization, RFC 7515 section 3.1).

The signatures themselves are made by `cryptography`, through PyJWT's algorithms, and by `hmac`.
"""

import hmac
import json
from binascii import b2a_base64
from functools import lru_cache
from typing import Any

import jwt

from authgw.core.keys import Key
from authgw.core.limits import MAX_CACHED_JOSE_HEADERS

_ASYMMETRIC = {
    name: algorithm
    for name, algorithm in jwt.algorithms.get_default_algorithms().items()
    if name in ("ES256", "RS256", "EdDSA")
}
_URL_SAFE = bytes.maketrans(b"+/", b"-_")  # RFC 4648 section 4 to section 5
_ENCODE = json.JSONEncoder(separators=(",", ":"), check_circular=False).encode


def signed_token(claims: dict[str, Any], typ: str, key: Key) -> str:
    """Return a token with these claims, of this JOSE type."""
    signed = _encoded_header(key.kid, key.algorithm, typ) + _base64url(_ENCODE(claims).encode())
    return (signed + b"." + _base64url(_signature(signed, key))).decode("ascii")


def has_signature(signed: bytes, signature: bytes, key: Key) -> bool:
    """Return True if this key has made the signature."""
    if isinstance(key.verifying, bytes):
        return hmac.compare_digest(signature, hmac.digest(key.verifying, signed, "sha256"))
    return _ASYMMETRIC[key.algorithm].verify(signed, key.verifying, signature)


def _signature(signed: bytes, key: Key) -> bytes:
    if isinstance(key.signing, bytes):
        return hmac.digest(key.signing, signed, "sha256")
    return _ASYMMETRIC[key.algorithm].sign(signed, key.signing)


@lru_cache(MAX_CACHED_JOSE_HEADERS)
def _encoded_header(kid: str, algorithm: str, typ: str) -> bytes:
    """Return the header's part of a token and the dot; cached, because few headers differ."""
    header = {"alg": algorithm, "kid": kid, "typ": typ}
    return _base64url(_ENCODE(header).encode()) + b"."


def _base64url(raw: bytes) -> bytes:
    return b2a_base64(raw, newline=False).translate(_URL_SAFE).rstrip(b"=")
