"""Cost of pushing each logout to every replica, by simulation.

Logouts arrive at random. Redis processes them in order and writes each to every
subscriber; a replica's loop, busy with checks that arrive at random too, reads a message after
the work that arrived before.
"""

import math
import random
from collections.abc import Callable
from dataclasses import dataclass

MESSAGE_BYTES = 110  # a sid, the channel's name and the protocol around them
_JOBS = 100_000  # that are simulated of each queue


@dataclass(frozen=True, slots=True)
class Pushes:
    """Microseconds of CPU per message: in a replica, in Redis, in Redis per subscriber."""

    push: float
    publish: float
    delivery: float

    def redis_us(self, subscribers: int) -> float:
        """Microseconds of CPU in Redis for each logout."""
        return self.publish + subscribers * self.delivery


@dataclass(frozen=True, slots=True)
class FanOut:
    """Share of a core of Redis and of each replica; milliseconds until the last is informed.

    The times are None where Redis or a replica cannot keep up.
    """

    redis_core: float
    replica_core: float
    p50: float | None
    p99: float | None


def fan_out(
    pushes: Pushes, rate: float, subscribers: int, *, check_us: float, busy: float, seed: int = 1
) -> FanOut:
    """Push `rate` log-outs per second to replicas that are `busy` (0 to 1) with checks."""
    redis_us = pushes.redis_us(subscribers)
    redis, replica = rate * redis_us / 1e6, rate * pushes.push / 1e6
    if redis >= 1 or replica + busy >= 1:
        return FanOut(redis, replica, None, None)
    chance = random.Random(seed)  # noqa: S311  no secret
    written = waits(rate, lambda: redis_us, chance)
    checks = busy * 1e6 / check_us
    share = rate / (rate + checks)
    loop = sorted(
        waits(rate + checks, lambda: pushes.push if chance.random() < share else check_us, chance)
    )
    # All of n independent replicas wait less than x with the n-th power of one's chance.
    delays = sorted(
        wait + redis_us + _at(loop, chance.random() ** (1 / subscribers)) + pushes.push
        for wait in written
    )
    return FanOut(redis, replica, _at(delays, 0.5) / 1000, _at(delays, 0.99) / 1000)


def waits(rate: float, service: Callable[[], float], chance: random.Random) -> list[float]:
    """Return waiting times in microseconds of jobs that arrive at random, `rate` per second.

    Lindley's recursion: the remaining work at the arrival of the next job.
    """
    left, seen = 0.0, []
    for _ in range(_JOBS):
        seen.append(left)
        left = max(0.0, left + service() - chance.expovariate(rate) * 1e6)
    return seen


def _at(ranked: list[float], share: float) -> float:
    return ranked[max(0, math.ceil(len(ranked) * share) - 1)]
