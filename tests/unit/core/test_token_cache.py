"""Remembered tokens: all checks are repeated except that of the signature."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authgw.core.errors import (
    TokenExpiredError,
    TokenInvalidError,
    TokenMalformedError,
    TokenNotYetValidError,
    TokenWrongTypeError,
)
from authgw.core.keys import KeyRing
from authgw.core.limits import MAX_TOKEN_BYTES, MAX_TOKEN_MEMORY_BYTES
from authgw.core.sessions import Session, generation
from authgw.core.token_cache import VerifiedTokens
from authgw.core.tokens import LEEWAY, Issuer, TokenType
from tests.support.builders import KEY, LIVES, NOW, a_key, a_session, an_issuer

ISSUER = an_issuer()
ROOM = 100_000  # bytes
# In a field of `Token` each, with a value that is unlike those of the others.
SESSIONS = st.builds(
    lambda sub, user_id, gen, start, jtis: replace(
        a_session(sub, user_id, start),
        gen=gen,
        current=generation(*jtis, now=start, expires_at=start + LIVES.refresh, access=LIVES.access),
    ),
    st.text(min_size=1, max_size=63),
    st.one_of(st.none(), st.integers(0, 2**63 - 1)),
    st.integers(0, 2**53),
    st.floats(NOW - 10, NOW + 10),
    st.tuples(*[st.text(min_size=1, max_size=22)] * 2),
)


def minted(number: int = 0) -> str:
    return ISSUER.mint(a_session(str(number)), TokenType.ACCESS, now=NOW)


class Counting:
    """An issuer that counts its calls."""

    def __init__(self, issuer: Issuer) -> None:
        self.issuer, self.calls = issuer, 0

    def verify(self, text: str, kind: TokenType, *, now: float) -> object:
        self.calls += 1
        return self.issuer.verify(text, kind, now=now)


def counting_cache(capacity: int = ROOM) -> tuple[VerifiedTokens, Counting]:
    issuer = Counting(ISSUER)
    return VerifiedTokens(issuer, capacity), issuer  # type: ignore[arg-type]  # a stand-in


def test_a_token_is_verified_once() -> None:
    tokens, issuer = counting_cache()
    text = minted()
    first = tokens.verify(text, TokenType.ACCESS, now=NOW)
    assert tokens.verify(text, TokenType.ACCESS, now=NOW + 1) == first
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
    tokens = VerifiedTokens(Issuer("authgw", "authgw", ring), ROOM)
    # Signed by a holder of the old key, with a lifetime above the maximum.
    text = an_issuer(old).mint(a_session(), TokenType.ACCESS, now=NOW)
    tokens.verify(text, TokenType.ACCESS, now=NOW + 109)
    with pytest.raises(TokenInvalidError):
        tokens.verify(text, TokenType.ACCESS, now=NOW + 110)


def test_the_memory_is_bounded_in_bytes() -> None:
    tokens, issuer = counting_cache(capacity=800)
    texts = [minted(number) for number in range(5)]
    for text in texts:
        tokens.verify(text, TokenType.ACCESS, now=NOW)
    assert len(tokens) == 3
    tokens.verify(texts[4], TokenType.ACCESS, now=NOW)
    assert issuer.calls == 5
    tokens.verify(texts[0], TokenType.ACCESS, now=NOW)
    assert issuer.calls == 6
    # A long subject takes the place of several.
    long = ISSUER.mint(a_session("x" * 255), TokenType.ACCESS, now=NOW)
    tokens.verify(long, TokenType.ACCESS, now=NOW)
    assert len(tokens) == 2


def test_what_is_remembered_twice_takes_its_bytes_once() -> None:
    tokens, issuer = counting_cache(capacity=1000)
    texts = [minted(number) for number in range(3)]
    for text in texts * 10:
        tokens.remember(text, ISSUER.verify(text, TokenType.ACCESS, now=NOW))
    assert len(tokens) == 3
    for text in texts:
        tokens.verify(text, TokenType.ACCESS, now=NOW)
    assert issuer.calls == 0


def test_ordinary_tokens_of_65536_sessions_fit() -> None:
    tokens = VerifiedTokens(ISSUER, MAX_TOKEN_MEMORY_BYTES)
    sub, jti = "a.user@example.com", "0123456789abcdefghijkl"
    current = replace(a_session().current, access_jti=jti)
    session = replace(a_session(sub, 1), gen=9, current=current)
    token = ISSUER.token_of(session, TokenType.ACCESS, now=NOW)
    assert token is not None
    for number in range(65_536):
        tokens.remember(str(number), token)
    assert len(tokens) == 65_536


@given(SESSIONS, st.sampled_from(TokenType))
def test_a_minted_token_is_remembered_as_it_would_be_verified(
    session: Session, kind: TokenType
) -> None:
    tokens, issuer = counting_cache()
    text = ISSUER.mint(session, kind, now=NOW)
    token = ISSUER.token_of(session, kind, now=NOW)
    if token is None:
        with pytest.raises(TokenNotYetValidError):
            ISSUER.verify(text, kind, now=NOW)
        return
    tokens.remember(text, token)
    assert tokens.verify(text, kind, now=NOW) == token == ISSUER.verify(text, kind, now=NOW)
    assert issuer.calls == 0


def test_a_minted_token_is_forgotten_when_its_key_is_retired() -> None:
    ring = KeyRing((a_key("old"), a_key("new", signs_from=NOW + 10)), max_lifetime=100)
    issuer = Issuer("authgw", "authgw", ring)
    for kind in (TokenType.ACCESS, TokenType.SESSION):
        token = issuer.token_of(a_session(), kind, now=NOW)
        assert token is not None
        assert token.valid_until == NOW + 110


@pytest.mark.parametrize("text", ["é", "\udce9", "a" * (MAX_TOKEN_BYTES + 1)])
def test_texts_that_are_no_tokens_are_refused(text: str) -> None:
    tokens, issuer = counting_cache()
    with pytest.raises(TokenMalformedError):
        tokens.verify(text, TokenType.ACCESS, now=NOW)
    assert (len(tokens), issuer.calls) == (0, 1)


def test_refused_tokens_are_not_cached() -> None:
    tokens, issuer = counting_cache()
    for _ in range(2):
        with pytest.raises(TokenInvalidError):
            tokens.verify(minted()[:-8] + "AAAAAAAA", TokenType.ACCESS, now=NOW)
    assert (len(tokens), issuer.calls) == (0, 2)


def test_other_keys_need_another_cache() -> None:
    text = minted()
    VerifiedTokens(an_issuer(KEY), ROOM).verify(text, TokenType.ACCESS, now=NOW)
    with pytest.raises(TokenInvalidError):
        VerifiedTokens(an_issuer(a_key()), ROOM).verify(text, TokenType.ACCESS, now=NOW)
