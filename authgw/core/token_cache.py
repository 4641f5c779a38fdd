"""Cache of verified tokens, so that a token is not verified for each request.

An entry means that signature, issuer, audience, type and claims are valid; the time is checked for
each request. A cache is valid for a single issuer and its keys; other keys need another cache.
"""

from collections import OrderedDict

from authgw.core.tokens import Issuer, Token, TokenType


class VerifiedTokens:
    """Cache of at most `capacity` tokens of an issuer; the oldest entry is evicted first."""

    def __init__(self, issuer: Issuer, capacity: int) -> None:
        self._issuer = issuer
        self._capacity = capacity
        self._tokens: OrderedDict[str, Token] = OrderedDict()

    def __len__(self) -> int:
        return len(self._tokens)

    def verify(self, text: str, kind: TokenType, *, now: float) -> Token:
        """Return the token of this text if it is valid at `now` (Unix seconds).

        Raises:
            the errors of `Issuer.verify`.
        """
        cached = self._tokens.get(text)
        if cached is not None and cached.type is kind and now < cached.valid_until:
            return cached
        self._tokens.pop(text, None)
        token = self._tokens[text] = self._issuer.verify(text, kind, now=now)
        if len(self._tokens) > self._capacity:
            self._tokens.popitem(last=False)
        return token
