"""Commands and subscriptions to a Redis that cannot be reached, or refuses all of them."""

import asyncio
import gc
from collections.abc import Iterator
from contextlib import suppress

import pytest

from authgw.core.errors import StoreUnavailableError
from authgw.storage.redis import revocation_feed
from authgw.storage.redis.commands import Command, CommandRunner, SingleMaster, StoreReply
from authgw.storage.redis.link import Login, RedisLink
from authgw.storage.redis.locations import FixedLocation
from authgw.storage.redis.node import RedisNode
from authgw.storage.redis.replies import is_value
from authgw.storage.redis.revocation_feed import RedisRevocationFeed
from tests.support.scripted_redis import ScriptedServer, until

LOADING = b"-LOADING Redis is loading the dataset in memory\r\n"
READ_ONLY = b"-READONLY You can't write against a read only replica.\r\n"


def kept(kind: type) -> int:
    return sum(isinstance(each, kind) for each in gc.get_objects())


@pytest.fixture
def uncollected() -> Iterator[None]:
    """Disable the garbage collector."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def master(server: ScriptedServer) -> RedisNode:
    return RedisNode(FixedLocation("127.0.0.1", server.port), Login(), "the master")


@pytest.mark.usefixtures("uncollected")
@pytest.mark.parametrize(
    ("command", "reply"),
    [
        *(("GET", LOADING), ("GET", READ_ONLY), ("GET", b"-MOVED x\r\n")),
        *(("HELLO", LOADING), ("HELLO", b"+OK\r\n")),
    ],
)
async def test_a_failed_command_leaves_no_cycle(
    server: ScriptedServer, command: str, reply: bytes
) -> None:
    server.replies[command.encode()] = reply
    node = master(server)
    runner = CommandRunner(SingleMaster(node))
    get = Command("x", ("GET", "x"), is_value)
    replies, links = kept(StoreReply), kept(RedisLink)
    for _ in range(3):
        with suppress(StoreUnavailableError):
            await runner.execute(get)
        with suppress(StoreUnavailableError):
            await runner.execute_all([get, get])
    assert kept(StoreReply) == replies
    # The last of them is used until the next command.
    await until(lambda: kept(RedisLink) <= links + 1)
    await node.close()


@pytest.mark.usefixtures("uncollected")
@pytest.mark.parametrize("reply", [LOADING, READ_ONLY, b"+OK\r\n", b"!"])
async def test_a_failed_subscription_leaves_no_cycle(
    server: ScriptedServer, reply: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(revocation_feed, "_pause", lambda _: 0.0)
    server.replies[b"SUBSCRIBE"] = reply
    node, links = master(server), kept(RedisLink)
    task = asyncio.create_task(RedisRevocationFeed(node.subscribe, lambda _: None).run())
    await until(lambda: server.count(b"SUBSCRIBE") > 5)
    task.cancel()
    await node.close()
    await until(lambda: kept(RedisLink) <= links + 1)
