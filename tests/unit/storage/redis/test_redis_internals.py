"""Each use of redis-py that its documentation does not cover; a failure names the change."""

import asyncio
import inspect
import socket
import ssl
import struct
import tomllib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import hiredis
import pytest
import redis
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.connection import AbstractConnection, DefaultParser
from redis.exceptions import AskError, ConnectionError, MovedError, ResponseError

from authgw.storage.redis.redis_internals import (
    CheckingParser,
    MasterConnection,
    MasterPool,
    PlainConnection,
    SentinelClient,
    TlsConnection,
    host_of,
    options,
    sentinel_manager,
    slot_of,
    slots_in,
)
from authgw.storage.redis.replies import UnexpectedReplyError

PING = hiredis.pack_command(("PING",))
GET = b"*2\r\n$3\r\nGET\r\n$1\r\nx\r\n"


class ScriptedServer:
    """A server on a port of its own that replies as it is told."""

    def __init__(self) -> None:
        self.commands: list[list[bytes]] = []
        self.replies: dict[bytes, bytes] = {b"PING": b"+PONG\r\n"}
        self.links: list[asyncio.StreamWriter] = []
        self.port = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.links.append(writer)
        parser = hiredis.Reader()
        while data := await reader.read(65536):
            parser.feed(data)
            while command := parser.gets():
                self.commands.append(command)
                reply = self.replies.get(command[0], b"+OK\r\n")
                if not reply:
                    writer.close()
                writer.write(reply)
        writer.close()

    @property
    def pings(self) -> int:
        return sum(command[0] == b"PING" for command in self.commands)

    def pool(self, **more: Any) -> Any:
        """A pool of connections to it; redis-py has no types for the methods of pools."""
        more = {"max_connections": 4, "timeout": None, "db": 1, **options(), **more}
        return BlockingConnectionPool(
            connection_class=PlainConnection, host="127.0.0.1", port=self.port, **more
        )


async def running() -> AsyncIterator[ScriptedServer]:
    server = ScriptedServer()
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    server.port = listening.sockets[0].getsockname()[1]
    yield server
    listening.close()
    for link in server.links:
        link.transport.abort()


server = pytest.fixture(running, name="server")
other = pytest.fixture(running, name="other")


async def until(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not is_so():  # noqa: ASYNC110  nothing tells when bytes have arrived
            await asyncio.sleep(0.001)


async def ping(link: Any) -> Any:
    await link.send_packed_command(PING)
    return await link.read_response()


def state(server: ScriptedServer, **changes: Any) -> dict[str, Any]:
    """A master as a Sentinel describes it."""
    up = {"is_master": True, "is_odown": False, "is_sdown": False, "num-other-sentinels": 2}
    return {"ip": "127.0.0.1", "port": server.port, **up, **changes}


class Sentinels(Redis):
    """A Sentinel without a connection."""

    def __init__(self, master: ScriptedServer) -> None:
        super().__init__()
        self.master = master
        self.queries = 0
        self.closed = False

    async def sentinel_masters(self) -> Any:
        self.queries += 1
        await asyncio.sleep(0)
        return {"main": state(self.master)}

    async def aclose(self, close_connection_pool: bool | None = None) -> None:
        self.closed = True


def master_pool(sentinel: Redis, **more: Any) -> Any:
    client = sentinel_manager([sentinel]).master_for(
        "main",
        connection_pool_class=MasterPool,
        connection_class=MasterConnection,
        **{"max_connections": 4, "timeout": None, **options(), **more},
    )
    pool = client.connection_pool
    assert isinstance(pool, MasterPool), "`connection_pool_class` is not what `master_for` makes"
    return pool


def test_the_version_is_limited_to_the_one_that_these_tests_are_for() -> None:
    project = tomllib.loads((Path(__file__).parents[4] / "pyproject.toml").read_text())
    assert "redis>=8.1,<8.2" in project["project"]["dependencies"]
    said = "read authgw/storage/redis/redis_internals.py again"
    assert redis.__version__.startswith("8.1."), said


async def test_connections_have_our_parser(server: ScriptedServer) -> None:
    default = inspect.signature(AbstractConnection).parameters["parser_class"].default
    assert default is DefaultParser, "DefaultParser is not what connections use by default"
    link = await server.pool().get_connection()
    assert isinstance(link._parser, CheckingParser), "`parser_class` is not what parses"
    await link.disconnect()


async def test_a_connection_that_was_reset_while_idle_is_replaced(server: ScriptedServer) -> None:
    pool = server.pool()
    link = await pool.get_connection()
    assert await ping(link) == b"PONG"
    await pool.release(link)
    # Closed this way, it is reset.
    sock = server.links[0].get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    reader = link._reader
    server.links[0].transport.abort()
    await until(lambda: reader.exception() is not None)
    with pytest.raises(OSError, match=r".*"):
        await link._parser.can_read()
    again = await pool.get_connection()
    assert len(server.links) == 2, "the pool does not call `can_read` of the parser before each use"
    assert await ping(again) == b"PONG"
    await pool.disconnect()


async def test_a_connection_with_a_reply_left_is_replaced(server: ScriptedServer) -> None:
    pool = server.pool()
    link = await pool.get_connection()
    reader = link._reader
    await pool.release(link)
    server.links[0].write(b"+LATE\r\n")
    await until(lambda: bool(reader._buffer))
    assert await ping(await pool.get_connection()) == b"PONG", "a late reply is another call's"
    assert len(server.links) == 2
    await pool.disconnect()


async def test_a_new_connection_requests_no_notifications(server: ScriptedServer) -> None:
    link = await server.pool().get_connection()
    sent = [b" ".join(command).upper() for command in server.commands]
    assert b"SELECT 1" in sent
    assert not [each for each in sent if b"MAINT" in each], "`maint_notifications_config` is unused"
    await link.disconnect()


async def test_no_command_is_repeated(server: ScriptedServer) -> None:
    pool = server.pool()
    server.replies[b"PING"] = b""
    link = await pool.get_connection()
    with pytest.raises(ConnectionError):
        await ping(link)
    with pytest.raises(ConnectionError):
        await Redis.from_pool(pool).ping()
    assert server.pings == 2, "redis-py sends a command again: `retry` is not what counts"
    await pool.disconnect()


async def test_a_wrong_first_reply_closes_the_connection(
    server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(self: AbstractConnection, check_health: bool = True) -> None:
        raise ValueError

    monkeypatch.setattr(AbstractConnection, "on_connect_check_health", fail)
    link = server.pool().make_connection()
    with pytest.raises(UnexpectedReplyError):
        await link.connect()
    assert not link.is_connected, "`on_connect_check_health` is not the first exchange"


async def test_several_commands_are_sent_as_one_block(server: ScriptedServer) -> None:
    link = await server.pool().get_connection()
    server.replies[b"GET"] = b"-ERR refused\r\n"
    await link.send_packed_command(PING + GET + PING)
    assert await link.read_response() == b"PONG"
    with pytest.raises(ResponseError):
        await link.read_response()
    assert link.is_connected, "a refusal closes the connection"
    assert await link.read_response() == b"PONG"
    await link.disconnect()


async def test_a_cancelled_read_closes_the_connection(server: ScriptedServer) -> None:
    link = await server.pool().get_connection()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await link.read_response()
    assert not link.is_connected, "the reply to a cancelled call would be taken for another's"


async def test_only_idle_connections_can_be_closed(server: ScriptedServer) -> None:
    pool = server.pool()
    used, idle = await pool.get_connection(), await pool.get_connection()
    await pool.release(idle)
    await pool.disconnect(inuse_connections=False)
    assert (used.is_connected, idle.is_connected) == (True, False)
    await pool.disconnect()


def test_a_connection_over_tls_has_the_context_that_it_is_given() -> None:
    context = ssl.create_default_context()
    link: Any = TlsConnection(tls=context, **options())
    assert link.ssl_context.get() is context, "`ssl_context` makes a context of its own"
    assert link._connection_arguments()["ssl"] is context


async def test_calls_that_need_a_connection_query_the_sentinels_once(
    server: ScriptedServer,
) -> None:
    sentinel = Sentinels(server)
    pool = master_pool(sentinel)
    links = await asyncio.gather(pool.get_connection(), pool.get_connection())
    assert sentinel.queries == 1, "connections do not call `get_master_address` of their pool"
    assert [(link.host, link.port) for link in links] == [("127.0.0.1", server.port)] * 2
    assert await pool.names(links[0])
    await pool.aclose()
    assert sentinel.closed, "`sentinel_manager` is not what holds the Sentinels"


async def test_connections_to_a_former_master_are_not_used_again(
    server: ScriptedServer, other: ScriptedServer
) -> None:
    sentinel = Sentinels(server)
    pool = master_pool(sentinel)
    link = await pool.get_connection()
    sentinel.master = other
    assert not await pool.names(link)
    assert link.should_reconnect(), "`update_active_connections_for_reconnect` marks nothing"
    await pool.release(link)
    again = await pool.get_connection()
    assert again.port == other.port
    await pool.aclose()


async def test_a_call_waits_for_a_free_connection_to_the_master(server: ScriptedServer) -> None:
    pool = master_pool(Sentinels(server), max_connections=1)
    link = await pool.get_connection()
    waiting = asyncio.create_task(pool.get_connection())
    await asyncio.sleep(0.01)
    assert not waiting.done()
    await pool.release(link)
    assert await waiting is link
    await pool.aclose()


@pytest.mark.parametrize("reply", [b"+OK\r\n", b":1\r\n", b"*1\r\n*2\r\n+ip\r\n+x\r\n"])
async def test_a_wrong_reply_of_a_sentinel_is_an_error_after_which_the_next_is_queried(
    server: ScriptedServer, reply: bytes
) -> None:
    server.replies[b"SENTINEL"] = reply
    with pytest.raises(ConnectionError):
        await SentinelClient.from_pool(server.pool()).sentinel_masters()
    last = Sentinels(server)
    manager = sentinel_manager([SentinelClient.from_pool(server.pool()), last])
    assert await manager.discover_master("main") == ("127.0.0.1", server.port)
    assert last.queries == 1, "`sentinels` is not what `discover_master` queries"


async def test_the_masters_of_a_sentinel_have_their_state(server: ScriptedServer) -> None:
    named = "name main ip 127.0.0.1 port 6379 flags master num-other-sentinels 2"
    words = named.split()
    row = b"".join(b"$%d\r\n%s\r\n" % (len(word), word.encode()) for word in words)
    server.replies[b"SENTINEL"] = b"*1\r\n%%%d\r\n%s" % (len(words) // 2, row)
    found: Any = await SentinelClient.from_pool(server.pool()).sentinel_masters()
    wanted = state(server, port=6379)
    assert {name: found["main"][name] for name in wanted} == wanted


def test_the_host_of_a_client_is_known() -> None:
    pool = BlockingConnectionPool(host="redis.example", port=1)
    assert host_of(Redis.from_pool(pool)) == "redis.example"


def test_slots_are_those_of_redis() -> None:
    # As CLUSTER KEYSLOT replies.
    assert [slot_of(key) for key in ("foo", "x{foo}y", "")] == [12182, 12182, 0]


def test_a_reply_to_cluster_slots_is_read() -> None:
    reply = [
        [0, 9, [b"10.0.0.1", 7000, b"id"], [b"10.0.0.2", 7001, b"id"]],
        [10, 16383, [b"", 7002, b"id"]],
    ]
    slots = slots_in(reply, "seed")
    assert set(slots) == {(0, 9), (10, 16383)}
    assert slots[0, 9]["primary"] == ("10.0.0.1", 7000)
    assert list(slots[0, 9]["replicas"]) == [("10.0.0.2", 7001)]
    assert slots[10, 16383]["primary"] == ("seed", 7002), "an empty host is the queried node's"


def test_redirections_name_slot_and_server() -> None:
    moved, ask = MovedError("3999 10.0.0.1:6381"), AskError("3999 :6381")
    assert isinstance(moved, AskError)
    assert (moved.slot_id, moved.host, moved.port) == (3999, "10.0.0.1", 6381)
    assert (ask.slot_id, ask.host, ask.port) == (3999, "", 6381)
