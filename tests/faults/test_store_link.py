"""Calls that share a connection to a Redis, with cancelled calls and disturbed replies."""

import asyncio
import random
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from authgw.storage.redis.link import COMMUNICATION_ERRORS, Login
from authgw.storage.redis.locations import FixedLocation
from authgw.storage.redis.node import RedisNode
from authgw.storage.redis.replies import Request, is_time, is_value
from tests.faults.redisserver import RedisProcess
from tests.support.counts import count
from tests.support.faultproxy import NONE, FaultProxy, altered_replies

_SEED = 20
_CALLERS = 50  # at a time
_REPLY = re.compile(rb"\$\d+\r\n[^\r]*\r\n|\*2\r\n(?:\$\d+\r\n\d+\r\n){2}")

Alteration = Callable[[random.Random, list[bytes]], list[bytes]]

# Replies of ECHO in another order within a batch are valid for the commands: no fault here.
_ALTERATIONS: list[Alteration] = [
    lambda chance, replies: [*replies, chance.choice(replies)],
    lambda chance, replies: [chance.choice(replies), *replies],
    lambda chance, replies: replies[1:] + replies[:1],
    lambda chance, replies: replies[chance.randrange(len(replies)) :],
    lambda chance, replies: replies[: chance.randrange(len(replies))],
    lambda chance, replies: [each[: chance.randrange(len(each))] for each in replies],
    lambda chance, replies: [b":1\r\n" if chance.random() < 0.3 else each for each in replies],
    lambda chance, replies: [each for each in replies for _ in range(chance.choice((1, 1, 2)))],
]


class DisturbedReplies:
    """Alters some chunks of replies."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self.altered = 0

    def __call__(self, chunk: bytes) -> bytes:
        replies = _REPLY.findall(chunk)
        if not replies or b"".join(replies) != chunk or self._chance.random() > 0.02:
            return chunk
        self.altered += 1
        return b"".join(self._chance.choice(_ALTERATIONS)(self._chance, replies))


class EchoCallers:
    """Calls with a text of their own each; `results` counts their outcomes."""

    def __init__(self, node: RedisNode, chance: random.Random, calls: int) -> None:
        self._node = node
        self._chance = chance
        self._left = calls
        self.results: Counter[str] = Counter()

    async def run(self) -> None:
        while self._left > 0:
            self._left -= 1
            task = asyncio.create_task(self._call(f"call {self._left}"))
            if self._chance.random() < 0.1:
                for _ in range(self._chance.randrange(4)):
                    await asyncio.sleep(0)
                task.cancel()
            try:
                await task
            except asyncio.CancelledError:
                self.results["cancelled"] += 1

    async def _call(self, text: str) -> None:
        requests = [Request(("ECHO", text), is_value)]
        if self._chance.random() < 0.3:
            requests.append(Request(("TIME",), is_time))
        try:
            replies = await self._node.execute(requests, asyncio.get_running_loop().time() + 0.25)
        except COMMUNICATION_ERRORS:
            self.results["failed"] += 1
            return
        assert replies[0] == text.encode(), "the reply to another call"
        self.results["replied"] += 1


@pytest.mark.sample
async def test_no_reply_reaches_another_call(tmp_path: Path) -> None:
    chance = random.Random(_SEED)
    calls = count(20_000, 1_000_000)
    with RedisProcess(tmp_path / "redis") as redis, FaultProxy(redis.port) as proxy:
        node = RedisNode(FixedLocation("127.0.0.1", proxy.port), Login(), "Redis")
        disturbed = DisturbedReplies(chance)
        await asyncio.to_thread(proxy.set, altered_replies("disturbed", disturbed))
        callers = EchoCallers(node, chance, calls)
        await asyncio.gather(*(callers.run() for _ in range(_CALLERS)))
        assert sum(callers.results.values()) == calls
        assert disturbed.altered > 5
        assert callers.results["failed"] > 0
        assert callers.results["replied"] > calls / 2
        await asyncio.to_thread(proxy.set, NONE)
        undisturbed = EchoCallers(node, chance, 1000)
        await undisturbed.run()
        assert not undisturbed.results["failed"]
        await node.close()
