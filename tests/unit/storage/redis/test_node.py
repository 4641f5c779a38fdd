"""Masters: links of commands and of confirmed writes, and the address that Sentinels name."""

import asyncio
from typing import Any

import pytest

from authgw.storage.redis.errors import ConnectionError
from authgw.storage.redis.link import Address, Login
from authgw.storage.redis.locations import FixedLocation, SentinelLocation
from authgw.storage.redis.node import RedisNode, UnconfirmedWriteError
from authgw.storage.redis.replies import Request, is_ok, is_value
from tests.support.scripted_redis import ScriptedServer, bulk, until

SET = Request(("SET", "x", "y"), is_ok)
MASTER = b"*3\r\n$6\r\nmaster\r\n:1\r\n"
ALONE = MASTER + b"*0\r\n"
WITH_REPLICA = MASTER + b"*1\r\n:1\r\n"


class QueriedSentinels:
    """As redis-py's manager of Sentinels."""

    def __init__(self, *masters: ScriptedServer) -> None:
        self.master = masters[0]
        self.queries = 0
        self.closed = False

    async def discover_master(self, name: str) -> Address:
        self.queries += 1
        await asyncio.sleep(0.01)
        return "127.0.0.1", self.master.port

    async def aclose(self) -> None:
        self.closed = True


def node_at(location: Any) -> RedisNode:
    return RedisNode(location, Login(), "the master")


def fixed(server: ScriptedServer) -> RedisNode:
    return node_at(FixedLocation("127.0.0.1", server.port))


def later(seconds: float = 5.0) -> float:
    return asyncio.get_running_loop().time() + seconds


async def echo(node: RedisNode, text: str) -> Any:
    (reply,) = await node.execute([Request(("ECHO", text), is_value)], later())
    return reply


def lines(server: ScriptedServer, *names: bytes) -> list[bytes]:
    """The commands with these names, in order."""
    return [words[0] for words in server.commands if words[0] in names]


async def test_all_commands_share_a_link_until_it_is_lost(server: ScriptedServer) -> None:
    node = fixed(server)
    texts = [str(number) for number in range(100)]
    assert await asyncio.gather(*(echo(node, text) for text in texts)) == [
        text.encode() for text in texts
    ]
    assert len(server.links) == 1
    server.reset()
    assert node._link is not None
    await until(lambda: node._link is not None and node._link.is_closed)
    assert await echo(node, "again") == b"again"
    assert len(server.links) == 2
    await node.close()


async def test_the_writes_of_a_turn_share_a_confirmation(server: ScriptedServer) -> None:
    server.replies[b"WAIT"] = b":1\r\n"
    node = fixed(server)
    calls = [node.execute_confirmed([SET], later()) for _ in range(20)]
    assert await asyncio.gather(*calls) == [[b"OK"]] * 20
    assert lines(server, b"SET", b"WAIT") == [b"SET"] * 20 + [b"WAIT"]
    await node.execute_confirmed([SET, SET], later())
    assert lines(server, b"SET", b"WAIT")[21:] == [b"SET", b"SET", b"WAIT"]
    assert len(server.links) == 1
    await node.close()


async def test_a_write_that_waits_holds_up_no_other_call(server: ScriptedServer) -> None:
    server.replies[b"WAIT"] = None
    node = fixed(server)
    waiting = [asyncio.create_task(node.execute_confirmed([SET], later()))]
    await until(lambda: server.count(b"WAIT") == 1)
    assert await echo(node, "a") == b"a"
    waiting.append(asyncio.create_task(node.execute_confirmed([SET], later())))
    # A group of its own, on another link.
    await until(lambda: server.count(b"WAIT") == 2)
    await node.close()
    errors = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(error).__name__ for error in errors] == ["ConnectionError"] * 2


async def test_writes_wait_for_a_link_once_all_are_in_use(server: ScriptedServer) -> None:
    server.replies[b"WAIT"] = None
    node = fixed(server)
    waiting = []
    for number in range(8):
        waiting.append(asyncio.create_task(node.execute_confirmed([SET], later())))
        await until(lambda number=number: server.count(b"WAIT") == number + 1)  # type: ignore[misc]  # a default binds the value
    both = [asyncio.create_task(node.execute_confirmed([SET], later(9))) for _ in range(2)]
    await asyncio.sleep(0.02)
    assert server.count(b"SET") == 8
    late = asyncio.create_task(node.execute_confirmed([SET], later(9)))
    await asyncio.sleep(0.02)
    server.replies[b"WAIT"] = b":1\r\n"
    server.release(0, b":1\r\n")
    assert await asyncio.gather(*both, late) == [[b"OK"]] * 3
    assert server.count(b"WAIT") == 9
    for task in waiting:
        task.cancel()
    await node.close()


async def test_a_cancelled_write_leaves_the_others_of_its_group(server: ScriptedServer) -> None:
    server.replies[b"WAIT"] = b":1\r\n"
    node = fixed(server)
    first, other = (asyncio.create_task(node.execute_confirmed([SET], later())) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    assert await other == [b"OK"]
    assert lines(server, b"SET", b"WAIT") == [b"SET", b"SET", b"WAIT"]
    await node.close()


async def test_an_unconfirmed_write_is_an_error(server: ScriptedServer) -> None:
    server.replies |= {b"WAIT": b":0\r\n", b"ROLE": WITH_REPLICA}
    node = fixed(server)
    with pytest.raises(UnconfirmedWriteError):
        await node.execute_confirmed([SET], later())
    server.replies[b"ROLE"] = ALONE
    assert await node.execute_confirmed([SET], later()) == [b"OK"]
    assert node.without_replica
    assert await node.execute_confirmed([SET], later()) == [b"OK"]
    assert server.count(b"WAIT") == 2
    # The replica is back: its confirmation is needed, on the same link.
    server.replies[b"ROLE"] = WITH_REPLICA
    with pytest.raises(UnconfirmedWriteError):
        await node.execute_confirmed([SET], later())
    server.replies[b"WAIT"] = b":1\r\n"
    assert await node.execute_confirmed([SET], later()) == [b"OK"]
    assert not node.without_replica
    assert len(server.links) == 1
    await node.close()


async def test_a_late_confirmation_closes_its_link(server: ScriptedServer) -> None:
    server.replies[b"WAIT"] = None
    node = fixed(server)
    with pytest.raises(TimeoutError):
        await node.execute_confirmed([SET], later(0.05))
    assert [link.is_closed for link in node._links()] == [True]
    await until(lambda: server.links[0].transport.is_closing())
    server.replies[b"WAIT"] = b":1\r\n"
    assert await node.execute_confirmed([SET], later()) == [b"OK"]
    assert len(server.links) == 2
    await node.close()


async def test_links_that_open_together_query_the_sentinels_once(server: ScriptedServer) -> None:
    server.replies[b"WAIT"] = b":1\r\n"
    sentinels = QueriedSentinels(server)
    node = node_at(SentinelLocation(sentinels, "main"))
    await asyncio.gather(echo(node, "a"), node.execute_confirmed([SET], later()))
    assert (sentinels.queries, len(server.links)) == (1, 2)
    await node.close()
    assert sentinels.closed


async def test_a_deadline_does_not_end_the_query_of_the_sentinels(server: ScriptedServer) -> None:
    sentinels = QueriedSentinels(server)
    node = node_at(SentinelLocation(sentinels, "main"))
    with pytest.raises(TimeoutError):
        await node.execute([Request(("ECHO", "a"), is_value)], later(0.001))
    assert await echo(node, "b") == b"b"
    assert sentinels.queries == 1
    await node.close()


async def test_links_to_a_former_master_are_closed(
    server: ScriptedServer, other: ScriptedServer
) -> None:
    server.replies |= {b"WAIT": b":0\r\n", b"ROLE": ALONE}
    sentinels = QueriedSentinels(server)
    node = node_at(SentinelLocation(sentinels, "main"))
    await asyncio.gather(echo(node, "a"), node.execute_confirmed([SET], later()))
    sentinels.master = other
    other.replies[b"ECHO"] = bulk(b"the new master")
    with pytest.raises(UnconfirmedWriteError):
        await node.execute_confirmed([SET], later())
    assert await echo(node, "a") == b"the new master"
    await until(lambda: all(link.transport.is_closing() for link in server.links))
    await node.close()


async def test_only_links_without_waiting_calls_are_idle(server: ScriptedServer) -> None:
    server.replies[b"WAIT"] = None
    node = fixed(server)
    await echo(node, "a")
    write = asyncio.create_task(node.execute_confirmed([SET], later()))
    await until(lambda: server.count(b"WAIT") == 1)
    node.close_idle()
    assert [link.is_closed for link in node._links()] == [True, False]
    await node.close()
    with pytest.raises(ConnectionError):
        await write
