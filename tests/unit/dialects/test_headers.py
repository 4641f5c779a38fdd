"""Parsing of raw headers: credentials, cookies and preflights."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authgw.dialects.headers import (
    IndexedHeaders,
    authorization,
    cookies,
    other_cookies,
    own_cookies,
    preflight_method,
    values,
    wants_html,
)


def test_a_preflight_has_both_headers_once() -> None:
    origin, method = (b"Origin", b"https://a"), (b"Access-Control-Request-Method", b"PUT")
    assert preflight_method([origin, method]) == "PUT"
    for headers in ([origin], [method], [origin, method, method], [origin, origin, method]):
        assert preflight_method(headers) is None


@pytest.mark.parametrize(
    ("sent", "expected"),
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
        # Text that is not a cookie by RFC 6265 stays unchanged where possible.
        ([b'a="1,2"; b=; ;c; =d; e=f=g; h=\xc3\xa9'], 'a="1,2"; b=; c; =d; e=f=g; h=é'),
        ([b"a=\xff; b=2; \xe9=1"], "b=2"),
        # White space of Latin-1 belongs to another name.
        ([b"\xc2\xa0authgw=x"], "\xa0authgw=x"),
        ([b"a=1\r\nSet-Cookie: x; b=2; c=\x00; d=\x7f; e=\t"], "b=2; e="),
    ],
)
def test_other_cookies(sent: list[bytes], expected: str | None) -> None:
    headers = [(b"Accept", b"x"), *((b"cookie", line) for line in sent)]
    assert other_cookies(headers) == expected


_PIECES = [b"authgw", b"__Host-", b"__Secure-", b"a", b"=", b";", b",", b" ", b"\t", b"\n"]
_PIECES += [b"\x00", b"\xa0", b"\xc3\xa9"]


@given(st.lists(st.lists(st.sampled_from(_PIECES)).map(b"".join)))
def test_other_cookies_contain_no_session(lines: list[bytes]) -> None:
    rest = other_cookies([(b"Cookie", b"authgw=1;" + line + b"; authgw=2") for line in lines])
    again = [(b"Cookie", (rest or "").encode())]
    assert cookies(again, frozenset({"authgw", "__Host-authgw", "__Secure-authgw"})) == ()
    assert not re.search(r"[\x00-\x1f\x7f]", rest or "")


def test_large_cookies_stay_whole() -> None:
    large = "; ".join(f"c{number}={'x' * 2000}" for number in range(10))
    assert other_cookies([(b"Cookie", large.encode() + b"; authgw=x")]) == large


def test_indexed_headers_are_unchanged() -> None:
    raw = ((b"A", b"1"), (b"b", b"2"), (b"a", b"3"))
    named = IndexedHeaders.of(raw)
    assert tuple(named) == raw
    for name in ("A", "B", "C"):
        assert values(named, name) == values(raw, name)


def test_authorization_lines_are_kept_in_order() -> None:
    headers = [
        (b"authorization", b"Bearer a"),
        (b"Proxy-Authorization", b"Basic x"),
        (b"Authorization", b"Basic b"),
    ]
    assert authorization(headers) == [b"Bearer a", b"Basic b"]


PAGE = ("Accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8")
NAVIGATE = ("Sec-Fetch-Mode", "navigate")


@pytest.mark.parametrize(
    ("headers", "html"),
    [
        # Fetch Metadata decides if it is present.
        ([NAVIGATE], True),
        ([NAVIGATE, ("Accept", "*/*")], True),
        ([NAVIGATE, ("Accept", "application/json")], True),
        ([NAVIGATE, ("Sec-Fetch-Dest", "iframe"), PAGE], True),
        ([NAVIGATE, ("X-Requested-With", "com.android.browser")], True),
        ([PAGE, ("Sec-Fetch-Mode", "cors")], False),
        ([PAGE, ("Sec-Fetch-Mode", "no-cors"), ("Sec-Fetch-Dest", "image")], False),
        ([PAGE, ("Sec-Fetch-Mode", "same-origin")], False),
        ([PAGE, ("Sec-Fetch-Mode", "websocket")], False),
        ([PAGE, ("Sec-Fetch-Mode", "")], False),
        ([PAGE, NAVIGATE, ("Sec-Fetch-Mode", "cors")], False),
        # Otherwise Accept decides.
        ([], False),
        ([PAGE], True),
        ([("Accept", "*/*")], False),
        ([("Accept", "application/json, text/plain, */*")], False),
        ([("Accept", "application/xhtml+xml")], True),
        ([("ACCEPT", "TEXT/HTML")], True),
        ([("Accept", "image/webp"), ("Accept", "text/html")], True),
        ([("Accept", "text/html;level=1")], True),
        ([("Accept", "text/html;q=0.1")], True),
        ([("Accept", "text/html;q=0")], False),
        ([("Accept", "text/html ; Q=0.000, */*")], False),
        ([("Accept", "text/html;q=0, application/xhtml+xml")], True),
        ([("Accept", "text/htmlx")], False),
        # Weak signals are evaluated last.
        ([PAGE, ("X-Requested-With", "XMLHttpRequest")], False),
        ([PAGE, ("x-requested-with", "xmlhttprequest")], False),
        ([PAGE, ("X-Requested-With", "com.android.browser")], True),
        ([PAGE, ("Upgrade", "websocket")], False),
    ],
)
def test_wants_html(headers: list[tuple[str, str]], html: bool) -> None:
    assert wants_html([(name.encode(), value.encode()) for name, value in headers]) is html


def test_own_cookies_of_all_lines_and_elements() -> None:
    headers = [
        (b"Cookie", b"a=1; authgw=x, authgw-csrf=y; b"),
        (b"Cookie", b"__Host-authgw=z, __Host-authgw=not-after-a-comma"),
    ]
    own = (("authgw", "x"), ("authgw-csrf", "y"), ("__Host-authgw", "z"))
    assert own_cookies(headers) == own
    assert cookies(headers, frozenset({"authgw"})) == ("x",)
