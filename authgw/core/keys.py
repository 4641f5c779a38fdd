"""Signing keys by `kid`: the signing key, the verifying keys, and the JWKS document.

The algorithm belongs to the key; a token cannot select it (RFC 8725 section 3.1).
"""

import json
import math
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP256R1,
    EllipticCurvePrivateKey,
    EllipticCurvePublicKey,
)
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from authgw.core.errors import OperatorError

PrivateKey = EllipticCurvePrivateKey | RSAPrivateKey | Ed25519PrivateKey
PublicKey = EllipticCurvePublicKey | RSAPublicKey | Ed25519PublicKey

MIN_SECRET_BYTES = 32
MIN_RSA_BITS = 2048


class SigningKeyError(OperatorError):
    """Raised for a key that must not be used; the message contains cause and remedy."""


@dataclass(frozen=True, slots=True)
class Key:
    """A key; `signs_from` is in Unix seconds; `repr` shows no key material."""

    kid: str
    algorithm: str
    signing: PrivateKey | bytes = field(repr=False)
    verifying: PublicKey | bytes = field(repr=False)
    signs_from: float = 0.0


class KeyState(Enum):
    """Use of a key at a time."""

    NEXT = "next"  # will sign later, verifies already
    SIGNING = "signing"
    VERIFYING = "verifying"  # no longer signs; verifies the tokens that it signed
    RETIRED = "retired"  # its last token has expired: the file can be removed


class KeyRing:
    """The keys of an issuer; `keys` are sorted by the time at which they begin to sign.

    `max_lifetime` is the maximum lifetime of a token in seconds, `previous_kids` are the kids of
    keys that were removed.

    Raises:
        SigningKeyError: the ring is empty, or two keys share a kid.
    """

    def __init__(
        self,
        keys: tuple[Key, ...],
        max_lifetime: float,
        previous_kids: frozenset[str] = frozenset(),
    ) -> None:
        if not keys:
            raise SigningKeyError("there is no signing key: run `authgw key init`")
        self.keys = tuple(sorted(keys, key=lambda key: (key.signs_from, key.kid)))
        self._by_kid = {key.kid: key for key in keys}
        if len(self._by_kid) != len(keys):
            raise SigningKeyError("two signing keys have the same kid: remove one of the files")
        self.known_kids = previous_kids.union(self._by_kid)
        self._retired_at = {
            old.kid: new.signs_from + max_lifetime
            for old, new in zip(self.keys, self.keys[1:], strict=False)
        }

    def signing_key(self, now: float) -> Key:
        """Return the newest key with `signs_from` in the past, else the oldest key."""
        for key in reversed(self.keys):
            if key.signs_from <= now:
                return key
        return self.keys[0]

    def verifying_key(self, kid: str, now: float) -> Key | None:
        """Return the key of this kid; None if unknown or retired (its last token has expired)."""
        return self._by_kid.get(kid) if now < self.verifies_until(kid) else None

    def verifies_until(self, kid: str) -> float:
        """Return the retirement of this kid's key in Unix seconds, infinity without a successor."""
        return self._retired_at.get(kid, math.inf)

    def state(self, kid: str, now: float) -> KeyState:
        """Return the state of the key with this kid at `now`, in Unix seconds."""
        key = self._by_kid[kid]
        if kid == self.signing_key(now).kid:
            return KeyState.SIGNING
        if key.signs_from > now:
            return KeyState.NEXT
        return KeyState.VERIFYING if now < self.verifies_until(kid) else KeyState.RETIRED

    def kids(self, now: float) -> tuple[str, ...]:
        """Return the kids of all keys that verify now."""
        return tuple(key.kid for key in self.keys if self.verifying_key(key.kid, now))

    def jwks(self, now: float) -> dict[str, list[dict[str, Any]]]:
        """Return the JWKS document (RFC 7517 section 5): public parts only, empty for HS256."""
        valid = (key for key in self.keys if self.verifying_key(key.kid, now))
        return {"keys": [_public_jwk(key) for key in valid if not isinstance(key.verifying, bytes)]}


def key_from_pem(kid: str, pem: bytes, signs_from: float = 0.0) -> Key:
    """Load an unencrypted private key in PEM; its type determines the algorithm.

    Raises:
        SigningKeyError: unreadable, too short, or of a type that authgw does not sign with.
    """
    try:
        private = load_pem_private_key(pem, password=None)
    except (ValueError, TypeError):
        raise SigningKeyError(
            "is not an unencrypted private key in PEM: replace it by such a key, or remove it "
            "and run `authgw key init`"
        ) from None
    if isinstance(private, EllipticCurvePrivateKey) and isinstance(private.curve, SECP256R1):
        return Key(kid, "ES256", private, private.public_key(), signs_from)
    if isinstance(private, RSAPrivateKey):
        if private.key_size < MIN_RSA_BITS:
            raise SigningKeyError(
                f"the RSA key has less than {MIN_RSA_BITS} bits (RFC 7518 section 3.3): make a "
                "new one with `authgw key add`"
            )
        return Key(kid, "RS256", private, private.public_key(), signs_from)
    if isinstance(private, Ed25519PrivateKey):
        return Key(kid, "EdDSA", private, private.public_key(), signs_from)
    raise SigningKeyError("is a key of another kind: use a P-256, RSA or Ed25519 key")


def key_from_secret(kid: str, secret: bytes) -> Key:
    """Load an HS256 key from the bytes of a secret file, without the trailing newline.

    Raises:
        SigningKeyError: shorter than the hash (RFC 7518 section 3.2).
    """
    trimmed = secret.rstrip(b"\r\n")
    if len(trimmed) < MIN_SECRET_BYTES:
        raise SigningKeyError(
            f"the HS256 secret has {len(trimmed)} bytes and needs at least "
            f"{MIN_SECRET_BYTES}: make one with `openssl rand -base64 48`"
        )
    return Key(kid, "HS256", trimmed, trimmed)


def _public_jwk(key: Key) -> dict[str, Any]:
    members: dict[str, Any] = json.loads(_to_jwk(key.verifying))
    # PyJWT adds key_ops, which repeats `use`.
    members.pop("key_ops", None)
    return members | {"kid": key.kid, "alg": key.algorithm, "use": "sig"}


def _to_jwk(public: PublicKey | bytes) -> str:
    if isinstance(public, EllipticCurvePublicKey):
        return ECAlgorithm.to_jwk(public, as_dict=False)
    if isinstance(public, RSAPublicKey):
        return RSAAlgorithm.to_jwk(public, as_dict=False)
    assert isinstance(public, Ed25519PublicKey)  # noqa: S101  the caller excludes secrets
    return OKPAlgorithm.to_jwk(public, as_dict=False)
