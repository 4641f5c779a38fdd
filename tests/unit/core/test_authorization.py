"""Classification of Authorization lines: own, foreign, or a mixture to refuse."""

import json
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Callable

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from authgw.core.authorization import (
    Authorization,
    AuthorizationKind,
    OwnIdentifiers,
    read_authorization,
)
from authgw.core.keys import KeyRing
from authgw.core.limits import MAX_AUTHORIZATION_BYTES
from authgw.core.token_keys import derived_kid
from authgw.core.tokens import Issuer, TokenType
from tests.support.builders import KEY, NOW, a_key, a_session

RETIRED = a_key("retired1")
ISSUER = Issuer(
    "https://auth.example.com/é",
    "authgw",
    KeyRing((KEY,), 100, frozenset({"retired1"})),
    previous=("old-name",),
)
MARKS = ISSUER.identifiers
APP_PASSWORD = "agw_Ab3dEf6hIj9kLm2nOp5q"
SERVICE_KEY = "agk_Zx8cVb5nMq2w"


def ours(kind: TokenType = TokenType.ACCESS) -> str:
    return ISSUER.mint(a_session(), kind, now=NOW)


def elsewhere(kid: str = "their-key", **claims: object) -> str:
    """Return a token of another issuer."""
    payload = {"iss": "https://login.example.net", "sub": "alice", **claims}
    return jwt.encode(payload, "s" * 32, "HS256", {"kid": kid})


def part(text: str) -> str:
    return urlsafe_b64encode(text.encode()).rstrip(b"=").decode()


def signed(header: str, payload: str, signature: str = "c2ln") -> str:
    return f"Bearer {part(header)}.{part(payload)}.{signature}"


def basic_of(text: str) -> bytes:
    return b"Basic " + b64encode(text.encode())


def classified(*lines: bytes | str, accepts_basic: bool = False) -> Authorization:
    sent = [line.encode() if isinstance(line, str) else line for line in lines]
    return read_authorization(sent, MARKS, accepts_basic=accepts_basic)


FOREIGN: list[bytes | str] = [
    "",
    "Bearer",
    "Bearer x",
    "Bearer  x",
    "Bearer undefined",
    "Bearer null",
    "Bearer [object Object]",
    *("Bearer abcde=", "Bearer a=", "Bearer ab~", "Bearer a~~~", "Bearer a~.b.c", "Bearer a==="),
    "Bearer x.y.z",
    "bearer \t x",
    "Bearer " + "A" * 500,
    f"Bearer {elsewhere()}",
    f"Bearer {elsewhere(scope='agwx agk-')}",
    f"Token {elsewhere()}",
    # An encrypted token of five parts, and a token whose header and payload are not JSON.
    signed('{"alg":"RSA-OAEP","enc":"A256GCM","kid":"theirs"}', "key", "aXY.dGV4dA.dGFn"),
    signed("no", "json"),
    signed('{"alg":"none"}', '{"iss":"authgw-of-others"}', ""),
    # The signature of a token contains our prefix by chance.
    f"Bearer {elsewhere()[:-6]}agw_xy",
    basic_of("alice:secret"),
    basic_of("alice:"),
    "Basic",
    "Basic !",
    "Basic YWxpY2U6eA== ",
    'MediaBrowser Token="x"',
    'MediaBrowser Client="Jellyfin Web", Device="Firefox", DeviceId="TW96", Token="x"',
    "MediaBrowser Client=Jellyfin Web, Device=Fire fox, Version=10.8, Token=",
    'MediaBrowser Client="a, Basic b", Device="say \\", NTLM x"',
    'Emby UserId="1", Client = "x" ,, Token="y",',
    'Digest username="x", realm="y", nonce="z", uri="/", qop=auth, nc=00000001, response="a"',
    "AWS4-HMAC-SHA256 Credential=AK/20130524/us-east-1/s3/aws4_request, "
    "SignedHeaders=host;range, Signature=fe5f80",
    'OAuth realm="x",oauth_consumer_key="k",oauth_signature="b%3D"',
    'Hawk id="d", ts="1353832234", nonce="j4h3g2", mac="6R4rV5iE+NPoym+="',
    "PVEAPIToken=root@pam!id=6d8c",
    "Token token=abc, nonce=def",
    "SharedAccessSignature sr=x&sig=y%3d&se=1",
    "key=AAAA:BBBB",
    b"\x80\xff",
    b"Bearer \xe9",
    "\xa0Bearer x",
    ",",
    '"',
]


@pytest.mark.parametrize("line", FOREIGN)
def test_foreign_credentials_are_left_to_the_app(line: bytes | str) -> None:
    result = classified(line)
    assert (result.kind, result.pair, result.binds_connection) == (
        AuthorizationKind.FOREIGN,
        None,
        False,
    )


def test_no_line_and_several_foreign_lines() -> None:
    assert classified().kind is AuthorizationKind.ABSENT
    assert classified("Bearer x", "Bearer x").kind is AuthorizationKind.FOREIGN
    assert (
        classified("", 'MediaBrowser Token="x"', basic_of("a:b")).kind is AuthorizationKind.FOREIGN
    )


@pytest.mark.parametrize("kind", TokenType)
def test_own_tokens_of_all_types_are_recognised(kind: TokenType) -> None:
    token = ours(kind)
    for scheme in ("Bearer", "bearer", "BEARER", "Bearer "):
        assert classified(f"{scheme} {token}") == Authorization(AuthorizationKind.OURS, token)


@pytest.mark.parametrize(
    "line",
    [
        f"Bearer {APP_PASSWORD}",
        f"Bearer {SERVICE_KEY}",
        "Bearer agw_",
        signed("no JSON", '{"kid":"retired1"}'),
        # Another issuer and a removed key; a previous issuer and an unknown key.
        f"Bearer {elsewhere('retired1')}",
        f"Bearer {elsewhere(iss='old-name')}",
        signed('{"alg":"none"}', '{"iss":"old-name"}'),
        signed('{"alg":"none"}', '{"iss":"old-name"}', ""),
        # A damaged token: cut, with parts that are not JSON, with members in all spellings.
        f"Bearer {ours()[:60]}",
        f"Bearer {ours()[20:]}",
        f"Bearer {ours()[:-2]}",
        f"Bearer x{ours()}",
        signed('{"kid":"a1"', "no JSON"),
        signed("no JSON", '{"iss":"old-name",'),
        signed('{"alg":"x"}', '{"iss":"theirs","iss":"old-name"}'),
        signed('{"alg":"x"}', '{"iss":"old-name","iss":"theirs"}'),
        signed('{"kid":"theirs", "kid" :\t"a1"}', "{}"),
        signed('{"alg":"x"}', '{"\\u0069ss":"old\\u002dname"}'),
        signed('{"alg":"x"}', '{"iss":"https:\\/\\/auth.example.com\\/\\u00e9"}'),
        signed('{"alg":"x"}', '{"iss":"https://auth.example.com/é"}'),
        signed('{"alg":"x"}', '{"act":{"iss":"old-name"}}'),
    ],
)
def test_bearer_with_own_marks_must_be_valid(line: str) -> None:
    result = classified(line)
    assert result == Authorization(AuthorizationKind.OURS, line.removeprefix("Bearer "))


@pytest.mark.parametrize(
    "lines",
    [
        [f"Token {ours()}"],
        [f'Bearer "{ours()}"'],
        [f"Bearer={ours()}"],
        [f"Bearer\t{ours()}"],
        [f"Bearer {ours()} "],
        [ours()],
        [f'MediaBrowser Token="{ours()}"'],
        [f"Bearer {ours().replace('.', '%2E')}"],
        [f"Bearer {'.'.join(part + '==' for part in ours().split('.'))}"],
        [basic_of(f"alice:{ours()}")],
        [basic_of(f"alice:{APP_PASSWORD}")],
        [basic_of(f"{SERVICE_KEY}:")],
        [basic_of(f"alice:{APP_PASSWORD}")[:-3]],
        [f"Basic {APP_PASSWORD}"],
        [f"Basic alice:{APP_PASSWORD}"],
        [f"Token {APP_PASSWORD}"],
        # Several credentials, among them ours; two lines that Envoy joined; foreign lists.
        ["Basic eDp5", f"Bearer {ours()}"],
        [f"Bearer {ours()}", "Basic eDp5"],
        [f"Bearer {ours()}", f"Bearer {ours()}"],
        [f"Bearer {ours()},Basic eDp5"],
        [f'Digest a="b", Bearer {ours()}'],
        [f'Digest a="{ours()}"'],
        ["Bearer x, Basic eDp5"],
        ["Bearer x,y"],
        ['Foo a="b, Bearer x'],
        [", Bearer x, Basic y"],
        ['"",Basic y'],
        [f"Token {'x' * MAX_AUTHORIZATION_BYTES}"],
        ["Token " + "x" * 4000, "Token " + "x" * 4300],
    ],
)
def test_own_credentials_in_another_form_are_malformed(lines: list[str]) -> None:
    result = classified(*lines)
    assert (result.kind, result.token, result.pair) == (AuthorizationKind.MALFORMED, None, None)
    assert result.problem


def test_size_limit() -> None:
    assert (
        classified("Token " + "x" * (MAX_AUTHORIZATION_BYTES - 6)).kind is AuthorizationKind.FOREIGN
    )
    assert (
        classified("Bearer " + "x" * (MAX_AUTHORIZATION_BYTES - 7)).kind
        is AuthorizationKind.FOREIGN
    )
    # The token parser refuses it because of its length.
    assert (
        classified("Bearer " + "x" * (MAX_AUTHORIZATION_BYTES - 6)).kind is AuthorizationKind.OURS
    )


def test_basic_is_own_if_the_rule_accepts_it() -> None:
    def classify(*lines: bytes | str) -> Authorization:
        return classified(*lines, accepts_basic=True)

    assert classify(basic_of("bob:a:b")).pair == ("bob", "a:b")
    assert classify(b"BASIC  " + basic_of("bob:")[6:] + b" ").pair == ("bob", "")
    large = basic_of("bob:" + "x" * MAX_AUTHORIZATION_BYTES)
    for lines in (
        [basic_of("bob:x"), basic_of("bob:x")],
        ["Bearer x", basic_of("bob:x")],
        [basic_of("bob:x") + b", Bearer x"],
        [b"Bearer x, " + basic_of("bob:x")],
        [basic_of("bob")],
        [large],
        [b"Basic " + b64encode(b"\xff:")],
        ["Basic !"],
        ["Basic"],
        ["Basic\tYm9iOng="],
        ['basic realm="x"'],
    ):
        result = classify(*lines)
        assert (result.kind, result.pair) == (AuthorizationKind.MALFORMED, None), lines
    assert classify("Bearer x").kind is AuthorizationKind.FOREIGN
    assert classify('Digest a="Basic b"').kind is AuthorizationKind.FOREIGN
    assert classify(f"Bearer {APP_PASSWORD}") == Authorization(AuthorizationKind.OURS, APP_PASSWORD)


@pytest.mark.parametrize(
    "lines",
    [
        ["NTLM TlRMTVNTUAAB"],
        ["negotiate YIIZ"],
        ["Negotiate"],
        ["KERBEROS x"],
        ["Nego2 x"],
        ["Negotiate:Kerberos x"],
        [" \tNTLM x"],
        ["NTLM\tx"],
        ["Bearer x", "NTLM x"],
        ["Basic eDp5, NTLM x"],
        ['Foo a="b, NTLM x'],
        ["Token " + "x" * MAX_AUTHORIZATION_BYTES, "NTLM x"],
    ],
)
def test_schemes_that_authenticate_a_connection(lines: list[str]) -> None:
    assert classified(*lines).binds_connection


# Each function inserts a credential into a header, between two other texts.
WRAPPERS: list[Callable[[str, str, str], list[bytes]]] = [
    lambda secret, before, after: [f"{before}{secret}{after}".encode()],
    lambda secret, before, after: [f"Bearer {before}{secret}{after}".encode()],
    lambda secret, before, after: [f"Bearer {secret}{after}".encode()],
    lambda secret, before, after: [f'{before} "{secret}" {after}'.encode()],
    lambda secret, before, after: [f"{before}, Bearer {secret}, {after}".encode()],
    lambda secret, before, after: [before.encode(), secret.encode(), after.encode()],
    lambda secret, before, after: [before.encode(), basic_of(f"{after}:{secret}")],
    lambda secret, before, after: [basic_of(f"{before}:{secret}{after}")],
    lambda secret, before, after: [f"Digest {before}={secret};{after}".encode()],
]
# RFC 9110 section 5.5, and the characters that delimit credentials.
AROUND = st.text(st.characters(codec="latin-1", exclude_categories=["Cc"]), max_size=40) | st.text(
    'eyJ.agwk_-+/=, "\\:;BasicBearer', max_size=40
)


@given(
    secret=st.sampled_from([ours(), ours(TokenType.SESSION), APP_PASSWORD, SERVICE_KEY]),
    wrap=st.sampled_from(WRAPPERS),
    before=AROUND,
    after=AROUND,
    accepts_basic=st.booleans(),
)
def test_own_credentials_in_any_context_never_count_as_foreign(
    secret: str,
    wrap: Callable[[str, str, str], list[bytes]],
    before: str,
    after: str,
    accepts_basic: bool,
) -> None:
    lines = wrap(secret, before, after)
    result = read_authorization(lines, MARKS, accepts_basic=accepts_basic)
    assert result.kind in (AuthorizationKind.OURS, AuthorizationKind.MALFORMED), lines


@given(st.lists(st.binary(max_size=60), max_size=3), st.booleans())
def test_any_bytes_are_classified(lines: list[bytes], accepts_basic: bool) -> None:
    result = read_authorization(lines, MARKS, accepts_basic=accepts_basic)
    assert (result.kind is AuthorizationKind.ABSENT) == (not lines)
    assert bool(result.problem) == (result.kind is AuthorizationKind.MALFORMED)


def test_repr_shows_no_secrets() -> None:
    for credential in (
        classified(f"Bearer {ours()}"),
        classified(basic_of("a:b"), accepts_basic=True),
    ):
        assert "token" not in repr(credential)
        assert "pair" not in repr(credential)


def test_marks_include_previous_issuers_and_keys() -> None:
    derived = {
        derived_kid(parent, kind.claim)
        for parent in ("a1", "retired1")
        for kind in TokenType
        if kind is not TokenType.ACCESS
    }
    assert (
        OwnIdentifiers(
            frozenset({"https://auth.example.com/é", "old-name"}),
            frozenset({"a1", "retired1", *derived}),
        )
        == MARKS
    )
    assert derived
    assert json.loads('"\\u00e9"') == "é"


@given(
    st.lists(st.binary(max_size=60) | st.from_regex(rb"Bearer [A-Za-z0-9._~+/-]+=*"), max_size=3)
)
def test_any_bearer_like_lines_are_classified(lines: list[bytes]) -> None:
    for accepts_basic in (False, True):
        assert (
            read_authorization(lines, MARKS, accepts_basic=accepts_basic).kind in AuthorizationKind
        )
