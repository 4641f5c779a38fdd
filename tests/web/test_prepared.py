"""Prepared responses over real connections, for every kind of request."""

import asyncio
import re

import pytest

from authgw.forward_auth.response_bytes import Response, serialised
from tests.support.gateway import ORIGINAL, RunningGateway
from tests.support.raw_http import answer, asking, connected, known


async def test_a_prepared_response_equals_the_first_response(quick: RunningGateway) -> None:
    pair = await quick.login(5, groups=["users", "team-a"], email="zoë@example.com", name="Zoë")
    first = await quick.check(pair["access"], **ORIGINAL)
    second = await quick.check(pair["access"], **ORIGINAL)
    assert len(quick.cache) == 1
    third = await quick.check(pair["access"], **ORIGINAL)
    assert first.headers == second.headers == third.headers
    assert third.headers["Remote-Name"] == "Zoë"
    assert re.fullmatch(r"\w{3}, \d\d \w{3} \d{4} [\d:]{8} GMT", third.headers["Date"])


async def test_refusals_for_the_same_reason_differ_only_in_their_id(quick: RunningGateway) -> None:
    async with connected(quick) as (reader, writer):
        writer.write(asking("none") * 2)
        refusals = [await answer(reader) for _ in range(2)]
    ids = {headers.pop("X-Request-ID") for _, headers in refusals}
    assert len(ids) == 2
    dates = [headers.pop("Date") for _, headers in refusals]
    assert all(dates)
    assert refusals[0] == refusals[1]
    assert refusals[0][0] == "HTTP/1.1 401 Unauthorized"
    assert refusals[0][1]["X-Authgw-Reason"] == "token_malformed"


async def test_requests_in_one_packet_are_answered_in_order(quick: RunningGateway) -> None:
    tokens = [await known(quick, user) for user in (1, 2, 3)]
    async with connected(quick) as (reader, writer):
        writer.write(b"".join(asking(tokens[number % 3]) for number in range(30)))
        for number in range(30):
            status, headers = await answer(reader)
            assert (status, headers["Remote-User"]) == ("HTTP/1.1 200 OK", str(number % 3 + 1))


async def test_head_has_no_body(quick: RunningGateway) -> None:
    access = await known(quick)
    for _ in range(2):
        assert (await quick.check(access)).status == 200
    async with connected(quick) as (reader, writer):
        for original in (True, False):
            sent = asking(access, "HEAD /authenticate HTTP/1.1")
            if not original:
                sent = re.sub(rb"X-Original[^\r]*\r\n", b"", sent)
            writer.write(sent + asking(access))
            assert (await answer(reader))[0] == "HTTP/1.1 200 OK"
            # The next bytes are the next response, not a body.
            assert (await answer(reader))[0] == "HTTP/1.1 200 OK"


@pytest.mark.parametrize(
    ("line", "connection", "kept"),
    [
        ("GET /authenticate HTTP/1.0", "", False),
        ("GET /authenticate HTTP/1.0", "keep-alive", True),
        ("GET /authenticate HTTP/1.1", "close", False),
        ("GET /authenticate HTTP/1.1", "keep-alive", True),
        ("GET /authenticate HTTP/1.1", "", True),
    ],
)
async def test_connections_are_kept_as_the_client_wants(
    quick: RunningGateway, line: str, connection: str, kept: bool
) -> None:
    access = await known(quick)
    more = {"Connection": connection} if connection else {}
    async with connected(quick) as (reader, writer):
        for _ in range(3 if kept else 1):
            writer.write(asking(access, line, **more))
            status, headers = await answer(reader)
            assert status == f"{line[-8:]} 200 OK"
            received = headers.get("Connection", "keep-alive" if line.endswith("1") else "close")
            assert received == ("keep-alive" if kept else "close")
        if not kept:
            assert await asyncio.wait_for(reader.read(), 5) == b""


async def test_a_client_that_never_reads_is_not_read_from(quick: RunningGateway) -> None:
    access = await known(quick)
    requests = asking(access) * 100
    async with connected(quick) as (_, writer):
        for _ in range(1000):
            writer.write(requests)
            try:
                await asyncio.wait_for(writer.drain(), 1)
            except TimeoutError:
                # A busy machine may only be slow to read.
                if any(link.writing_paused for link in quick.connections):
                    break
        else:
            pytest.fail("100,000 requests were read while no answer was")
        (protocol,) = [link for link in quick.connections if link.writing_paused]
        assert protocol._link.get_write_buffer_size() < 200_000
        assert not protocol._link.is_reading()
        # Other connections are answered meanwhile.
        assert (await quick.check(access, **ORIGINAL)).status == 200


async def test_an_aborted_connection_does_not_affect_others(quick: RunningGateway) -> None:
    access = await known(quick)
    for _ in range(20):
        async with connected(quick) as (_, writer):
            writer.write(asking(access) * 50)
            writer.transport.abort()
    assert (await quick.check(access, **ORIGINAL)).status == 200


@pytest.mark.parametrize("bad", ["a\r\nX: y", "a\nb", "a\0", "\x7f", "a\x1fb"])
def test_header_values_cannot_contain_line_breaks(bad: str) -> None:
    with pytest.raises(ValueError, match="Remote-Name"):
        serialised(Response(200, (("Remote-Name", bad),)))
    with pytest.raises(ValueError, match="header"):
        serialised(Response(200, ((f"Remote-Name{bad}", "x"),)))
    with pytest.raises(ValueError, match="Cookie"):
        serialised(Response(200, (), own=(("Cookie", bad),)))
