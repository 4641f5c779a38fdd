"""Memory of verified tokens, so that a token is not verified for each request.

An entry means that signature, issuer, audience, type and claims are valid; the time is checked for
each request. A memory is valid for a single issuer and its keys; other keys need another memory.
Refused tokens are not remembered. An entry is small: the digest of the token in place of its text,
and the claims that a request needs.
"""

import json
from hashlib import sha256
from itertools import islice
from json.encoder import encode_basestring_ascii as _quoted

from authgw.core.limits import MAX_TOKEN_BYTES
from authgw.core.tokens import LEEWAY, Issuer, Token, TokenType

# Of an entry besides its bytes: the headers of two objects, and its place in the dict.
_ENTRY_OVERHEAD = 128  # bytes
_EVICTED_PART = 64  # a full memory drops 1/64 of its entries
_DECODE = json.JSONDecoder().raw_decode


class VerifiedTokens:
    """Memory of an issuer's tokens in at most `capacity` bytes; the oldest entries leave first."""

    def __init__(self, issuer: Issuer, capacity: int) -> None:
        self._issuer = issuer
        self._capacity = capacity
        self._entries: dict[bytes, bytes] = {}
        self._size = 0

    def __len__(self) -> int:
        return len(self._entries)

    def verify(self, text: str, kind: TokenType, *, now: float) -> Token:
        """Return the token of this text if it is valid at `now` (Unix seconds).

        Raises:
            the errors of `Issuer.verify`.
        """
        # A text that cannot be a token, perhaps a huge one, must not cost the time of a digest.
        if len(text) > MAX_TOKEN_BYTES or not text.isascii():
            return self._issuer.verify(text, kind, now=now)
        key = _key(text, kind)
        entry = self._entries.get(key)
        if entry is not None:
            token = _restored(kind, entry)
            if now < token.valid_until:
                return token
            self._drop(key)
        token = self._issuer.verify(text, kind, now=now)
        self._put(key, token)
        return token

    def remember(self, text: str, token: Token) -> None:
        """Remember a token that this issuer has minted, and that the store has a session of."""
        self._put(_key(text, token.type), token)

    def _put(self, key: bytes, token: Token) -> None:
        self._drop(key)
        self._entries[key] = entry = _entry(token)
        self._size += _size(key, entry)
        while self._size > self._capacity:
            # Several at once: each removal makes it slower to find the first entry of a dict.
            for old in list(islice(self._entries, 1 + len(self._entries) // _EVICTED_PART)):
                self._drop(old)

    def _drop(self, key: bytes) -> None:
        entry = self._entries.pop(key, None)
        if entry is not None:
            self._size -= _size(key, entry)


def _key(text: str, kind: TokenType) -> bytes:
    return kind.tag + sha256(text.encode("ascii")).digest()


def _entry(token: Token) -> bytes:
    # Nearly every token is valid until the leeway after its expiry ends.
    valid_until = 0 if token.valid_until == token.exp + LEEWAY else token.valid_until
    mark = f",{_quoted(token.mark)}" if token.mark else ""
    # An encoder would take three times as long.
    return (
        f"[{_quoted(token.sub)},{_quoted(token.sid)},{_quoted(token.jti)},"
        f"{token.gen},{token.exp!r},{valid_until!r}{mark}]"
    ).encode("ascii")


def _restored(kind: TokenType, entry: bytes) -> Token:
    sub, sid, jti, gen, exp, valid_until, *mark = _DECODE(entry.decode("ascii"))[0]
    return Token(kind, sub, sid, jti, gen, exp, valid_until or exp + LEEWAY, *mark)


def _size(key: bytes, entry: bytes) -> int:
    return len(key) + len(entry) + _ENTRY_OVERHEAD
