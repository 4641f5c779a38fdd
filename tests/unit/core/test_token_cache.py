"""Cached tokens: all checks are repeated except that of the signature."""

import pytest

from authgw.core.errors import TokenExpiredError, TokenInvalidError, TokenWrongTypeError
from authgw.core.keys import KeyRing
from authgw.core.token_cache import VerifiedTokens
from authgw.core.tokens import LEEWAY, Issuer, TokenType
from tests.support.builders import KEY, LIVES, NOW, a_key, a_session, an_issuer

ISSUER = an_issuer()


def minted(number: int = 0) -> str:
    return ISSUER.mint(a_session(str(number)), TokenType.ACCESS, now=NOW)


class Counting:
    """An issuer that counts its calls."""

    def __init__(self, issuer: Issuer) -> None:
        self.issuer, self.calls = issuer, 0

    def verify(self, text: str, kind: TokenType, *, now: float) -> object:
        self.calls += 1
        return self.issuer.verify(text, kind, now=now)


def counting_cache(capacity: int = 10) -> tuple[VerifiedTokens, Counting]:
    issuer = Counting(ISSUER)
    return VerifiedTokens(issuer, capacity), issuer  # type: ignore[arg-type]  # a stand-in


def test_a_token_is_verified_once() -> None:
    tokens, issuer = counting_cache()
    text = minted()
    first = tokens.verify(text, TokenType.ACCESS, now=NOW)
    assert tokens.verify(text, TokenType.ACCESS, now=NOW + 1) is first
    assert issuer.calls == 1


def test_a_cached_token_expires() -> None:
    tokens, _ = counting_cache()
    text = minted()
    end = NOW + LIVES.access + LEEWAY
    tokens.verify(text, TokenType.ACCESS, now=end - 0.01)
    for _ in range(2):
        with pytest.raises(TokenExpiredError):
            tokens.verify(text, TokenType.ACCESS, now=end)
    assert len(tokens) == 0


def test_a_cached_token_is_bound_to_its_type() -> None:
    tokens, _ = counting_cache()
    text = minted()
    tokens.verify(text, TokenType.ACCESS, now=NOW)
    with pytest.raises(TokenWrongTypeError):
        tokens.verify(text, TokenType.SESSION, now=NOW)


def test_a_cached_token_is_refused_after_its_key_is_retired() -> None:
    old, new = a_key("old"), a_key("new", signs_from=NOW + 10)
    ring = KeyRing((old, new), max_lifetime=100)
    tokens = VerifiedTokens(Issuer("authgw", "authgw", ring), 10)
    # Signed by a holder of the old key, with a lifetime above the maximum.
    text = an_issuer(old).mint(a_session(), TokenType.ACCESS, now=NOW)
    tokens.verify(text, TokenType.ACCESS, now=NOW + 109)
    with pytest.raises(TokenInvalidError):
        tokens.verify(text, TokenType.ACCESS, now=NOW + 110)


def test_the_capacity_is_limited() -> None:
    tokens, issuer = counting_cache(capacity=3)
    texts = [minted(number) for number in range(5)]
    for text in texts:
        tokens.verify(text, TokenType.ACCESS, now=NOW)
    assert len(tokens) == 3
    tokens.verify(texts[4], TokenType.ACCESS, now=NOW)
    assert issuer.calls == 5
    tokens.verify(texts[0], TokenType.ACCESS, now=NOW)
    assert issuer.calls == 6


def test_refused_tokens_are_not_cached() -> None:
    tokens, issuer = counting_cache()
    for _ in range(2):
        with pytest.raises(TokenInvalidError):
            tokens.verify(minted()[:-8] + "AAAAAAAA", TokenType.ACCESS, now=NOW)
    assert (len(tokens), issuer.calls) == (0, 2)


def test_other_keys_need_another_cache() -> None:
    text = minted()
    VerifiedTokens(an_issuer(KEY), 10).verify(text, TokenType.ACCESS, now=NOW)
    with pytest.raises(TokenInvalidError):
        VerifiedTokens(an_issuer(a_key()), 10).verify(text, TokenType.ACCESS, now=NOW)
