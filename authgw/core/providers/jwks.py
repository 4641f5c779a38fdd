"""Public keys of an identity provider (JWKS, RFC 7517 section 5).

The algorithm belongs to the key; a token cannot select another one (RFC 8725 section 3.1).
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm
from jwt.exceptions import InvalidKeyError

from authgw.core.errors import FlowInvalidError, ProviderUnavailableError
from authgw.core.keys import MIN_RSA_BITS, PublicKey
from authgw.core.limits import MAX_PROVIDER_KEYS, MAX_PROVIDER_RSA_BITS, MAX_TEXT_BYTES
from authgw.core.strict_json import read_object


@dataclass(frozen=True, slots=True)
class _Kind:
    """A type of keys: its algorithms, and the members of its public part (RFC 7518 section 6)."""

    algorithms: tuple[str, ...]
    members: tuple[str, ...]
    load: Any


# Also the key types: all others, symmetric keys above all, cannot verify a token.
_KINDS = {
    ("RSA", None): _Kind(("RS256", "PS256"), ("n", "e"), RSAAlgorithm.from_jwk),
    ("EC", "P-256"): _Kind(("ES256",), ("x", "y"), ECAlgorithm.from_jwk),
    ("OKP", "Ed25519"): _Kind(("EdDSA",), ("x",), OKPAlgorithm.from_jwk),
}
# Members of private and symmetric keys (RFC 7518 sections 6.2.2, 6.3.2 and 6.4).
_SECRET_MEMBERS = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})
_RSA_BITS = f"{MIN_RSA_BITS} to {MAX_PROVIDER_RSA_BITS}"
# Base64url of the longest number that is read, with a leading zero byte.
_NUMBER_LENGTH = (MAX_PROVIDER_RSA_BITS // 8 + 1) * 4 // 3 + 1


class KeyUnknownError(FlowInvalidError):
    """Raised when a provider's key set has no key for its token: it may have new keys."""

    cause = "provider_key_unknown"


@dataclass(frozen=True, slots=True)
class ProviderKey:
    """A public key and the algorithms that it verifies; `kid` is None if it has no kid."""

    kid: str | None
    algorithms: tuple[str, ...]
    public: PublicKey = field(repr=False)


@dataclass(frozen=True, slots=True)
class ProviderKeys:
    """The usable keys of a provider; `ignored` has a sentence for each other key."""

    keys: tuple[ProviderKey, ...]
    ignored: tuple[str, ...] = ()

    def has(self, kid: str) -> bool:
        """Return True if a usable key has this kid."""
        return any(key.kid == kid for key in self.keys)

    def find(self, kid: str | None, alg: str) -> PublicKey | None:
        """Return the key of this kid if it is a key for the algorithm, else None.

        Without a kid it is the key for the algorithm, unless there are several.
        """
        found = [
            key for key in self.keys if alg in key.algorithms and (kid is None or key.kid == kid)
        ]
        return found[0].public if len(found) == 1 else None


def parse_jwks(raw: bytes) -> ProviderKeys:
    """Return the keys of a JWKS document that can verify signatures of tokens.

    Other keys are left aside, as RFC 7517 section 5 demands, and so are keys that share a kid: a
    token could mean either of them.

    Raises:
        ProviderUnavailableError: not a JWKS document, with too many keys, or without usable keys.
    """
    ignored: list[str] = []
    usable: list[ProviderKey] = []
    for number, jwk in enumerate(_entries(raw), 1):
        try:
            usable.append(_key(jwk))
        except ValueError as error:
            ignored.append(f"key {number} {error}")
    counts = Counter(key.kid for key in usable if key.kid is not None)
    ignored += [f"{count} keys have the same kid" for count in counts.values() if count > 1]
    keys = tuple(key for key in usable if key.kid is None or counts[key.kid] == 1)
    if not keys:
        raise _problem(f"contains no usable key: {'; '.join(ignored[:3]) or 'it is empty'}")
    return ProviderKeys(keys, tuple(ignored))


def _entries(raw: bytes) -> list[Any]:
    try:
        entries = read_object(raw).get("keys")
    except ValueError:
        raise _problem("is not a JSON object without duplicate keys") from None
    if not isinstance(entries, list):
        raise _problem("has no list `keys`")
    if len(entries) > MAX_PROVIDER_KEYS:
        raise _problem(f"has more than {MAX_PROVIDER_KEYS} keys")
    return entries


def _key(jwk: Any) -> ProviderKey:
    """Return the key of an entry.

    Raises:
        ValueError: it cannot verify signatures of tokens; the text follows the name of the key.
    """
    if not isinstance(jwk, dict):
        raise ValueError("is not an object")  # noqa: TRY004  the content is wrong, not a type
    kid, kind = jwk.get("kid"), _kind(jwk)
    if kid is not None and not _is_text(kid, MAX_TEXT_BYTES):
        raise ValueError("has a kid that is not a text of 1 to 255 characters")
    _check_use(jwk)
    alg = jwk.get("alg")
    if alg is not None and alg not in kind.algorithms:
        raise ValueError("is for another algorithm")
    algorithms = kind.algorithms if alg is None else (str(alg),)
    return ProviderKey(kid, algorithms, _public(jwk, kind))


def _kind(jwk: Mapping[str, Any]) -> _Kind:
    if not _SECRET_MEMBERS.isdisjoint(jwk):
        raise ValueError("contains a secret or a private key")
    kty = jwk.get("kty")
    curve = None if kty == "RSA" else jwk.get("crv")
    for names, kind in _KINDS.items():
        if names == (kty, curve):
            return kind
    raise ValueError("is not an RSA, P-256 or Ed25519 key")


def _check_use(jwk: Mapping[str, Any]) -> None:
    # RFC 7517 sections 4.2 and 4.3.
    if jwk.get("use") not in (None, "sig"):
        raise ValueError("is not for signatures (`use`)")
    operations = jwk.get("key_ops")
    if operations is not None and not (isinstance(operations, list) and "verify" in operations):
        raise ValueError("is not for signatures (`key_ops`)")


def _public(jwk: Mapping[str, Any], kind: _Kind) -> PublicKey:
    members = {name: jwk.get(name) for name in kind.members}
    if not all(_is_text(value, _NUMBER_LENGTH) for value in members.values()):
        raise ValueError("lacks a number, or has a number that is too long")
    try:
        public = kind.load({"kty": jwk["kty"], "crv": jwk.get("crv"), **members})
    except (ValueError, InvalidKeyError):
        raise ValueError("has numbers that make no key") from None
    if jwk["kty"] == "RSA" and not MIN_RSA_BITS <= public.key_size <= MAX_PROVIDER_RSA_BITS:
        raise ValueError(f"has {public.key_size} bits, not {_RSA_BITS}")
    found: PublicKey = public
    return found


def _is_text(value: object, longest: int) -> bool:
    return isinstance(value, str) and 0 < len(value) <= longest


def _problem(text: str) -> ProviderUnavailableError:
    return ProviderUnavailableError(
        cause="provider_keys", note=f"the key set (`jwks_uri` of the provider) {text}"
    )
