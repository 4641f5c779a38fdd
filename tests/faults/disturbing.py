"""Random faults, in sequence, of all services around a gateway."""

import asyncio
import math
import random
import signal
from collections.abc import Awaitable, Callable
from contextlib import suppress

from redis.exceptions import RedisError

from tests.faults.model import SoakModel
from tests.faults.stack import Stack
from tests.faults.watch import LONGEST_FAULT, RECOVERY
from tests.support.faultproxy import (
    BLACK_HOLE,
    LOST_REPLIES,
    NONE,
    REFUSED,
    RESET,
    Fault,
    cut_replies,
    cut_requests,
    refusing,
    slow,
)

_FAULTS = [
    BLACK_HOLE,
    LOST_REPLIES,
    REFUSED,
    RESET,
    slow(0.02),
    slow(0.2),
    cut_requests(500),
    cut_replies(100),
    refusing("LOADING Redis is loading the dataset in memory"),
    refusing("READONLY You can't write against a read only replica."),
    refusing("OOM command not allowed when used memory > 'maxmemory'."),
]

_SHORTEST_FAULT = 0.3  # seconds
_MAX_PAUSE = 2.0  # seconds between two faults, at most


class Disturber:
    """Causes faults until cancelled; `faults` counts them by kind.

    The second replica is killed and restarted, but never the first, so that its memory can be
    measured.
    """

    def __init__(self, stack: Stack, model: SoakModel) -> None:
        self._stack = stack
        self._model = model
        self.faults: dict[str, int] = {}

    async def run(self) -> None:
        """Cause faults in sequence."""
        try:
            while True:
                await asyncio.sleep(random.uniform(0.5, 1) * _MAX_PAUSE)
                await self._break(random.choice(self._ways()))
        finally:
            await self.repair()

    async def repair(self) -> None:
        """End all faults."""
        self._stack.disturb(NONE)
        self._stack.redis.thaw()
        for gateway in self._stack.gateways:
            assert gateway.process is not None
            gateway.process.send_signal(signal.SIGCONT)

    def _ways(self) -> list[tuple[str, Callable[[], Awaitable[None]]]]:
        fault = random.choice(_FAULTS)
        return [
            *[(fault.name, lambda: self._way_to_redis(fault))] * 4,
            ("redis killed", self._kill_redis),
            ("redis hung", self._hang_redis),
            ("scripts flushed", self._flush_scripts),
            ("clients killed", self._kill_clients),
            ("gateway killed", lambda: self._restart(signal.SIGKILL)),
            ("gateway ended", lambda: self._restart(signal.SIGTERM)),
            ("gateway hung", self._hang_gateway),
        ]

    async def _break(self, one: tuple[str, Callable[[], Awaitable[None]]]) -> None:
        name, disturb = one
        self.faults[name] = self.faults.get(name, 0) + 1
        self._model.expect_503(math.inf)
        await disturb()
        self._model.expect_503(asyncio.get_running_loop().time() + RECOVERY)

    async def _way_to_redis(self, fault: Fault) -> None:
        ways = random.choice([self._stack.ways, self._stack.ways[:1], self._stack.ways[1:]])
        for way in ways:
            await asyncio.to_thread(way.set, fault)
        await _fault_duration()
        for way in ways:
            await asyncio.to_thread(way.set, NONE)

    async def _kill_redis(self) -> None:
        await asyncio.to_thread(self._stack.redis.kill)
        await _fault_duration()
        await asyncio.to_thread(self._stack.redis.start)

    async def _hang_redis(self) -> None:
        self._stack.redis.freeze()
        await _fault_duration()
        self._stack.redis.thaw()

    async def _flush_scripts(self) -> None:
        await self._repeat("SCRIPT", "FLUSH")

    async def _kill_clients(self) -> None:
        await self._repeat("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")

    async def _repeat(self, *command: str) -> None:
        with self._stack.redis.client() as client, suppress(RedisError):
            for _ in range(50):
                await asyncio.to_thread(client.execute_command, *command)
                await asyncio.sleep(random.uniform(0, 0.05))

    async def _restart(self, number: signal.Signals) -> None:
        gateway = self._stack.gateways[1]
        await asyncio.to_thread(gateway.stop, number)
        await _fault_duration()
        await asyncio.to_thread(gateway.start)
        await asyncio.to_thread(gateway.wait_until_ready)

    async def _hang_gateway(self) -> None:
        process = random.choice(self._stack.gateways).process
        assert process is not None
        process.send_signal(signal.SIGSTOP)
        await _fault_duration()
        process.send_signal(signal.SIGCONT)


async def _fault_duration() -> None:
    await asyncio.sleep(random.uniform(_SHORTEST_FAULT, LONGEST_FAULT))
