"""HeadReader: detection of complete heads, and refusal of what aiohttp refuses."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authgw.core.errors import RequestMalformedError
from authgw.core.limits import MAX_HEADER_LINE_BYTES, MAX_HEADERS
from authgw.server.http_reader import HeadReader, RequestHead, refuse_long_line

CHECK = b"GET /authenticate HTTP/1.1\r\nHost: a\r\nx-A: 1\r\nX-a:  2 3\r\n\r\n"
CHUNKED = b"POST /login HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"


def head_of(raw: bytes) -> RequestHead:
    reader = HeadReader()
    assert reader.feed(raw)
    return reader.take()


def test_a_head_has_all_that_was_sent() -> None:
    reader = HeadReader()
    for _ in range(3):
        assert not reader.feed(b"\r\n")
        assert not reader.has_begun
        assert reader.feed(CHECK)
        head = reader.take()
        assert (head.method, head.target, head.version) == (b"GET", b"/authenticate", "1.1")
        assert head.names == [b"Host", b"x-A", b"X-a"]
        assert head.sent(b"x-a") == [b"1", b"2 3"]
        assert (head.keeps_alive, head.upgrades) == (True, False)
        assert (reader.names, reader.values) == ([], [])  # nothing is kept of it


@given(st.lists(st.integers(1, len(CHECK) - 1), max_size=8))
def test_a_head_is_complete_at_its_last_byte(cuts: list[int]) -> None:
    reader, places = HeadReader(), sorted({0, *cuts, len(CHECK)})
    parts = [CHECK[start:stop] for start, stop in pairwise(places)]
    assert [reader.feed(part) for part in parts] == [*[False] * (len(parts) - 1), True]
    assert reader.take() == head_of(CHECK)


@pytest.mark.parametrize(
    ("line", "keeps_alive", "upgrades"),
    [
        (b"Connection: close", False, False),
        (b"Connection: keep-alive", True, False),
        (b"Proxy-Connection: close", False, False),
        (b"Connection: Upgrade\r\nUpgrade: websocket", True, True),
        (b"Upgrade: h2c", True, False),
    ],
)
def test_a_head_shows_whether_another_request_follows(
    line: bytes, keeps_alive: bool, upgrades: bool
) -> None:
    head = head_of(CHECK.replace(b"x-A: 1", line))
    assert (head.keeps_alive, head.upgrades) == (keeps_alive, upgrades)


def test_a_tunnel_is_an_upgrade() -> None:
    assert head_of(b"CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n").upgrades


@pytest.mark.parametrize(
    "raw",
    [
        b"hush\r\n\r\n",
        b"\x16\x03\x01\x02\x00",
        CHECK.replace(b"x-A", b"x A"),
        CHECK.replace(b"x-A", b"x-A "),
        CHECK.replace(b"1.1\r\nHost", b"1.1\r\n Host"),
        CHECK.replace(b"x-A: 1", b"x-A: 1\r\n folded"),
        CHECK.replace(b"2 3", b"2\x00 3"),
        CHECK.replace(b"2 3", b"2\x7f 3"),
        CHECK.replace(b"x-A: 1\r\n", b"x-A: 1\n"),
        CHECK.replace(b"x-A: 1", b"Content-Length: 1\r\nTransfer-Encoding: chunked"),
        CHECK.replace(b"x-A: 1", b"Content-Length: 1\r\nContent-Length: 1"),
        CHECK.replace(b"x-A: 1", b"Content-Length:"),
        CHECK.replace(b"x-A: 1", b"Transfer-Encoding: gzip"),
    ],
)
def test_what_cannot_be_parsed_is_refused(raw: bytes) -> None:
    with pytest.raises(RequestMalformedError):
        HeadReader().feed(raw)


@pytest.mark.parametrize(
    "raw",
    [
        CHECK.replace(b"Host: a\r\n", b""),
        CHECK.replace(b"x-A: 1", b"host: a"),
        CHECK.replace(b"x-A: 1", b"User-Agent: a\r\nuser-agent: b"),
        CHECK.replace(b"x-A: 1", b"Content-Type: a\r\nContent-type: a"),
        CHECK.replace(b"x-A: 1", b"sec-websocket-KEY1: a"),
        CHECK.replace(b"HTTP/1.1", b"HTTP/2.0"),
        CHECK.replace(b"HTTP/1.1", b"HTTP/0.9"),
        b"GET /ping\r\n\r\n",
        CHECK.replace(b"x-A: 1", b"\r\n".join([b"a: b"] * (MAX_HEADERS - 1))),
        CHECK.replace(b"x-A: 1", b"x-A: " + b"1" * (MAX_HEADER_LINE_BYTES - 2)),
        CHECK.replace(b"/authenticate", b"/" * (MAX_HEADER_LINE_BYTES + 1)),
    ],
)
def test_what_aiohttp_refuses_is_refused(raw: bytes) -> None:
    with pytest.raises(RequestMalformedError):
        head_of(raw)


def test_the_largest_head_is_accepted() -> None:
    for largest in (
        CHECK.replace(b"x-A: 1", b"\r\n".join([b"a: b"] * (MAX_HEADERS - 2))),
        CHECK.replace(b"x-A: 1", b"x-A: " + b"1" * (MAX_HEADER_LINE_BYTES - 3)),
        CHECK.replace(b"/authenticate", b"/" * MAX_HEADER_LINE_BYTES),
    ):
        head_of(largest)
        refuse_long_line(largest[:-4])


def test_a_line_without_an_end_is_refused() -> None:
    with pytest.raises(RequestMalformedError, match="too long"):
        refuse_long_line(b"GET / HTTP/1.1\r\nA: " + b"a" * (MAX_HEADER_LINE_BYTES + 64))


@pytest.mark.parametrize("trailers", [b"", b"Trailer: t\r\n" * 1000])
@pytest.mark.parametrize("after", [b"", CHECK, CHECK[:20], b"\x00"])
def test_a_chunked_body_ends_with_its_trailers(trailers: bytes, after: bytes) -> None:
    reader = HeadReader()
    assert reader.feed(CHUNKED)
    reader.take()
    assert not reader.feed_chunked(b"%x\r\n%b\r\n0" % (len(CHECK), CHECK))
    assert reader.feed_chunked(b"\r\n" + trailers + b"\r\n" + after)
    assert not reader.names


def test_a_malformed_chunk_is_refused() -> None:
    reader = HeadReader()
    assert reader.feed(CHUNKED)
    reader.take()
    with pytest.raises(RequestMalformedError):
        reader.feed_chunked(b"zz\r\n")


def test_a_request_after_an_unread_body_is_read() -> None:
    reader = HeadReader()
    assert reader.feed(CHUNKED.replace(b"Transfer-Encoding: chunked", b"Content-Length: 3"))
    reader.take()
    reader.next_request()
    assert reader.feed(CHECK)
    assert reader.take().target == b"/authenticate"
