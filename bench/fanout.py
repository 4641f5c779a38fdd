"""Cost of pushing each logout to every replica, by simulation.

Logouts arrive at random. Redis processes them in sequence and writes each to every subscriber; the
event loop of a replica, which also handles checks that arrive at random, processes a message after
all work that arrived before it.
"""

import math
import random
from collections.abc import Callable
from dataclasses import dataclass

MESSAGE_BYTES = 110  # a sid, the channel's name and the protocol around them
_JOBS = 100_000  # simulated jobs per queue


@dataclass(frozen=True, slots=True)
class Pushes:
    """Microseconds of CPU per message: in a replica, in Redis, in Redis per subscriber."""

    push: float
    publish: float
    delivery: float

    def redis_us(self, subscribers: int) -> float:
        """Return the microseconds that Redis spends on a logout."""
        return self.publish + subscribers * self.delivery


@dataclass(frozen=True, slots=True)
class FanOut:
    """Utilisation of a core by Redis and each replica; milliseconds until the last replica is done.

    The times are None if Redis or a replica is overloaded.
    """

    redis_core: float
    replica_core: float
    p50: float | None
    p99: float | None


def fan_out(
    pushes: Pushes, rate: float, subscribers: int, *, check_us: float, busy: float, seed: int = 1
) -> FanOut:
    """Push `rate` logouts per second to replicas that are `busy` (0 to 1) with checks."""
    redis_us = pushes.redis_us(subscribers)
    redis, replica = rate * redis_us / 1e6, rate * pushes.push / 1e6
    if redis >= 1 or replica + busy >= 1:
        return FanOut(redis, replica, None, None)
    chance = random.Random(seed)  # noqa: S311  not a secret
    written = waits(rate, lambda: redis_us, chance)
    checks = busy * 1e6 / check_us
    share = rate / (rate + checks)
    loop = sorted(
        waits(rate + checks, lambda: pushes.push if chance.random() < share else check_us, chance)
    )
    # The probability that n independent replicas all wait less than x is the n-th power of the
    # probability for a single replica.
    delays = sorted(
        wait + redis_us + _at(loop, chance.random() ** (1 / subscribers)) + pushes.push
        for wait in written
    )
    return FanOut(redis, replica, _at(delays, 0.5) / 1000, _at(delays, 0.99) / 1000)


def waits(rate: float, service: Callable[[], float], chance: random.Random) -> list[float]:
    """Simulate the waiting times, in microseconds, of random jobs at a server, `rate` per second.

    Lindley's recursion: the work that remains when the next job arrives.
    """
    remaining, simulated = 0.0, []
    for _ in range(_JOBS):
        simulated.append(remaining)
        remaining = max(0.0, remaining + service() - chance.expovariate(rate) * 1e6)
    return simulated


def _at(ranked: list[float], share: float) -> float:
    return ranked[max(0, math.ceil(len(ranked) * share) - 1)]
