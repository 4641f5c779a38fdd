"""Tokens that were verified already, so that one is not verified at each request.

What is remembered is that signature, issuer, audience, type and claims hold; time is looked at
each time. It holds for one issuer and its keys: with others begins another memory.
"""

from collections import OrderedDict

from authgw.core.tokens import Issuer, Token, TokenType


class VerifiedTokens:
    """Remembers at most `capacity` tokens of one issuer; the longest known one makes room."""

    def __init__(self, issuer: Issuer, capacity: int) -> None:
        self._issuer = issuer
        self._capacity = capacity
        self._tokens: OrderedDict[str, Token] = OrderedDict()

    def __len__(self) -> int:
        return len(self._tokens)

    def verify(self, text: str, kind: TokenType, *, now: float) -> Token:
        """The token that this text is, at `now` (Unix seconds).

        Raises:
            the errors of `Issuer.verify`.
        """
        known = self._tokens.get(text)
        if known is not None and known.type is kind and now < known.until:
            return known
        self._tokens.pop(text, None)
        token = self._tokens[text] = self._issuer.verify(text, kind, now=now)
        if len(self._tokens) > self._capacity:
            self._tokens.popitem(last=False)
        return token
