"""Encryption of secrets that a store keeps, such as a provider's refresh token.

A sealed text is `v1|kid|nonce|ciphertext`, the last two in base64url. Each has a key of its own:
HKDF (RFC 5869) derives it from the private part of the signing key `kid`, with a random salt, for a
kind of secret and an issuer. AES-256-GCM (NIST SP 800-38D) binds the text to all of them and to the
session, so that it cannot be moved to another field, session or installation. There is nothing to
share or rotate besides the signing keys: a new key seals as soon as it signs, and a text can be
opened while the file of its key exists.
"""

import binascii
import json
from base64 import urlsafe_b64decode
from collections.abc import Callable

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from authgw.core.base64url import base64url
from authgw.core.keys import Key, KeyRing
from authgw.core.token_keys import secret_part

_VERSION = "v1"
_KEY_BYTES = 32
_SALT_BYTES = 24
_IV_BYTES = 12  # SP 800-38D section 8.2
_NONCE_BYTES = _SALT_BYTES + _IV_BYTES


class SealBrokenError(Exception):
    """Raised for a text that was not sealed for this use, or whose key does not exist any more."""


class Sealer:
    """Seals secrets with the signing keys of an issuer (`auth.issuer`).

    Texts of `previous` issuers can be opened, as their tokens verify. `random` returns a
    number of random bytes, as `secrets.token_bytes`.
    """

    def __init__(
        self,
        ring: KeyRing,
        issuer: str,
        previous: tuple[str, ...] = (),
        *,
        random: Callable[[int], bytes],
    ) -> None:
        self._keys = {key.kid: key for key in ring.keys}
        self._ring = ring
        self._issuers = (issuer, *previous)
        self._random = random

    def seal(self, kind: str, sid: str, text: str, now: float) -> str:
        """Return the sealed text; `now`, in Unix seconds, selects the key."""
        key, nonce = self._ring.signing_key(now), self._random(_NONCE_BYTES)
        issuer = self._issuers[0]
        cipher = _cipher(key, kind, issuer, nonce)
        sealed = cipher.encrypt(
            nonce[_SALT_BYTES:], text.encode(), _context(key.kid, kind, sid, issuer)
        )
        return "|".join((_VERSION, key.kid, _text(nonce), _text(sealed)))

    def unseal(self, kind: str, sid: str, text: str) -> str:
        """Return the text that was sealed for this kind and session.

        Raises:
            SealBrokenError: it was sealed for another use, was changed, or its key does not exist
                any more.
        """
        version, _, rest = text.partition("|")
        # A kid is part of the name of a file, so it may contain the separator.
        parts = rest.rsplit("|", 2)
        key = self._keys.get(parts[0])
        if version != _VERSION or len(parts) != 3 or key is None:
            raise SealBrokenError
        nonce, sealed = map(_bytes, parts[1:])
        if len(nonce) != _NONCE_BYTES:
            raise SealBrokenError
        for issuer in self._issuers:
            cipher = _cipher(key, kind, issuer, nonce)
            context = _context(key.kid, kind, sid, issuer)
            try:
                return cipher.decrypt(nonce[_SALT_BYTES:], sealed, context).decode()
            except InvalidTag:
                continue
        raise SealBrokenError


def _cipher(key: Key, kind: str, issuer: str, nonce: bytes) -> AESGCM:
    info = f"authgw/1/seal/{kind}/{issuer}".encode()
    salt = nonce[:_SALT_BYTES]
    return AESGCM(HKDF(SHA256(), _KEY_BYTES, salt=salt, info=info).derive(secret_part(key)))


def _context(kid: str, kind: str, sid: str, issuer: str) -> bytes:
    """Return the associated data; JSON separates the values unambiguously."""
    return json.dumps([_VERSION, kid, kind, sid, issuer]).encode()


def _text(raw: bytes) -> str:
    return base64url(raw).decode("ascii")


def _bytes(text: str) -> bytes:
    """Decode base64url; refuse padding and stray bits (RFC 4648 section 3.5).

    Raises:
        SealBrokenError: it is not the only encoding of its bytes.
    """
    try:
        raw = urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except (binascii.Error, ValueError):
        raise SealBrokenError from None
    if _text(raw) != text:
        raise SealBrokenError
    return raw
