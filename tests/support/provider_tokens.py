"""An identity provider's keys, and tokens that are signed with them by another library."""

import base64
import json
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key as generate_rsa_key
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm, get_default_algorithms

from authgw.core.providers.jwks import ProviderKeys, parse_jwks
from authgw.core.providers.model import Accept, Provider
from tests.support.builders import NOW

ISSUER = "https://id.example.com/realms/x"
PROVIDER = Provider("company", "oidc", ISSUER, "authgw", Accept(everyone=True))
EVENT = "http://schemas.openid.net/event/backchannel-logout"
RSA, OTHER_RSA = generate_rsa_key(65537, 2048), generate_rsa_key(65537, 2048)
EC, ED = generate_private_key(SECP256R1()), Ed25519PrivateKey.generate()
BY_ALGORITHM = {"RS256": RSA, "PS256": RSA, "ES256": EC, "EdDSA": ED}
KIDS = {"RS256": "rsa", "PS256": "rsa", "ES256": "ec", "EdDSA": "ed"}
ID_CLAIMS: dict[str, Any] = {
    "iss": ISSUER,
    "sub": "248289761001",
    "aud": "authgw",
    "exp": NOW + 300,
    "iat": NOW,
    "nonce": "n-0S6_WzA2Mj",
}
_WRITERS: dict[Any, Any] = {
    type(RSA.public_key()): RSAAlgorithm,
    type(EC.public_key()): ECAlgorithm,
    type(ED.public_key()): OKPAlgorithm,
}
LOGOUT_CLAIMS: dict[str, Any] = {
    "iss": ISSUER,
    "sub": "248289761001",
    "aud": "authgw",
    "iat": NOW,
    "exp": NOW + 120,
    "jti": "bWJq",
    "events": {EVENT: {}},
}


def b64(value: Any) -> str:
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def jwk(private: Any, **members: Any) -> dict[str, Any]:
    """Return the public part of a key as an entry of a JWKS document."""
    found = json.loads(_WRITERS[type(private.public_key())].to_jwk(private.public_key()))
    found.pop("key_ops", None)
    return {name: value for name, value in (found | members).items() if value is not None}


def jwks(*entries: Any) -> bytes:
    return json.dumps({"keys": entries}).encode()


JWKS = jwks(jwk(RSA, kid="rsa", use="sig"), jwk(EC, kid="ec"), jwk(ED, kid="ed"))
KEYS: ProviderKeys = parse_jwks(JWKS)


def signed(claims: Any, algorithm: str = "RS256", *, key: Any = None, **header: Any) -> str:
    """Return a token; a header member of None is left out, `claims` may be any bytes."""
    head = {"alg": algorithm, "kid": KIDS.get(algorithm), **header}
    return signed_bytes(b64({k: v for k, v in head.items() if v is not None}), b64(claims), key)


def signed_bytes(head: str, body: str, key: Any = None) -> str:
    """Return a token with these encoded parts, signed by the algorithm that its header names."""
    algorithm = json.loads(base64.urlsafe_b64decode(head + "=="))["alg"]
    signer = get_default_algorithms()[algorithm]
    key = BY_ALGORITHM.get(algorithm) if key is None else key
    return f"{head}.{body}.{b64(signer.sign(f'{head}.{body}'.encode(), key))}"


def changed(claims: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """Return claims with these changes; `...` removes a claim."""
    return {name: v for name, v in (claims | changes).items() if v is not ...}
