"""Many concurrent users who each make the five calls; no call may be refused."""

import asyncio
import random
import statistics
import time
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from bench.gateways import BenchGateway, lab, loop_of
from bench.measure import ROUNDS, percentile
from bench.outcome import Benchmark, NotMeasured, Outcome, Table
from bench.processes import cpu_us

USERS = 1000
_OVERLAP = 50  # concurrent users
_MAX_PAUSE = 0.02  # seconds between the calls of a user
_CALLS = ("ping", "login", "authenticate", "refresh", "logout")


@dataclass(frozen=True, slots=True)
class Round:
    """Results of a round: seconds, CPU microseconds per flow, milliseconds by call, failures."""

    took: float
    cpu: Mapping[str, float]
    latencies: Mapping[str, list[float]]
    failures: list[str]


def measure(quick: bool) -> Outcome:
    """Run the flows of 1,000 users at random, several times."""
    rounds = ROUNDS if quick else 2 * ROUNDS
    with lab() as made:
        redis = made.redis()
        gateway = made.fleet(redis.url).replica()
        parts = {"gateway": gateway.pid, "redis": redis.pid}
        results = [_round(gateway, parts, seed) for seed in range(rounds)]
        loop = loop_of(gateway)
    failures = [failure for result in results for failure in result.failures]
    if failures:
        raise NotMeasured(f"{len(failures)} calls failed, the first: {failures[0]}")
    cpu = {part: statistics.median(result.cpu[part] for result in results) for part in parts}
    rate = statistics.median(USERS / result.took for result in results)
    figures = {"flows_per_s": rate, "errors": len(failures), "cpu_us": cpu}
    notes = (
        f"Medians of {rounds} rounds of {USERS} users, {_OVERLAP} at a time, pauses up to "
        f"{_MAX_PAUSE * 1000:.0f} ms; the gateway runs {loop}.",
        f"{rate:.0f} flows/s, {len(failures)} errors; a flow costs {cpu['gateway']:.0f} us in "
        f"the gateway and {cpu['redis']:.0f} us in Redis.",
    )
    rows = tuple(_row(name, [result.latencies[name] for result in results]) for name in _CALLS)
    return Outcome(figures, (Table("The five calls", ("", "p50 ms", "p99 ms"), rows, 1),), notes)


BENCHMARK = Benchmark("flow", "The five calls by 1,000 users at random.", measure)


def _row(name: str, rounds: list[list[float]]) -> tuple[str, float, float]:
    p50, p99 = (statistics.median(percentile(times, at) for times in rounds) for at in (50, 99))
    return name, p50, p99


def _round(gateway: BenchGateway, parts: Mapping[str, int], seed: int) -> Round:
    before = {part: cpu_us([pid]) for part, pid in parts.items()}
    began = time.monotonic()
    users = asyncio.run(_flows(gateway, seed))
    took = time.monotonic() - began
    cpu = {part: (cpu_us([pid]) - before[part]) / USERS for part, pid in parts.items()}
    return Round(took, cpu, users.latencies, users.failures)


@dataclass(slots=True)
class _Users:
    """The users of a round, over a single client."""

    client: aiohttp.ClientSession
    random: random.Random
    basic: Mapping[str, str]
    latencies: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    failures: list[str] = field(default_factory=list)

    async def flow(self, limit: asyncio.Semaphore) -> None:
        """Make the five calls of a user."""
        async with limit:
            number = self.random.randint(1, 2**62)
            await self._call("ping", "GET")
            pair = await self._call("login", "POST", self.basic, {"user_id": number})
            if not pair:
                return
            await self._call("authenticate", "GET", _bearer(pair))
            pair = await self._call("refresh", "POST", {}, {"refresh": pair["refresh"]})
            if pair:
                await self._call("logout", "POST", _bearer(pair))

    async def _call(
        self,
        name: str,
        method: str,
        headers: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        await asyncio.sleep(self.random.uniform(0, _MAX_PAUSE))
        began = time.perf_counter()
        async with self.client.request(method, f"/{name}", headers=headers, json=body) as answer:
            text = await answer.read()
            self.latencies[name].append((time.perf_counter() - began) * 1000)
            if answer.status != 200:
                self.failures.append(f"/{name} answered {answer.status}: {text[:200]!r}")
                return {}
            return await answer.json() if answer.content_type == "application/json" else {}


async def _flows(gateway: BenchGateway, seed: int) -> _Users:
    connector = aiohttp.TCPConnector(limit=_OVERLAP)
    address = f"http://127.0.0.1:{gateway.port}"
    async with aiohttp.ClientSession(address, connector=connector) as client:
        users = _Users(client, random.Random(seed), gateway.basic)  # noqa: S311  not a secret
        limit = asyncio.Semaphore(_OVERLAP)
        await asyncio.gather(*(users.flow(limit) for _ in range(USERS)))
        return users


def _bearer(pair: Mapping[str, Any]) -> dict[str, str]:
    return {"Authorization": f"Bearer {pair['access']}"}
