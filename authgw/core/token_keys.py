"""Keys of an issuer's tokens: its signing keys, and the HMAC keys derived from them.

Access tokens are signed by the signing keys, so that apps can verify them with the JWKS document.
All other tokens are read by the gateway alone. They have an HMAC (HS256) by a key that HKDF
(RFC 5869) derives from the private part of a signing key, for each token type and issuer. Its kid
is the kid of the signing key, a `~` and the `type` claim: the kid determines the algorithm and the
type (RFC 8725 sections 3.1 and 3.12). A derived key is retired with its signing key and is never
published.
"""

from collections.abc import Mapping, Sequence

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from authgw.core.keys import Key, KeyRing
from authgw.core.value_type import value_type

_DERIVED_BYTES = 32  # as the hash of HS256 (RFC 7518 section 3.2)


@value_type()
class TokenKey:
    """A key that verifies tokens until `valid_until`, in Unix seconds.

    A derived key verifies tokens of the JOSE type `typ` only; `typ` is empty for a signing key.
    """

    key: Key
    valid_until: float
    typ: str = ""


class TokenKeys:
    """The signing keys of `ring`, and the keys derived from them for some types of tokens.

    `types` has the JOSE `typ` of each of these types by its `type` claim. The first of `issuers`
    is the current issuer, the others are previous issuers.
    """

    def __init__(self, ring: KeyRing, issuers: Sequence[str], types: Mapping[str, str]) -> None:
        self._ring = ring
        self._issuer = issuers[0]
        self._types = types
        self._signing = {key.kid: TokenKey(key, ring.verifies_until(key.kid)) for key in ring.keys}
        self._derived = {
            (derived_kid(parent.kid, claim), issuer): TokenKey(
                _derive(parent, claim, typ, issuer), ring.verifies_until(parent.kid), typ
            )
            for parent in ring.keys
            for claim, typ in types.items()
            for issuer in issuers
        }

    @property
    def known_kids(self) -> frozenset[str]:
        """The kids of all keys, also of removed signing keys and of what was derived from them."""
        parents = self._ring.known_kids
        derived = (derived_kid(kid, claim) for kid in parents for claim in self._types)
        return parents.union(derived)

    def signing(self, now: float) -> Key:
        """Return the key that signs at `now`, in Unix seconds."""
        return self._ring.signing_key(now)

    def derived(self, claim: str, now: float) -> Key:
        """Return the current issuer's HMAC key for new tokens with this `type` claim."""
        parent = self._ring.signing_key(now)
        return self._derived[derived_kid(parent.kid, claim), self._issuer].key

    def secret(self, parent: str, claim: str, issuer: str) -> bytes | None:
        """Return the HMAC key derived from this signing key for a `type` claim, None if unknown."""
        found = self._derived.get((derived_kid(parent, claim), issuer))
        secret = None if found is None else found.key.signing
        return secret if isinstance(secret, bytes) else None

    def verifying(self, kid: str, issuer: object, now: float) -> TokenKey | None:
        """Return the key of this kid for tokens of this issuer; None if unknown or retired."""
        found = self._signing.get(kid)
        if found is None and isinstance(issuer, str):
            found = self._derived.get((kid, issuer))
        return found if found is not None and now < found.valid_until else None


def derived_kid(parent: str, claim: str) -> str:
    """Return the kid of the key derived from the signing key `parent` for this `type` claim."""
    return f"{parent}~{claim}"


def _derive(parent: Key, claim: str, typ: str, issuer: str) -> Key:
    info = f"authgw/1/{typ}/{issuer}".encode()
    secret = HKDF(SHA256(), _DERIVED_BYTES, salt=None, info=info).derive(secret_part(parent))
    return Key(derived_kid(parent.kid, claim), "HS256", secret, secret)


def secret_part(key: Key) -> bytes:
    """Return the secret number of a key; unlike a file format, it has a single encoding."""
    private = key.signing
    if isinstance(private, bytes):
        return private
    if isinstance(private, EllipticCurvePrivateKey):
        scalar = private.private_numbers().private_value
        return scalar.to_bytes((private.key_size + 7) // 8)
    if isinstance(private, RSAPrivateKey):
        return private.private_numbers().d.to_bytes((private.key_size + 7) // 8)
    return private.private_bytes_raw()
