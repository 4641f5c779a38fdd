"""Signed tokens of a provider, right and wrong: any header, any bytes, any signature."""

import base64
import hashlib
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import get_default_algorithms

_ALGORITHMS = get_default_algorithms()


def encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def digest_half(text: str, alg: str) -> str:
    """Return `at_hash` of an access token (OpenID Connect Core section 3.1.3.6)."""
    # Ed25519 has SHA-512 inside (RFC 8032 section 5.1).
    made = hashlib.new("sha512" if alg == "EdDSA" else "sha256", text.encode()).digest()
    return encoded(made[: len(made) // 2])


@dataclass
class ForgersKey:
    """A signing key: its algorithm, its private part, and what the key set says about it."""

    alg: str = "RS256"
    kid: str = field(default_factory=lambda: secrets.token_hex(4))
    bits: int = 2048
    private: Any = None

    def __post_init__(self) -> None:
        if self.private is None:
            self.private = _private(self.alg, self.bits)

    def public(self, **changed: Any) -> dict[str, Any]:
        """Return the JWK of its public part, with changed members; None removes a member."""
        jwk = _ALGORITHMS[self.alg].to_jwk(self.private.public_key(), as_dict=True)
        own = {"kid": self.kid, "alg": self.alg, "use": "sig"}
        members = {"key_ops": None, **own, **changed}
        return {k: v for k, v in {**jwk, **members}.items() if v is not None}

    def sign(
        self,
        claims: Mapping[str, Any] | bytes,
        header: Mapping[str, Any] | bytes = b"",
        *,
        alg: str = "",
        secret: bytes | None = None,
    ) -> str:
        """Return a compact JWS of these claims, or bytes, with this header.

        `alg` and `secret` are those of the signature: the header may name another algorithm.
        """
        if not header:
            header = {"alg": self.alg, "kid": self.kid, "typ": "JWT"}
        parts = [
            encoded(part if isinstance(part, bytes) else json.dumps(part).encode())
            for part in (header, claims)
        ]
        algorithm = _ALGORITHMS[alg or self.alg]
        # `none` has no key.
        key = None if alg == "none" else self.private
        if secret is not None:
            key = secret
        signature = algorithm.sign(".".join(parts).encode(), key)
        return ".".join([*parts, encoded(signature)])


def _private(alg: str, bits: int) -> Any:
    match alg:
        case "ES256":
            return ec.generate_private_key(ec.SECP256R1())
        case "EdDSA":
            return ed25519.Ed25519PrivateKey.generate()
    return rsa.generate_private_key(public_exponent=65537, key_size=bits)
