"""Tokens: valid tokens, and all texts that must be refused."""

import base64
import json
from typing import Any

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from authgw.core import errors
from authgw.core.keys import key_from_secret
from authgw.core.limits import MAX_TOKEN_BYTES
from authgw.core.tokens import Issuer, TicketClaims, TokenType, claims_of
from tests.support.builders import KEY, LIVES, NOW, a_key, a_session, an_issuer

ISSUER = an_issuer()
ACCESS = ISSUER.mint(a_session(), TokenType.ACCESS, now=NOW)
CLAIMS = jwt.decode(ACCESS, options={"verify_signature": False})

TWIN_KIDS = b'{"kid":"a1","kid":"a1"}'
NOT_A_NUMBER = b'{"exp":NaN}'


def b64(value: Any) -> str:
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def forged(claims: dict[str, Any] | None = None, drop: str = "", **header: Any) -> str:
    body = {name: value for name, value in (CLAIMS | (claims or {})).items() if name != drop}
    head = {"kid": "a1", "typ": "at+jwt", **header}
    return jwt.api_jws.PyJWS().encode(json.dumps(body).encode(), KEY.signing, "ES256", head)


def refusal(text: str, kind: TokenType = TokenType.ACCESS, now: float = NOW) -> str:
    with pytest.raises(errors.AuthgwError) as caught:
        ISSUER.verify(text, kind, now=now)
    assert caught.value.status == 401
    return caught.value.code


@pytest.mark.parametrize("kind", list(TokenType))
def test_each_type_verifies_only_as_itself(kind: TokenType) -> None:
    text = ISSUER.mint(a_session(), kind, now=NOW)
    assert ISSUER.verify(text, kind, now=NOW).sid == a_session().sid
    for other in set(TokenType) - {kind}:
        assert refusal(text, other) == "token_wrong_type"


def test_claims_that_older_clients_read() -> None:
    token, claims = ISSUER.verify(ACCESS, TokenType.ACCESS, now=NOW), claims_of(ACCESS)
    assert {"user_id", "uid", "type", "iss", "exp", "nbf", "iat"} <= claims.keys()
    assert claims["uid"] == token.jti == "a0"


@pytest.mark.parametrize("user_id", [1, 2**53 + 1, 2**63 - 1])
def test_user_ids_are_exact(user_id: int) -> None:
    text = ISSUER.mint(a_session(str(user_id), user_id), TokenType.ACCESS, now=NOW)
    ISSUER.verify(text, TokenType.ACCESS, now=NOW)
    assert claims_of(text)["user_id"] == user_id


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=50))
def test_claims_are_those_of_a_json_encoder(sub: str) -> None:
    session = a_session(sub)
    text = ISSUER.mint(session, TokenType.ACCESS, now=NOW)
    claims = CLAIMS | {"sub": sub, "sid": session.sid}
    assert text.split(".")[1] == b64(json.dumps(claims, separators=(",", ":")).encode())
    assert ISSUER.verify(text, TokenType.ACCESS, now=NOW).sub == sub


@pytest.mark.parametrize("length", [0, 1, 63, 65, 128])
def test_a_signature_of_another_length_is_refused(length: int) -> None:
    signed, _, signature = ACCESS.rpartition(".")
    raw = (base64.urlsafe_b64decode(signature + "==") * 2)[:length]
    assert refusal(f"{signed}.{b64(raw)}") == "token_invalid"


def test_signatures_are_those_of_a_library() -> None:
    content = jwt.api_jws.PyJWS().decode(ACCESS, KEY.verifying, ["ES256"])
    assert json.loads(content) == CLAIMS
    assert ISSUER.verify(forged(), TokenType.ACCESS, now=NOW).sub == "1"


def test_a_string_subject_has_no_user_id() -> None:
    text = ISSUER.mint(a_session("alice", None), TokenType.ACCESS, now=NOW)
    ISSUER.verify(text, TokenType.ACCESS, now=NOW)
    assert "user_id" not in claims_of(text)


def test_times_have_five_seconds_of_leeway() -> None:
    ISSUER.verify(ACCESS, TokenType.ACCESS, now=NOW + 904.9)
    assert refusal(ACCESS, now=NOW + 905) == "token_expired"
    ISSUER.verify(ACCESS, TokenType.ACCESS, now=NOW - 5)
    assert refusal(ACCESS, now=NOW - 5.1) == "token_not_yet_valid"


def test_logout_may_accept_an_expired_token() -> None:
    late = ISSUER.verify(ACCESS, TokenType.ACCESS, now=NOW + 9999, allow_expired=True)
    assert late.sub == "1"


@pytest.mark.parametrize("name", ["iss", "sub", "exp", "iat", "jti", "sid", "type", "aud", "gen"])
def test_claims_are_required(name: str) -> None:
    assert refusal(forged(drop=name)) == "token_invalid"


@pytest.mark.parametrize(
    "claims",
    [
        {"iss": "evil"},
        {"aud": "evil"},
        {"aud": ["authgw"]},
        {"sub": 1},
        {"sub": ""},
        {"sid": None},
        {"exp": "2000000000"},
        {"exp": True},
        {"exp": 10**400},
        {"iat": None},
        {"nbf": "soon"},
        {"gen": True},
        {"gen": -1},
        {"gen": "0"},
    ],
)
def test_invalid_claims_are_refused(claims: dict[str, Any]) -> None:
    assert refusal(forged(claims)) == "token_invalid"


@pytest.mark.parametrize(
    "header",
    [
        {"kid": None},
        {"kid": "../../etc/passwd"},
        {"kid": ["a1"]},
        {"kid": 1},
        {"alg": "none"},
        {"alg": "HS256"},
        {"crit": ["exp"]},
        {"b64": True},
    ],
)
def test_invalid_headers_are_refused(header: dict[str, Any]) -> None:
    head, claims, signature = forged().split(".")
    changed = json.loads(base64.urlsafe_b64decode(head + "==")) | header
    assert refusal(f"{b64(changed)}.{claims}.{signature}") == "token_invalid"


@pytest.mark.parametrize(
    "header", [{"crit": ["exp"]}, {"kid": "zz"}, {"jwk": {}, "kid": "zz"}, {"jku": "x", "kid": ""}]
)
def test_a_valid_signature_does_not_excuse_a_bad_header(header: dict[str, Any]) -> None:
    assert refusal(forged(**header)) == "token_invalid"


def test_an_embedded_key_is_never_used() -> None:
    other = an_issuer(a_key("a1")).mint(a_session(), TokenType.ACCESS, now=NOW)
    assert refusal(other) == "token_invalid"


def test_the_public_key_is_not_an_hmac_secret() -> None:
    secret = key_from_secret("a1", b"s" * 32)
    assert refusal(an_issuer(secret).mint(a_session(), TokenType.ACCESS, now=NOW)) == (
        "token_invalid"
    )


def test_malformed_texts() -> None:
    head, claims, signature = ACCESS.split(".")
    texts = [
        "",
        "a.b",
        "a.b.c.d",
        f"{head}.{claims}.{signature}=",
        f"{head}=.{claims}.{signature}",
        f"{head}.{claims}.{signature[:-1]}B",
        f"{head}.{claims}.é",
        f"{head}.{claims} .{signature}",
        f"{b64([1])}.{claims}.{signature}",
        f"{b64(TWIN_KIDS)}.{claims}.{signature}",
        f"{head}.{b64(NOT_A_NUMBER)}.{signature}",
        f"{head}.{b64(b'[' * 2000)}.{signature}",
        f"{head}.{b64(bytes([0xFF]))}.{signature}",
        f"{head}.a.{signature}",
        "a" * (MAX_TOKEN_BYTES + 1),
    ]
    assert {refusal(text) for text in texts} == {"token_malformed"}


def test_the_standard_base64_alphabet_is_refused() -> None:
    sessions = (a_session(f"user-{number}", None) for number in range(1000))
    signed = (ISSUER.mint(session, TokenType.ACCESS, now=NOW) for session in sessions)
    text = next(token for token in signed if {"-", "_"} <= set(token.rpartition(".")[2]))
    head, _, signature = text.rpartition(".")
    for own, standard in (("-", "+"), ("_", "/")):
        assert refusal(f"{head}.{signature.replace(own, standard)}") == "token_malformed"


@given(st.integers(0, len(ACCESS) - 1), st.characters(min_codepoint=33, max_codepoint=126))
def test_no_changed_character_is_accepted(at: int, char: str) -> None:
    changed = ACCESS[:at] + char + ACCESS[at + 1 :]
    if changed != ACCESS:
        assert refusal(changed) in {"token_malformed", "token_invalid", "token_wrong_type"}


@pytest.mark.parametrize("kind", TokenType)
def test_tokens_of_a_previous_issuer_verify_until_they_expire(kind: TokenType) -> None:
    ring = an_issuer().keys
    old, new = Issuer("old", "old", ring), Issuer("new", "new", ring, previous=("old",))
    session = a_session()
    text = old.mint(session, kind, now=NOW)
    assert new.verify(text, kind, now=NOW).sub == session.sub
    own = new.mint(session, kind, now=NOW)
    assert new.verify(own, kind, now=NOW).sub == session.sub
    assert claims_of(own)["iss"] == "new"
    with pytest.raises(errors.TokenInvalidError):
        Issuer("new", "new", ring).verify(text, kind, now=NOW)
    with pytest.raises(errors.TokenExpiredError):
        new.verify(text, kind, now=NOW + LIVES.refresh + 6)


@pytest.mark.parametrize(
    ("issuer", "audience", "holds"),
    [
        ("old", "old", True),
        ("old", "apps", True),
        ("new", "apps", True),
        ("old", "other", False),
        ("old", "new", False),
        ("new", "new", False),
        ("new", "old", False),
        ("older", "apps", False),
        ("older", "older", False),
    ],
)
def test_pairs_of_issuer_and_audience(issuer: str, audience: str, holds: bool) -> None:
    ring = an_issuer().keys
    text = Issuer(issuer, audience, ring).mint(a_session(), TokenType.ACCESS, now=NOW)
    verifying = Issuer("new", "apps", ring, previous=("old",))
    if holds:
        assert verifying.verify(text, TokenType.ACCESS, now=NOW)
    else:
        with pytest.raises(errors.TokenInvalidError):
            verifying.verify(text, TokenType.ACCESS, now=NOW)


@pytest.mark.parametrize("kind", [TokenType.PENDING, TokenType.DEVICE])
def test_tokens_outside_a_session(kind: TokenType) -> None:
    text = ISSUER.mint_ticket("alice", kind, TicketClaims("t1", 300, "m1"), now=NOW)
    token = ISSUER.verify(text, kind, now=NOW + 300)
    assert (token.sub, token.sid, token.jti, token.gen) == ("alice", "t1", "t1", 0)
    assert token.mark == claims_of(text)["mark"] == "m1"
    assert refusal(text, kind, NOW + 306) == "token_expired"
    assert refusal(text) == "token_wrong_type"
