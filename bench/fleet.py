"""The size of a fleet from the cost of a check: replicas, shards, bytes and network.

Sessions are asked about at random and alike, in bursts. A replica's mirror re-reads a session
that was asked for since the last read, and drops one that was not; that makes a renewal process,
from which come the reads per second and the share of checks that wait for one.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

from bench.fanout import MESSAGE_BYTES, Pushes

BUSY = 0.6  # of a core, beyond which queues grow long
STALENESS = 1.0  # seconds, cache.max_staleness
REREAD = 0.6  # of the staleness, when a mirror reads again
ACCESS = 900.0  # seconds that an access token lives
SESSION = 86_400.0  # seconds that a session lasts on average, from log-in to log-out
SHARD_BYTES = 16e9  # of memory in one Redis
FRAME = 120  # bytes of protocol around a record, both ways
_MOST = 10**7  # replicas, beyond which there is no answer


@dataclass(frozen=True, slots=True)
class Costs:
    """Measured costs: microseconds of CPU of gateway and Redis, and bytes.

    `mirrored` is None where sessions are not mirrored: each check then reads. `pushes` is None
    where replicas do not subscribe.
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
    """The needs of a load; `replicas` None if no number suffices."""

    replicas: int | None
    reads: float
    waiting: float
    shards: int
    redis_bytes: float
    mirror_bytes: float
    network_bits: float


@dataclass(frozen=True, slots=True)
class Mirrored:
    """A session in a mirror: reads per second, misses among them, share of time it is held."""

    reads: float
    misses: float
    held: float


def mirrored(rate: float, interval: float, lifetime: float) -> Mirrored:
    """Return the work of a mirror for a session that is checked `rate` times per second.

    It is read again after `interval` seconds if it was used since, else dropped at the age
    of `lifetime` seconds.
    """
    again = math.expm1(min(rate * interval, 700.0))
    # One miss, then re-reads for as many intervals as it was asked for in each, a last one in
    # which it grows old, and the gap until somebody asks again.
    present = again * interval + lifetime
    cycle = present + 1 / rate
    return Mirrored((1 + again) / cycle, 1 / cycle, present / cycle)


def need(costs: Costs, sessions: float, checks: float, *, burst: int, by_session: bool) -> Need:
    """Return the needs of this load if NGINX chooses any replica, or the same for a session.

    `burst` is how many checks of a session come together, as those of one page do.
    """
    load = _Load(costs, sessions, checks, burst, by_session)
    replicas = _fewest(lambda count: load.cores(count) <= BUSY)
    count = replicas or _MOST
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
    """Sessions and checks per second, and what they make a number of replicas do."""

    costs: Costs
    sessions: float
    checks: float
    burst: int
    by_session: bool

    def cores(self, replicas: int) -> float:
        """Return the cores that a replica uses."""
        costs, sign_ins = self.costs, self.sessions / SESSION
        shared = self.checks * costs.hot + sign_ins * costs.login[0]
        shared += self._refreshes() * costs.refresh[0]
        if costs.mirrored is not None:
            # A re-read is counted as dear as the read that a cold check waits for.
            shared += self.reads(replicas) * max(0.0, costs.cold - costs.hot)
        pushed = sign_ins * costs.pushes.push if costs.pushes else 0.0
        return (shared / replicas + pushed) / 1e6

    def reads(self, replicas: int) -> float:
        """Return reads per second of all replicas."""
        if self.costs.mirrored is None:
            return self.checks
        return self.sessions * self._copies(replicas) * self._one(replicas).reads

    def misses(self, replicas: int) -> float:
        """Checks per second that wait for a read."""
        if self.costs.mirrored is None:
            return self.checks
        return self.sessions * self._copies(replicas) * self._one(replicas).misses

    def held(self, replicas: int) -> float:
        """Sessions that a mirror holds at a time."""
        if self.costs.mirrored is None:
            return 0.0
        return self.sessions * self._copies(replicas) / replicas * self._one(replicas).held

    def redis_us(self, replicas: int) -> float:
        """CPU of Redis per second."""
        sign_ins = self.sessions / SESSION
        spent = self.reads(replicas) * self.costs.read + sign_ins * self.costs.login[1]
        spent += self._refreshes() * self.costs.refresh[1]
        return spent + sign_ins * (self.costs.pushes.redis_us(replicas) if self.costs.pushes else 0)

    def redis_bytes(self, replicas: int) -> float:
        """Between Redis and the replicas, per second."""
        pushed = self.sessions / SESSION * replicas * MESSAGE_BYTES if self.costs.pushes else 0.0
        return self.reads(replicas) * (self.costs.record + FRAME) + pushed

    def _copies(self, replicas: int) -> int:
        return 1 if self.by_session else replicas

    def _one(self, replicas: int) -> Mirrored:
        # Of the replicas, a burst reaches each with this chance.
        reached = 1.0 if self.by_session else 1 - (1 - 1 / replicas) ** self.burst
        rate = self.checks / self.burst / self.sessions * reached
        return mirrored(rate, REREAD * STALENESS, STALENESS)

    def _refreshes(self) -> float:
        # A session refreshes when it is asked for after its access token has run out.
        return self.sessions / (ACCESS + self.sessions / self.checks)


def _fewest(enough: Callable[[int], bool]) -> int | None:
    """Return the smallest sufficient number, if all larger numbers suffice; None beyond `_MOST`."""
    if not enough(_MOST):
        return None
    low, high = 0, _MOST
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high
