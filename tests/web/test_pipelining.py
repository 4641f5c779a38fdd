"""Several requests on a connection: a response for each in order, or the connection ends."""

import asyncio
import json
import re
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest

from tests.support.gateway import PASSWORD, RunningGateway
from tests.support.messages import MALFORMED, UPGRADES
from tests.support.raw_http import _READ, asking, connected, everything, known, told, until

_LAST = b"GET /ping HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
_SMALL = b"abcde"
_BODIES = ("none", "small", "a check", "a check, chunked", "two checks behind an empty body")


def users(received: bytes) -> list[str]:
    """Return the user in each response."""
    lines = received.decode("latin-1").split("\r\n")
    return [line.removeprefix("Remote-User: ") for line in lines if line.startswith("Remote-User")]


def statuses(received: bytes) -> list[int]:
    """Return the status of each response."""
    return [int(status) for status in re.findall(rb"HTTP/1\.[01] (\d{3}) ", received)]


def with_body(head: bytes, kind: str, check: bytes) -> bytes:
    """Return the request with a body of this kind after its head."""
    if kind == "a check, chunked":
        head = head.replace(b"\r\n\r\n", b"\r\nTransfer-Encoding: chunked\r\n\r\n")
        return head + b"%x\r\n%s\r\n0\r\n\r\n" % (len(check), check)
    body = {"none": b"", "small": _SMALL, "a check": check}.get(kind, b"")
    if kind != "none":
        head = head.replace(b"\r\n\r\n", b"\r\nContent-Length: %d\r\n\r\n" % len(body))
    return head + body + (check * 2 if kind == _BODIES[-1] else b"")


def splits(raw: bytes, end_of_head: int) -> list[list[bytes]]:
    """Return packets: uncut, cut at each byte around the end of the head, cut twice there."""
    cuts = [*range(end_of_head - 5, end_of_head + 3), len(raw) // 2]
    once = [[raw[:cut], raw[cut:]] for cut in cuts if 0 < cut < len(raw)]
    end = [raw[:end_of_head], raw[end_of_head : end_of_head + 40], raw[end_of_head + 40 :]]
    return [[raw], *once, end]


@pytest.mark.parametrize("body", _BODIES)
@pytest.mark.parametrize("upgrade", UPGRADES, ids=lambda fields: b" ".join(fields).decode())
async def test_bytes_after_an_upgrade_are_never_a_request(
    quick: RunningGateway, upgrade: tuple[bytes, ...], body: str
) -> None:
    access, somebodys = await known(quick, 1), await known(quick, 2)
    head = asking(access).replace(b"\r\n\r\n", b"\r\n" + b"\r\n".join(upgrade) + b"\r\n\r\n")
    post = b"POST /ping HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n"
    hidden = asking(somebodys)
    message = with_body(head, body, hidden)
    behind = (post % len(hidden)) + hidden + hidden
    for parts in (
        *splits(message + behind, message.index(b"\r\n\r\n") + 4),
        [message + (post % len(hidden)), hidden],
    ):
        received = await told(quick, parts)
        assert statuses(received) == [200], parts
        assert b"\r\nConnection: close\r\n" in received
        assert users(received) == ["1"]


@pytest.mark.parametrize("line", ["CONNECT x:443", "CONNECT /", "GET http://y/authenticate"])
async def test_other_request_targets_are_refused_or_are_requests(
    quick: RunningGateway, line: str
) -> None:
    hidden = asking(await known(quick, 2))
    for parts in splits(asking("none", f"{line} HTTP/1.1") + hidden, 40):
        received = await told(quick, [*parts, _LAST])
        if line.startswith("GET"):
            assert statuses(received) == [401, 200, 200]
        else:
            assert statuses(received) in ([404], [400])


@pytest.mark.parametrize("many", [1, 31, 32, 33, 40, 64, 500])
async def test_all_requests_after_a_late_body_are_answered(
    quick: RunningGateway, many: int
) -> None:
    tokens = [await known(quick, user) for user in (1, 2, 3)]
    async with connected(quick) as (reader, writer):
        for _ in range(3):
            writer.write(b"POST /refresh HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\n")
            await asyncio.sleep(0.02)
            writer.write(b"{}{}" + b"".join(asking(tokens[n % 3]) for n in range(many)))
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 400 ")
            await reader.readuntil(b"}")
            for number in range(many):
                head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)
                assert users(head) == [str(number % 3 + 1)]


async def test_forty_late_bodies_do_not_block_the_connection(quick: RunningGateway) -> None:
    access = await known(quick)
    async with connected(quick) as (reader, writer):
        for number in range(40):
            writer.write(b"POST /ping HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n")
            await asyncio.sleep(0.002)
            writer.write(_SMALL)
            await asyncio.wait_for(reader.readuntil(b"}"), 10)
            writer.write(asking(access) * (number % 3))
            for _ in range(number % 3):
                assert users(await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)) == ["1"]


@asynccontextmanager
async def held_up(
    quick: RunningGateway, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[asyncio.Event]:
    """Yield an event; the store reads nothing until it is set."""
    go_on, read = asyncio.Event(), quick.store.read_many

    async def late(sids: Sequence[str]) -> Any:
        await go_on.wait()
        return await read(sids)

    monkeypatch.setattr(quick.store, "read_many", late)
    yield go_on
    go_on.set()


async def test_at_most_one_read_is_buffered_behind_a_pending_response(
    quick: RunningGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    access, new = await known(quick), (await quick.login_elsewhere(2))["access"]
    many = 4_000
    async with held_up(quick, monkeypatch) as go_on, connected(quick) as (reader, writer):
        writer.write(asking(new))
        await asyncio.sleep(0.05)
        (connection,) = [link for link in quick.connections if link.has_open_request]
        writer.write(asking(access) * many)
        await until(lambda: not connection._link.is_reading())
        await asyncio.sleep(0.1)
        assert 0 < len(connection._queued) <= 2 * _READ
        go_on.set()
        async with asyncio.timeout(60):
            heads = [await reader.readuntil(b"\r\n\r\n") for _ in range(many + 1)]
    assert users(b"".join(heads)) == ["2", *["1"] * many]


async def test_slow_and_quick_requests_in_one_packet_are_answered_in_order(
    quick: RunningGateway,
) -> None:
    tokens = [await known(quick, user) for user in (1, 2)]
    typed = json.dumps({"username": "bob", "password": PASSWORD}).encode()
    login = b"POST /login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    slow = login + b"Content-Length: %d\r\n\r\n" % len(typed) + typed
    large = login + b"Content-Length: 20000\r\n\r\n" + b" " * 20_000
    other = login.replace(b"json", b"text") + b"Content-Length: 5\r\n\r\nabcde"
    checks = [asking(token) for token in tokens]
    sent = [slow, *checks * 20, large, *checks * 20, other, *checks * 20, slow, checks[0]]
    last = checks[1].replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
    received = await told(quick, [b"".join([*sent, last])])
    assert users(received) == ["1", "2"] * 60 + ["1", "2"]
    assert [status for status in statuses(received) if status != 200] == [413, 415]


@pytest.mark.parametrize("body", [17 * 1024, 3 * 1024 * 1024])
async def test_requests_after_a_refused_body_are_answered(quick: RunningGateway, body: int) -> None:
    head = b"POST /login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    sent = head + b"Content-Length: %d\r\n\r\n" % body + bytes(body)
    access = await known(quick)
    async with connected(quick) as (reader, writer):
        writer.write(sent + asking(access) * 40)
        assert (await reader.readuntil(b"}")).startswith(b"HTTP/1.1 413 ")
        for _ in range(40):
            assert users(await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)) == ["1"]


@pytest.mark.parametrize("body", [300_000, 530_000, 600_000, 2_000_000])
async def test_requests_after_a_body_that_fills_all_buffers_are_answered(
    quick: RunningGateway, monkeypatch: pytest.MonkeyPatch, body: int
) -> None:
    access, new = await known(quick), (await quick.login_elsewhere(2))["access"]
    large = asking(new).replace(b"\r\n\r\n", b"\r\nContent-Length: %d\r\n\r\n" % body)
    async with held_up(quick, monkeypatch) as go_on, connected(quick) as (reader, writer):
        writer.write(large + bytes(body) + asking(access) * 40)
        await asyncio.sleep(0.2)
        go_on.set()
        async with asyncio.timeout(10):
            heads = [await reader.readuntil(b"\r\n\r\n") for _ in range(41)]
    assert users(b"".join(heads)) == ["2", *["1"] * 40]


async def test_a_half_closed_connection_receives_all_responses(quick: RunningGateway) -> None:
    access, new = await known(quick), (await quick.login_elsewhere(2))["access"]
    for sent, expected in (
        (asking(access), ["1"]),
        (asking(new), ["2"]),
        (asking(access) * 100, ["1"] * 100),
        (asking(new) + asking(access)[:-3], ["2"]),
        (asking(new) + b"POST /ping HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nab", ["2"]),
    ):
        async with connected(quick) as (reader, writer):
            writer.write(sent)
            writer.write_eof()
            assert users(await everything(reader)) == expected


async def test_a_client_that_reads_late_receives_all_responses(quick: RunningGateway) -> None:
    access = await known(quick)
    ping = b"GET /login/style.css HTTP/1.1\r\nHost: x\r\n\r\n"
    many = 400
    with socket.socket() as link:
        link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        link.connect((quick.client.host, quick.client.port))
        link.setblocking(False)
        loop = asyncio.get_running_loop()
        sending = asyncio.create_task(loop.sock_sendall(link, (ping + asking(access)) * many))
        await asyncio.sleep(0.3)
        received = b""
        async with asyncio.timeout(30):
            while received.count(b"Remote-User: 1") < many:
                part = await loop.sock_recv(link, _READ)
                assert part
                received += part
        await sending
    assert received.count(b"HTTP/1.1 200 OK") == 2 * many


@pytest.mark.parametrize("bad", MALFORMED, ids=lambda raw: repr(raw[:60]))
async def test_requests_before_a_malformed_request_are_answered(
    quick: RunningGateway, bad: bytes
) -> None:
    access = await known(quick)
    (alone,) = statuses(await told(quick, [bad]))
    together = await told(quick, [asking(access) * 2 + bad + asking(access)])
    assert users(together) == ["1", "1"]
    assert statuses(together) == [200, 200, alone]


@pytest.mark.parametrize(
    "end", [b"zz\r\n{}\r\n0\r\n\r\n", b"2\r\n{}x", b"-1\r\n", b"\r\n", b"2;\n{}"]
)
async def test_an_invalid_chunked_body_is_refused_in_any_packets(
    quick: RunningGateway, end: bytes
) -> None:
    head = b"POST /refresh HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    raw = head + b"Transfer-Encoding: chunked\r\n\r\n" + end
    for parts in splits(raw, raw.index(b"\r\n\r\n") + 4):
        received = await told(quick, parts)
        assert received.startswith(b"HTTP/1.1 400 "), parts
        assert json.loads(received.partition(b"\r\n\r\n")[2])["code"] == "body_malformed"
        assert b"\r\nConnection: close\r\n" in received
