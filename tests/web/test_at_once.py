"""A check whose answer is known is answered before aiohttp sees it, and nothing else changes."""

import asyncio
import contextlib
import random
import re
import socket
from collections.abc import Sequence
from typing import Any

import pytest

from authgw.server.http_protocol import Connection
from tests.support.gateway import RunningGateway
from tests.support.raw_http import answer, asking, connected, known


@pytest.fixture
def by_aiohttp(monkeypatch: pytest.MonkeyPatch) -> list[None]:
    """An entry for each request that aiohttp began."""
    seen: list[None] = []
    real = Connection.begun

    def begun(self: Connection) -> None:
        seen.append(None)
        real(self)

    monkeypatch.setattr(Connection, "begun", begun)
    return seen


async def shaped(quick: RunningGateway, user_id: int = 1) -> str:
    """A token whose answer to `asking` is known."""
    access = await known(quick, user_id)
    async with connected(quick) as (reader, writer):
        for _ in range(2):
            writer.write(asking(access))
            await answer(reader)
    return access


async def test_aiohttp_sees_no_check_whose_answer_is_known(
    quick: RunningGateway, by_aiohttp: list[None]
) -> None:
    access = await shaped(quick)
    before, counted = len(by_aiohttp), quick.serving.cached_responses
    async with connected(quick) as (reader, writer):
        for _ in range(10):
            writer.write(asking(access))
            assert (await answer(reader))[1]["Remote-User"] == "1"
        assert (len(by_aiohttp), quick.serving.cached_responses) == (before, counted + 10)
        # One that is not known in between.
        writer.write(asking("none"))
        assert (await answer(reader))[0] == "HTTP/1.1 401 Unauthorized"
        writer.write(asking(access))
        assert (await answer(reader))[0] == "HTTP/1.1 200 OK"
    assert (len(by_aiohttp), quick.serving.cached_responses) == (before + 1, counted + 11)


async def test_who_is_known_by_names_that_never_came_takes_the_long_way_first(
    quick: RunningGateway, by_aiohttp: list[None]
) -> None:
    access = await shaped(quick)
    before = len(by_aiohttp)
    async with connected(quick) as (reader, writer):
        for _ in range(3):
            writer.write(asking(access, X_Other="1"))
            assert (await answer(reader))[0] == "HTTP/1.1 200 OK"
    assert len(by_aiohttp) == before + 1


async def test_no_answer_overtakes_one_that_is_waited_for(
    quick: RunningGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    access, new = await shaped(quick), (await quick.login(2))["access"]
    asked, go_on, read = asyncio.Event(), asyncio.Event(), quick.store.read_many

    async def late(sids: Sequence[str]) -> Any:
        asked.set()
        await go_on.wait()
        return await read(sids)

    monkeypatch.setattr(quick.store, "read_many", late)
    async with connected(quick) as (reader, writer):
        writer.write(asking(new))
        await asyncio.wait_for(asked.wait(), 5)
        counted = quick.serving.cached_responses
        for _ in range(2):
            writer.write(asking(access))
            await asyncio.sleep(0.05)
        assert quick.serving.cached_responses == counted
        go_on.set()
        users = [(await answer(reader))[1]["Remote-User"] for _ in range(3)]
        assert users == ["2", "1", "1"]
        writer.write(asking(access))
        await answer(reader)
        assert quick.serving.cached_responses == counted + 1


async def test_a_body_is_no_check_whatever_it_looks_like(quick: RunningGateway) -> None:
    access = await shaped(quick)
    counted = quick.serving.cached_responses
    body = asking(access)
    async with connected(quick) as (reader, writer):
        head = f"POST /ping HTTP/1.1\r\nHost: x\r\nContent-Length: {2 * len(body)}\r\n\r\n"
        writer.write(head.encode())
        for _ in range(2):
            await asyncio.sleep(0.05)
            writer.write(body)
        assert (await answer(reader))[0] == "HTTP/1.1 405 Method Not Allowed"
        assert quick.serving.cached_responses == counted


async def test_a_check_in_pieces_is_one_check(quick: RunningGateway) -> None:
    access = await shaped(quick)
    sent = asking(access)
    async with connected(quick) as (reader, writer):
        for cut in (1, 20, 30, len(sent) - 1):
            writer.write(sent[:cut])
            await asyncio.sleep(0.02)
            writer.write(sent[cut:])
            assert (await answer(reader))[1]["Remote-User"] == "1"
            # With the beginning of the next behind it, it is no request alone.
            writer.write(sent + sent[:cut])
            assert (await answer(reader))[1]["Remote-User"] == "1"
            writer.write(sent[cut:])
            assert (await answer(reader))[1]["Remote-User"] == "1"


async def test_checks_in_one_packet_are_answered_each(quick: RunningGateway) -> None:
    tokens = [await shaped(quick, user) for user in (1, 2)]
    async with connected(quick) as (reader, writer):
        for _ in range(3):
            writer.write(b"".join(asking(token) for token in tokens))
            users = [(await answer(reader))[1]["Remote-User"] for _ in tokens]
            assert users == ["1", "2"]


async def test_nothing_is_answered_at_once_while_answers_are_not_taken(
    quick: RunningGateway,
) -> None:
    access = await shaped(quick)
    async with connected(quick) as (reader, writer):
        writer.write(asking(access))
        await answer(reader)
        counted = quick.serving.cached_responses
        *_, connection = quick.connections
        connection.pause_writing()
        writer.write(asking(access))
        await answer(reader)
        assert quick.serving.cached_responses == counted
        connection.resume_writing()
        writer.write(asking(access))
        await answer(reader)
        assert quick.serving.cached_responses == counted + 1


async def test_checks_one_by_one_are_too_much_for_a_client_that_never_reads_as_well(
    quick: RunningGateway,
) -> None:
    sent = asking(await shaped(quick))
    with socket.socket() as link:
        link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        link.connect((quick.client.host, quick.client.port))
        link.setblocking(False)
        loop = asyncio.get_running_loop()
        for _ in range(100_000):
            try:
                await asyncio.wait_for(loop.sock_sendall(link, sent), 1)
            except TimeoutError:
                break
            await asyncio.sleep(0)
        else:
            pytest.fail("100,000 requests were read while no answer was")
        (connection,) = [one for one in quick.connections if one.writing_paused]
        assert connection.transport is not None
        assert connection.transport.get_write_buffer_size() < 200_000
        assert not connection.transport.is_reading()


# Each is a change of a check whose answer is known.
_CHANGES: tuple[tuple[bytes, bytes], ...] = (
    (b"", b""),
    (b"GET ", b"HEAD "),
    (b"GET ", b"POST "),
    (b"GET ", b"get "),
    (b"GET ", b"\r\n\r\nGET "),
    (b"GET ", b" GET "),
    (b"GET /", b"GET http://x/"),
    (b"GET /", b"GET //"),
    (b" HTTP/1.1", b"?a=b HTTP/1.1"),
    (b" HTTP/1.1", b"/ HTTP/1.1"),
    (b"HTTP/1.1", b"HTTP/1.0"),
    (b"HTTP/1.1", b"HTTP/2.0"),
    (b"Host: x\r\n", b""),
    (b"Host: x\r\n", b"Host: x\r\nHost: x\r\n"),
    (b"Host: x\r\n", b"Host: x\r\nHost: y\r\n"),
    (b"Host: x\r\n", b"Host : x\r\n"),
    (b"Host: x\r\n", b"Host: x\n"),
    (b"Host: x\r\n", b"Host: y\r\n"),
    (b"Host: x", b"Host: x\x00"),
    (b"Host: x", b"Host: x\xff"),
    (b"Host: x", b"Host: x\r\n folded"),
    (b"Host: x", b"Host: x\r\nUser-Agent: " + b"a" * 40_000),
    (b"Host: x", b"Host: x\r\nContent-Length: 0"),
    (b"Host: x", b"Host: x\r\nContent-Length: 5"),
    (b"Host: x", b"Host: x\r\nContent-Length: -1"),
    (b"\r\n\r\n", b"\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    (b"\r\n\r\n", b"\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nRemote-User: admin\r\n\r\n"),
    (b"Host: x", b"Host: x\r\nTransfer-Encoding: x\r\nContent-Length: 5"),
    (b"Host: x", b"Host: x\r\nConnection: close"),
    (b"Host: x", b"Host: x\r\nConnection: keep-alive"),
    (b"Host: x", b"Host: x\r\nProxy-Connection: close"),
    (b"Host: x", b"Host: x\r\nProxy-Connection: keep-alive"),
    (b"Host: x", b"Host: x\r\nConnection: Upgrade\r\nUpgrade: websocket"),
    (b"Host: x", b"Host: x\r\nUpgrade: h2c"),
    (b"Host: x", b"Host: x\r\nExpect: 100-continue"),
    (b"Host: x", b"Host: x\r\nExpect: else"),
    (b"Host: x", b"Host: x\r\nSec-WebSocket-Key1: a"),
    (b"Host: x", b"Host: x\r\nRemote-User: admin"),
    (b"Host: x", b"Host: x\r\nremote_user: admin"),
    (b"Host: x", b"Host: x\r\nRemote-User:"),
    (b"Host: x", b"Host: x\r\nContent-Length:"),
    (b"Host: x", b"Host: x\r\nConnection:"),
    (b"Host: x", b"Host: x\r\nConnection: Remote-User"),
    (b"Host: x", b"Host: x\r\nX-Forwarded-Uri: /"),
    (b"Host: x", b"Host: x\r\nX-Forwarded-For: 10.0.0.1"),
    (b"Host: x", b"Host: x\r\nCookie: authgw=x"),
    (b"Host: x", b"Host: x\r\n" + b"a: b\r\n" * 130 + b"c: d"),
    (b"Authorization: Bearer", b"Authorization: bearer"),
    (b"Authorization: Bearer", b"Authorization:\tBearer"),
    (b"Authorization: Bearer", b"Authorization: Basic"),
    (b"Authorization: Bearer", b"Authorization: Bearer "),
    (b"Authorization: Bearer", b"Authorization: Bearer x\r\nAuthorization: Bearer"),
    (b"X-Original-Method: GET", b"X-Original-Method: GET \t"),
    (b"X-Original-Method: GET", b"X-Original-Method: POST"),
    (b"X-Original-Host", b"x-original-host"),
    (b"X-Original-URL: https", b"X-Original-URL: http"),
    (b"X-Original-URL: https", b"X-Original-URL: https://a\r\nX-Original-URL: https"),
)


@pytest.mark.parametrize("seed", range(4))
async def test_no_byte_of_an_answer_differs_from_that_of_a_gateway_without_memory(
    quick: RunningGateway, seed: int
) -> None:
    choose = random.Random(seed)
    access = await shaped(quick)
    remembering, at_once = quick.serving.cache, quick.serving.cached_responses

    async def answered(sent: Sequence[bytes]) -> bytes:
        said = b""
        async with connected(quick) as (reader, writer):
            for one in sent:
                writer.write(one)
                # Not all is answered: a body may be waited for, or the connection be closed.
                with contextlib.suppress(TimeoutError, ConnectionError):
                    said += await asyncio.wait_for(reader.read(65536), 0.1)
            writer.write(b"GET /ping HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            with contextlib.suppress(ConnectionError):
                said += await asyncio.wait_for(reader.read(), 20)
        return re.sub(rb"Date: [^\r]*|[0-9a-f]{16}", b"", said)

    for number in range(len(_CHANGES) + 10):
        changes = [_CHANGES[number % len(_CHANGES)], *choose.choices(_CHANGES, k=seed)]
        odd = asking(access)
        for old, new in changes:
            odd = odd.replace(old, new, 1)
        sent = [asking(access), odd, *choose.choices((asking(access), odd), k=choose.randrange(3))]
        quick_answer = await answered(sent)
        quick.serving.cache = None
        slow_answer = await answered(sent)
        quick.serving.cache = remembering
        assert quick_answer == slow_answer, sent
    assert quick.serving.cached_responses > at_once + len(_CHANGES)
