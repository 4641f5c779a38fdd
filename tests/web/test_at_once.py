"""Checks with a cached response: sent without a decision, otherwise identical."""

import asyncio
import contextlib
import random
import re
import socket
from collections.abc import Sequence
from typing import Any

import pytest

from authgw.core.rules import Rule
from authgw.forward_auth.endpoint import Begun, CheckEndpoint
from authgw.forward_auth.pending_check import PendingCheck
from tests.support.gateway import RunningGateway
from tests.support.raw_http import answer, asking, connected, known


@pytest.fixture
def decided(monkeypatch: pytest.MonkeyPatch) -> list[None]:
    """Return a list that receives an entry for each check without a cached response."""
    seen: list[None] = []
    real = CheckEndpoint._started

    def started(self: CheckEndpoint, check: PendingCheck, rule: Rule | None) -> Begun:
        seen.append(None)
        return real(self, check, rule)

    monkeypatch.setattr(CheckEndpoint, "_started", started)
    return seen


async def shaped(quick: RunningGateway, user_id: int = 1) -> str:
    """Return a token whose response to `asking` is cached."""
    access = await known(quick, user_id)
    async with connected(quick) as (reader, writer):
        for _ in range(2):
            writer.write(asking(access))
            await answer(reader)
    return access


async def test_no_check_with_a_cached_response_is_decided(
    quick: RunningGateway, decided: list[None]
) -> None:
    access = await shaped(quick)
    before, counted = len(decided), quick.serving.cached_responses
    async with connected(quick) as (reader, writer):
        for _ in range(10):
            writer.write(asking(access))
            assert (await answer(reader))[1]["Remote-User"] == "1"
        assert (len(decided), quick.serving.cached_responses) == (before, counted + 10)
        # An unknown token in between.
        writer.write(asking("none"))
        assert (await answer(reader))[0] == "HTTP/1.1 401 Unauthorized"
        writer.write(asking(access))
        assert (await answer(reader))[0] == "HTTP/1.1 200 OK"
    assert (len(decided), quick.serving.cached_responses) == (before + 1, counted + 11)


async def test_a_stranger_is_refused_without_a_decision_and_recorded_each_time(
    quick: RunningGateway, decided: list[None]
) -> None:
    async with connected(quick) as (reader, writer):
        for number in range(3):
            before, events = len(decided), len(quick.events)
            writer.write(asking(None, X_Request_ID=f"r{number}"))
            status, headers = await answer(reader)
            assert (status, headers["X-Request-ID"]) == ("HTTP/1.1 401 Unauthorized", f"r{number}")
            assert len(decided) - before == (number == 0)
            (event,) = quick.events[events:]
            assert (event.request_id, event.reason) == (f"r{number}", "token_missing")
            assert event.detail == quick.events[events - number].detail


async def test_a_head_with_too_long_a_line_is_refused_also_if_its_names_are_known(
    quick: RunningGateway,
) -> None:
    access = await shaped(quick)
    for token in (access, None):
        async with connected(quick) as (reader, writer):
            for size in (10, 10, 33_000):
                writer.write(asking(token, User_Agent="x" * size))
                status = (await answer(reader))[0]
        assert status.endswith(" 400 Bad Request")


async def test_an_unknown_header_name_is_a_cache_miss_once(
    quick: RunningGateway, decided: list[None]
) -> None:
    access = await shaped(quick)
    before = len(decided)
    async with connected(quick) as (reader, writer):
        for _ in range(3):
            writer.write(asking(access, X_Other="1"))
            assert (await answer(reader))[0] == "HTTP/1.1 200 OK"
    assert len(decided) == before + 1


async def test_a_cached_response_waits_for_pending_responses(
    quick: RunningGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    access, new = await shaped(quick), (await quick.login_elsewhere(2))["access"]
    reading, go_on, read = asyncio.Event(), asyncio.Event(), quick.store.read_many

    async def late(sids: Sequence[str]) -> Any:
        reading.set()
        await go_on.wait()
        return await read(sids)

    monkeypatch.setattr(quick.store, "read_many", late)
    async with connected(quick) as (reader, writer):
        writer.write(asking(new))
        await asyncio.wait_for(reading.wait(), 5)
        counted = quick.serving.cached_responses
        for _ in range(2):
            writer.write(asking(access))
            await asyncio.sleep(0.05)
        assert quick.serving.cached_responses == counted
        go_on.set()
        users = [(await answer(reader))[1]["Remote-User"] for _ in range(3)]
        assert users == ["2", "1", "1"]
        assert quick.serving.cached_responses == counted + 2


async def test_a_body_that_looks_like_checks_is_not_answered(quick: RunningGateway) -> None:
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


async def test_a_check_in_several_packets_is_answered_once(quick: RunningGateway) -> None:
    access = await shaped(quick)
    sent = asking(access)
    async with connected(quick) as (reader, writer):
        for cut in (1, 20, 30, len(sent) - 1):
            writer.write(sent[:cut])
            await asyncio.sleep(0.02)
            writer.write(sent[cut:])
            assert (await answer(reader))[1]["Remote-User"] == "1"
            # Together with the beginning of the next request.
            writer.write(sent + sent[:cut])
            assert (await answer(reader))[1]["Remote-User"] == "1"
            writer.write(sent[cut:])
            assert (await answer(reader))[1]["Remote-User"] == "1"


async def test_every_check_in_one_packet_is_answered(quick: RunningGateway) -> None:
    tokens = [await shaped(quick, user) for user in (1, 2)]
    async with connected(quick) as (reader, writer):
        for _ in range(3):
            writer.write(b"".join(asking(token) for token in tokens))
            users = [(await answer(reader))[1]["Remote-User"] for _ in tokens]
            assert users == ["1", "2"]


async def test_no_response_is_sent_while_writing_is_paused(quick: RunningGateway) -> None:
    access = await shaped(quick)
    for sent in (asking(access), asking("none"), b"GET /ping HTTP/1.1\r\nHost: x\r\n\r\n"):
        async with connected(quick) as (reader, writer):
            writer.write(asking(access))
            await answer(reader)
            *_, connection = quick.connections
            connection.pause_writing()
            writer.write(sent)
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(reader.read(1), 0.1)
            connection.resume_writing()
            assert (await answer(reader))[0].startswith("HTTP/1.1 ")


async def test_a_client_that_never_reads_cannot_send_single_checks_without_limit(
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
        (connection,) = [link for link in quick.connections if link.writing_paused]
        assert connection._link.get_write_buffer_size() < 200_000
        assert not connection._link.is_reading()


# Changes of a check with a cached response: each replaces the first text by the second.
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
async def test_responses_equal_those_without_the_cache(quick: RunningGateway, seed: int) -> None:
    choose = random.Random(seed)
    access = await shaped(quick)
    remembering, at_once = quick.serving.gateway.checks.cache, quick.serving.cached_responses

    async def answered(sent: Sequence[bytes]) -> bytes:
        received = b""
        async with connected(quick) as (reader, writer):
            for part in sent:
                writer.write(part)
                # Some have no response: the gateway may wait for a body, or close the connection.
                with contextlib.suppress(TimeoutError, ConnectionError):
                    received += await asyncio.wait_for(reader.read(65536), 0.1)
            writer.write(b"GET /ping HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            with contextlib.suppress(ConnectionError):
                received += await asyncio.wait_for(reader.read(), 20)
        return re.sub(rb"Date: [^\r]*|[0-9a-f]{16}", b"", received)

    for number in range(len(_CHANGES) + 10):
        changes = [_CHANGES[number % len(_CHANGES)], *choose.choices(_CHANGES, k=seed)]
        odd = asking(access)
        for old, new in changes:
            odd = odd.replace(old, new, 1)
        sent = [asking(access), odd, *choose.choices((asking(access), odd), k=choose.randrange(3))]
        quick_answer = await answered(sent)
        quick.serving.gateway.checks.cache = None
        slow_answer = await answered(sent)
        quick.serving.gateway.checks.cache = remembering
        assert quick_answer == slow_answer, sent
    assert quick.serving.cached_responses > at_once + len(_CHANGES)
