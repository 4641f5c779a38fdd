"""Cost of a check while users browse: pages with parts, and pauses in which they read."""

import asyncio
import heapq
import math
import random
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import cast

import httptools
import uvloop

from authgw.core.tokens import TokenType
from bench.asking import check_all
from bench.each_once import checks_of
from bench.gateways import BenchGateway, BenchRedis, Lab, lab, loop_of
from bench.go_service import go_name, go_service, parts_of, x_go
from bench.measure import ROUNDS, Measure, in_turn, median, percentile, sample, table
from bench.outcome import Benchmark, NotMeasured, Outcome
from bench.population import new_sessions, put, tokens
from bench.wrk import WrkResult

_USERS = 925
_BURST = 20  # checks: a page and its parts
_LANES = 6  # parts at a time, as browsers have connections to a server (HTTP/1.1)
_PAUSE = (5.0, 30.0)  # seconds between the bursts of a user, each length with the same probability
_CONNECTIONS = 32


def measure(quick: bool) -> Outcome:
    """Let the users browse for some seconds in each round."""
    seconds = 4 if quick else 30
    with lab() as made:
        redis = made.redis()
        gateway = made.fleet(redis.url).replica()
        samples = in_turn(_variants(made, redis, gateway, seconds))
        loop = loop_of(gateway)
    browsing = median(samples["browse"])
    figures = {
        "cpu_us": browsing.total,
        "x_go": x_go(samples, "browse"),
        "checks_per_s": browsing.rps,
        "p99_ms": browsing.p99,
    }
    low, high = _PAUSE
    notes = [
        f"Medians of {ROUNDS} rounds of {seconds} s; {_USERS} users who send bursts of {_BURST} "
        f"checks and pause for {low:g} to {high:g} s; the gateway runs {loop}.",
        "Each round begins as if they had browsed for long: each token was checked before, and "
        "each user is somewhere in a pause.",
    ]
    if quick:
        notes.append(
            f"A round is shorter than most pauses: few users send two bursts in {seconds} s."
        )
    return Outcome(figures, (table("Browsing", samples, parts_of(samples)),), tuple(notes))


BENCHMARK = Benchmark("browse", "What a check costs while 925 users browse.", measure)


def _variants(
    made: Lab, redis: BenchRedis, gateway: BenchGateway, seconds: int
) -> dict[str, Measure]:
    sessions = list(new_sessions(_USERS))
    put(redis.client(), sessions)
    minted = tokens(gateway.keys, sessions, TokenType.ACCESS)
    check_all(gateway, minted)
    parts = {"gateway": [gateway.pid], "redis": [redis.pid]}
    variants = {"browse": _browsing(gateway.port, parts, minted, seconds)}
    go = go_service(made)
    if go is not None:
        minted = [pair["access"] for pair in go.login(_USERS)]
        variants[go_name("browse")] = _browsing(go.port, go.parts, minted, seconds)
    return variants


def _browsing(
    port: int, parts: Mapping[str, Sequence[int]], minted: Sequence[str], seconds: int
) -> Measure:
    checks = checks_of(minted)
    dice = random.Random(1)  # noqa: S311  not a secret

    def browse() -> WrkResult:
        bursts = list(schedule(len(checks), seconds, dice))
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(_browse(port, checks, bursts, seconds))

    return lambda: sample(parts, browse)


def schedule(users: int, seconds: float, dice: random.Random) -> Iterator[tuple[float, int]]:
    """Generate the bursts of users who have browsed for long: second and number of the user."""
    due = [(rest_of_pause(dice), user) for user in range(users)]
    heapq.heapify(due)
    while due and due[0][0] < seconds:
        at, user = due[0]
        yield at, user
        heapq.heapreplace(due, (at + dice.uniform(*_PAUSE), user))


def rest_of_pause(dice: random.Random) -> float:
    """Return the remaining seconds of the pause that a user has at a random time.

    Longer pauses are met more often, in proportion to their length (inspection paradox).
    """
    low, high = _PAUSE
    length = math.sqrt(low**2 + dice.random() * (high**2 - low**2))
    return length * dice.random()


async def _browse(
    port: int, checks: Sequence[bytes], bursts: Sequence[tuple[float, int]], seconds: int
) -> WrkResult:
    async with _connected(port) as pool:
        began = time.perf_counter()
        sent = []
        for at, user in bursts:
            await asyncio.sleep(began + at - time.perf_counter())
            sent.append(asyncio.ensure_future(pool.burst(checks[user])))
        await asyncio.sleep(began + seconds - time.perf_counter())
        await asyncio.gather(*sent)
        took = time.perf_counter() - began
        times = pool.latencies
        p50, p99 = percentile(times, 50), percentile(times, 99)
        return WrkResult(len(times), 0, len(times) / took, p50, p99)


@dataclass(slots=True)
class _Pool:
    """Connections of a proxy; `latencies` in milliseconds."""

    free: "asyncio.Queue[_Link]" = field(default_factory=asyncio.Queue)
    latencies: list[float] = field(default_factory=list)

    async def burst(self, check: bytes) -> None:
        """Send the check of a page, and then those of its parts, some at a time."""
        await self._send(check)
        parts = iter(range(_BURST - 1))
        await asyncio.gather(*(self._lane(check, parts) for _ in range(_LANES)))

    async def _lane(self, check: bytes, parts: Iterator[int]) -> None:
        for _ in parts:
            await self._send(check)

    async def _send(self, check: bytes) -> None:
        link = await self.free.get()
        began = time.perf_counter()
        await link.send(check)
        self.latencies.append((time.perf_counter() - began) * 1000)
        self.free.put_nowait(link)


@asynccontextmanager
async def _connected(port: int) -> AsyncIterator[_Pool]:
    pool, loop = _Pool(), asyncio.get_running_loop()
    links = [await loop.create_connection(_Link, "127.0.0.1", port) for _ in range(_CONNECTIONS)]
    for _, link in links:
        pool.free.put_nowait(link)
    try:
        yield pool
    finally:
        for transport, _ in links:
            transport.close()


class _Link(asyncio.Protocol):
    """A connection with at most one request under way."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports do not derive from asyncio.Transport but have the same methods.
        self._transport = cast(asyncio.Transport, transport)
        self._parser = httptools.HttpResponseParser(self)
        self._answered: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._answered.set_result(None)

    def send(self, check: bytes) -> "asyncio.Future[None]":
        """Send a request; the result is done when the response is complete."""
        self._answered = asyncio.get_running_loop().create_future()
        self._transport.write(check)
        return self._answered

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_message_complete(self) -> None:
        status = self._parser.get_status_code()
        if status == 200:
            self._answered.set_result(None)
        else:
            self._fail(f"a check was refused with {status}: nothing measured")

    def connection_lost(self, error: Exception | None) -> None:
        self._fail("the gateway closed a connection: nothing measured")

    def _fail(self, message: str) -> None:
        if not self._answered.done():
            self._answered.set_exception(NotMeasured(message))
