"""Size of a fleet from the cost of a check: replicas, shards, memory and network.

All sessions are checked at random with the same rate, in bursts. A replica's mirror re-reads a
session that was requested since the last read, and drops all others. This is a renewal process,
which gives the reads per second and the share of checks that wait for a read.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

from bench.fanout import MESSAGE_BYTES, Pushes

BUSY = 0.6  # maximum utilisation of a core, beyond which queues grow long
STALENESS = 1.0  # seconds, cache.max_staleness
REREAD = 0.6  # interval of a mirror's re-reads, as a share of the staleness
ACCESS = 900.0  # seconds, lifetime of an access token
SESSION = 86_400.0  # seconds, average time from login to logout
SHARD_BYTES = 16e9  # memory of a Redis
FRAME = 120  # bytes of protocol around a record, both ways
_MAX_REPLICAS = 10**7


@dataclass(frozen=True, slots=True)
class Costs:
    """Measured costs: microseconds of CPU of gateway and Redis, and bytes.

    `mirrored` is None if sessions are not mirrored: each check then reads. `pushes` is None if
    replicas do not subscribe.
    """

    hot: float
    cold: float
    read: float
    login: tuple[float, float]
    refresh: tuple[float, float]
    stored: float
    record: float
    mirrored: float | None
    pushes: Pushes | None


@dataclass(frozen=True, slots=True)
class Need:
    """Resources for a load; `replicas` is None if no number suffices."""

    replicas: int | None
    reads: float
    waiting: float
    shards: int
    redis_bytes: float
    mirror_bytes: float
    network_bits: float


@dataclass(frozen=True, slots=True)
class Mirrored:
    """A session in a mirror: reads per second, misses among them, share of time it is mirrored."""

    reads: float
    misses: float
    held: float


def mirrored(rate: float, interval: float, lifetime: float) -> Mirrored:
    """Compute a mirror's work for a session that is requested `rate` times per second.

    The session is read again after `interval` seconds if it was requested since, otherwise it is
    dropped at the age of `lifetime` seconds.
    """
    again = math.expm1(min(rate * interval, 700.0))
    # A cycle: a miss, then re-reads while there is a request in each interval, then an interval
    # without a request until the session expires, and the gap until the next request.
    present = again * interval + lifetime
    cycle = present + 1 / rate
    return Mirrored((1 + again) / cycle, 1 / cycle, present / cycle)


def need(costs: Costs, sessions: float, checks: float, *, burst: int, by_session: bool) -> Need:
    """Compute the resources for a load; with `by_session` NGINX uses a fixed replica per session.

    `burst` is the number of checks of a session that arrive together, such as those of a page.
    """
    load = _Load(costs, sessions, checks, burst, by_session)
    replicas = _min_count(lambda count: load.cores(count) <= BUSY)
    count = replicas or _MAX_REPLICAS
    return Need(
        replicas=replicas,
        reads=load.reads(count),
        waiting=load.misses(count) / checks,
        shards=max(
            1,
            math.ceil(sessions * costs.stored / SHARD_BYTES),
            math.ceil(load.redis_us(count) / 1e6 / BUSY),
        ),
        redis_bytes=sessions * costs.stored,
        mirror_bytes=load.held(count) * (costs.mirrored or 0.0),
        network_bits=8 * load.redis_bytes(count),
    )


@dataclass(frozen=True, slots=True)
class _Load:
    """Sessions, checks per second, and the work that they cause for a number of replicas."""

    costs: Costs
    sessions: float
    checks: float
    burst: int
    by_session: bool

    def cores(self, replicas: int) -> float:
        """Return the utilised cores of each replica."""
        costs, logins = self.costs, self.sessions / SESSION
        shared = self.checks * costs.hot + logins * costs.login[0]
        shared += self._refreshes() * costs.refresh[0]
        if costs.mirrored is not None:
            # A re-read is assumed to cost as much as the read that a cold check waits for.
            shared += self.reads(replicas) * max(0.0, costs.cold - costs.hot)
        pushed = logins * costs.pushes.push if costs.pushes else 0.0
        return (shared / replicas + pushed) / 1e6

    def reads(self, replicas: int) -> float:
        """Return the reads per second of all replicas."""
        if self.costs.mirrored is None:
            return self.checks
        return self.sessions * self._copies(replicas) * self._one(replicas).reads

    def misses(self, replicas: int) -> float:
        """Return the checks per second that wait for a read."""
        if self.costs.mirrored is None:
            return self.checks
        return self.sessions * self._copies(replicas) * self._one(replicas).misses

    def held(self, replicas: int) -> float:
        """Return the number of sessions in a mirror."""
        if self.costs.mirrored is None:
            return 0.0
        return self.sessions * self._copies(replicas) / replicas * self._one(replicas).held

    def redis_us(self, replicas: int) -> float:
        """Return microseconds of Redis CPU per second."""
        logins = self.sessions / SESSION
        spent = self.reads(replicas) * self.costs.read + logins * self.costs.login[1]
        spent += self._refreshes() * self.costs.refresh[1]
        return spent + logins * (self.costs.pushes.redis_us(replicas) if self.costs.pushes else 0)

    def redis_bytes(self, replicas: int) -> float:
        """Return bytes per second between Redis and the replicas."""
        pushed = self.sessions / SESSION * replicas * MESSAGE_BYTES if self.costs.pushes else 0.0
        return self.reads(replicas) * (self.costs.record + FRAME) + pushed

    def _copies(self, replicas: int) -> int:
        return 1 if self.by_session else replicas

    def _one(self, replicas: int) -> Mirrored:
        # The probability that a burst reaches a particular replica.
        reached = 1.0 if self.by_session else 1 - (1 - 1 / replicas) ** self.burst
        rate = self.checks / self.burst / self.sessions * reached
        return mirrored(rate, REREAD * STALENESS, STALENESS)

    def _refreshes(self) -> float:
        # A session refreshes at its first request after the access token has expired.
        return self.sessions / (ACCESS + self.sessions / self.checks)


def _min_count(enough: Callable[[int], bool]) -> int | None:
    """Return the smallest sufficient count by bisection; None above `_MAX_REPLICAS`."""
    if not enough(_MAX_REPLICAS):
        return None
    low, high = 0, _MAX_REPLICAS
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high
