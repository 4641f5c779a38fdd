"""HeadReader: recognition of exactly one request, and its headers."""

from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authgw.core.limits import MAX_HEADERS
from authgw.server.http_reader import HeadReader, UnreadableRequestError

CHECK = b"GET /authenticate HTTP/1.1\r\nHost: a\r\nx-A: 1\r\nX-a:  2 3\r\n\r\n"
# A body may look like a request.
POST = b"POST /login HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%b" % (len(CHECK), CHECK)
CHUNKED = (
    b"POST /login HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"%x\r\n%b\r\n0\r\nTrailer: t\r\n\r\n" % (len(CHECK), CHECK)
)
REQUESTS = {
    CHECK: [b"Host", b"x-A", b"X-a"],
    POST: [b"Host", b"Content-Length"],
    CHUNKED: [b"Host", b"Transfer-Encoding", b"Trailer"],
}


def test_one_request_is_told_with_its_headers() -> None:
    heads = HeadReader()
    for number in range(1, 4):
        assert heads.read(CHECK)
        assert heads.taken() == ([b"Host", b"x-A", b"X-a"], [b"a", b"1", b"2 3"])
        assert heads.taken() == ([], [])  # nothing is kept of it
        assert heads.completed == number


@given(
    st.lists(st.sampled_from(list(REQUESTS)), max_size=6),
    st.lists(st.integers(0, 1200), max_size=8),
)
def test_a_request_is_whole_only_from_its_first_byte_to_its_last(
    requests: Sequence[bytes], cuts: Sequence[int]
) -> None:
    sent, ends = b"".join(requests), {0}
    for request in requests:
        ends.add(max(ends) + len(request))
    # Most ends of requests are ends of packets, as on a real connection.
    places = sorted({*(cut for cut in cuts if cut < len(sent)), *list(ends)[::2], 0, len(sent)})
    heads = HeadReader()
    for start, stop in pairwise(places):
        within = [end for end in ends if start < end <= stop]
        alone = heads.read(sent[start:stop])
        names, _ = heads.taken()
        assert alone == (start in ends and within == [stop])
        assert not alone or names == REQUESTS[sent[start:stop]]
        assert heads.completed == len([end for end in ends if 0 < end <= stop])


@pytest.mark.parametrize(
    "sent",
    [
        b"hush\r\n\r\n",
        b"\x16\x03\x01\x02\x00",
        CHECK.replace(b"x-A", b"x A"),
        CHECK.replace(b"1.1\r\nHost", b"1.1\r\n Host"),
        CHECK.replace(b"2 3", b"2\x00 3"),
        CHECK.replace(b"x-A: 1", b"Content-Length: 1\r\nTransfer-Encoding: chunked"),
        CHECK.replace(b"x-A: 1", b"Connection: Upgrade\r\nUpgrade: websocket"),
        CHECK.replace(b"x-A: 1", b"\r\n".join([b"a: b"] * MAX_HEADERS)),
        b"CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n",
    ],
)
def test_what_cannot_be_read_is_said(sent: bytes) -> None:
    heads = HeadReader()
    assert heads.read(CHECK)
    with pytest.raises(UnreadableRequestError):
        heads.read(sent)


def test_nothing_follows_a_last_request() -> None:
    heads = HeadReader()
    assert heads.read(CHECK.replace(b"x-A: 1", b"Connection: close"))
    with pytest.raises(UnreadableRequestError):
        heads.read(CHECK)
