"""Reading raw headers: credentials, cookies and preflights."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authgw.core.errors import AuthorizationMalformed
from authgw.core.model import IdentityHeaders
from authgw.dialects.headers import (
    Named,
    RawHeaders,
    Sorter,
    bearer,
    cookies,
    other_cookies,
    preflight_method,
    values,
)


@pytest.mark.parametrize(
    "value", [b"Basic eDp5", b"Bearer", b"Bearer ", b"Bearer a b", b"", b"Bearer a,b", b"\xff"]
)
def test_what_is_no_bearer_token(value: bytes) -> None:
    with pytest.raises(AuthorizationMalformed):
        bearer([(b"Authorization", value)])


def test_one_header_with_one_token() -> None:
    assert bearer([]) is None
    assert bearer([(b"authorization", b"bearer  a.b-c_d~+/==")]) == "a.b-c_d~+/=="
    with pytest.raises(AuthorizationMalformed):
        bearer([(b"Authorization", b"Bearer a"), (b"authorization", b"Bearer a")])


def test_a_preflight_has_both_headers_once() -> None:
    origin, asked = (b"Origin", b"https://a"), (b"Access-Control-Request-Method", b"PUT")
    assert preflight_method([origin, asked]) == "PUT"
    for headers in ([origin], [asked], [origin, asked, asked], [origin, origin, asked]):
        assert preflight_method(headers) is None


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ([], None),
        ([b""], ""),
        ([b"a=1; b=2"], "a=1; b=2"),
        ([b"authgw=x"], ""),
        ([b"__Host-authgw=x;__Secure-authgw=y; authgw=z;"], ""),
        ([b"a=1; __Host-authgw=x; b=2"], "a=1; b=2"),
        ([b"a=1;\tauthgw =x;b=2"], "a=1; b=2"),
        ([b"a=1", b"authgw=x; b=2"], "a=1; b=2"),
        # Two headers that a proxy joined.
        ([b"a=1, authgw=x"], "a=1"),
        ([b"__Secure-authgw=x, b=2, c=3; d"], "b=2, c=3; d"),
        ([b"a=1,__Host-authgw=x,2"], "a=1,2"),
        ([b"notauthgw=1; a=authgw=2; AUTHGW=4"], "notauthgw=1; a=authgw=2; AUTHGW=4"),
        # What is no cookie by RFC 6265 stays as it came where it can.
        ([b'a="1,2"; b=; ;c; =d; e=f=g; h=\xc3\xa9'], 'a="1,2"; b=; c; =d; e=f=g; h=é'),
        ([b"a=\xff; b=2; \xe9=1"], "b=2"),
        # Latin-1's white space is a letter of another name.
        ([b"\xc2\xa0authgw=x"], "\xa0authgw=x"),
        ([b"a=1\r\nSet-Cookie: x; b=2; c=\x00; d=\x7f; e=\t"], "b=2; e="),
    ],
)
def test_other_cookies(sent: list[bytes], kept: str | None) -> None:
    headers = [(b"Accept", b"x"), *((b"cookie", line) for line in sent)]
    assert other_cookies(headers) == kept


_PIECES = [b"authgw", b"__Host-", b"__Secure-", b"a", b"=", b";", b",", b" ", b"\t", b"\n"]
_PIECES += [b"\x00", b"\xa0", b"\xc3\xa9"]


@given(st.lists(st.lists(st.sampled_from(_PIECES)).map(b"".join)))
def test_no_session_is_among_the_other_cookies(lines: list[bytes]) -> None:
    kept = other_cookies([(b"Cookie", b"authgw=1;" + line + b"; authgw=2") for line in lines])
    again = [(b"Cookie", (kept or "").encode())]
    assert cookies(again, frozenset({"authgw", "__Host-authgw", "__Secure-authgw"})) == ()
    assert not re.search(r"[\x00-\x1f\x7f]", kept or "")


def test_large_cookies_stay_whole() -> None:
    large = "; ".join(f"c{number}={'x' * 2000}" for number in range(10))
    assert other_cookies([(b"Cookie", large.encode() + b"; authgw=x")]) == large


def sort(sorter: Sorter, headers: RawHeaders) -> tuple[RawHeaders, RawHeaders] | None:
    """Those that ask, those that show who asks; None if they want a closer look."""
    names, values = [name for name, _ in headers], [value for _, value in headers]
    shape = sorter.shape(names)
    if shape is None:
        return None
    asking = tuple(zip(shape.asking, shape.question(values), strict=True))
    return asking, tuple(zip(shape.showing, shape.credentials(values), strict=True))


def test_sorting_leaves_out_only_what_decides_nothing() -> None:
    sorter = Sorter(IdentityHeaders())
    asked = ((b"x-original-URL", b"u"), (b"Connection", b"close"), (b"ORIGIN", b"o"))
    shown = ((b"authorization", b"a"), (b"Cookie", b"c"), (b"Cookie", b"d"))
    noise = ((b"X-Request-ID", b"1"), (b"User-Agent", b"x"))
    assert sort(sorter, (*noise, *asked, *shown)) == (asked, shown)
    assert sort(sorter, (*noise, *shown[:1], *asked[:1])) == (asked[:1], shown[:1])
    # In another order it might mean something else.
    assert sort(sorter, asked[::-1]) == (asked[::-1], ())


@pytest.mark.parametrize(
    "name",
    [
        *[b"Remote-User", b"remote_user", b"REMOTE.GROUPS", b"Remote\xa0Name"],
        *[b"Expect", b"Upgrade", b"Content-Length", b"transfer-ENCODING"],
    ],
)
def test_sorting_gives_way_to_a_closer_look(name: bytes) -> None:
    sorter = Sorter(IdentityHeaders())
    for _ in range(2):
        assert sorter.shape((b"Host", name)) is None


def test_an_identity_header_may_have_any_name() -> None:
    assert Sorter(IdentityHeaders(user="Accept")).shape((b"accept",)) is None


def test_made_up_names_take_no_memory() -> None:
    sorter = Sorter(IdentityHeaders())
    for number in range(5000):
        assert sort(sorter, ((b"x-%d" % number, b""),)) == ((), ())
    assert len(sorter) == 1024
    assert sorter.shape((b"remote_user",)) is None


def test_named_headers_are_the_same_headers() -> None:
    raw = ((b"A", b"1"), (b"b", b"2"), (b"a", b"3"))
    named = Named.of(raw)
    assert tuple(named) == raw
    for name in ("A", "B", "C"):
        assert values(named, name) == values(raw, name)
