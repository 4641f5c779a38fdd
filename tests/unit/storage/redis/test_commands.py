"""Commands to a Redis that cannot be reached, or refuses all of them."""

import gc
from contextlib import suppress

import pytest

from authgw.core.errors import StoreUnavailableError
from authgw.storage.redis.commands import Command, CommandRunner, SingleMaster, StoreReply
from authgw.storage.redis.link import Login, RedisLink
from authgw.storage.redis.locations import FixedLocation
from authgw.storage.redis.node import RedisNode
from authgw.storage.redis.replies import is_value
from tests.support.scripted_redis import ScriptedServer

LOADING = b"-LOADING Redis is loading the dataset in memory\r\n"


def kept(kind: type) -> int:
    return sum(isinstance(each, kind) for each in gc.get_objects())


@pytest.mark.parametrize(
    ("command", "reply"),
    [("GET", LOADING), ("HELLO", LOADING), ("GET", b"-MOVED x\r\n"), ("HELLO", b"+OK\r\n")],
)
async def test_a_failed_command_leaves_no_cycle(
    server: ScriptedServer, command: str, reply: bytes
) -> None:
    server.replies[command.encode()] = reply
    node = RedisNode(FixedLocation("127.0.0.1", server.port), Login(), "the master")
    runner = CommandRunner(SingleMaster(node))
    get = Command("x", ("GET", "x"), is_value)
    gc.collect()
    gc.disable()
    try:
        replies, links = kept(StoreReply), kept(RedisLink)
        for _ in range(3):
            with suppress(StoreUnavailableError):
                await runner.execute(get)
            with suppress(StoreUnavailableError):
                await runner.execute_all([get, get])
        assert kept(StoreReply) == replies
        assert kept(RedisLink) <= links + 1  # the last of them is used until the next command
    finally:
        gc.enable()
        await node.close()
