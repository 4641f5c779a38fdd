"""Delay until a replica refuses a session that another replica ended, with and without push."""

import asyncio
import statistics
import time
from collections.abc import Mapping
from dataclasses import dataclass

import aiohttp

from authgw.config.schema import CacheSettings
from bench.blackhole import FaultyForwarder
from bench.gateways import ORIGINAL, BenchGateway, BenchRedis, ReplicaFleet, bearer, lab, loop_of
from bench.measure import percentile
from bench.outcome import Benchmark, NotMeasured, Outcome, Table
from bench.push import push_costs

_POLLERS = 4
_WARM_UP = 10  # checks of each poller before the session is ended
_MIN_REFUSALS = 10  # consecutive refusals after which no further 200 is expected
_BOUND: float = CacheSettings().max_staleness  # seconds


@dataclass(frozen=True, slots=True)
class Ended:
    """The end of a session on B, in seconds after A confirmed the logout.

    `refused` is the time of the first refusal; `allowed_sent` is the time at which the last
    allowed check was sent.
    """

    refused: float
    allowed_sent: float
    allowed_after_refusal: bool


def measure(quick: bool) -> Outcome:
    """End sessions on a replica while another checks them continuously."""
    rounds, lost = (50, 8) if quick else (200, 30)
    with lab() as made:
        redis = made.redis()
        fleet = made.fleet(redis.url)
        a, b = fleet.replica(), fleet.replica()
        pushed = asyncio.run(_pushed(a, b, rounds))
        silent = asyncio.run(_silent(fleet, redis, a, lost))
        costs = push_costs(redis, b)
        loop = loop_of(b)
    if any(end.allowed_after_refusal for end in (*pushed, *silent)):
        raise NotMeasured("a session that had been refused was allowed again: nothing measured")
    delays = [max(0.0, end.refused) * 1000 for end in pushed]
    late = max(end.allowed_sent for end in silent)
    figures = {
        "p99_ms": percentile(delays, 99),
        "bound_held": late <= _BOUND,
        "without_push_s": late,
        **costs,
    }
    rows = (
        ("with the push", rounds, *_spread(delays)),
        ("push cut", lost, *_spread([max(0.0, end.refused) * 1000 for end in silent])),
    )
    shown = Table("From the logout's response on A to B's refusal", _COLUMNS, rows)
    notes = (
        f"{_POLLERS} connections send checks to B without pause; the replicas run {loop}.",
        f"With the push cut, the last check that passed was sent {max(0.0, late) * 1000:.0f} ms "
        f"after the logout's response; the bound is {_BOUND * 1000:.0f} ms.",
        _costs_text(costs),
    )
    return Outcome(figures, (shown,), notes)


BENCHMARK = Benchmark("revoke", "Delay until every replica refuses an ended session.", measure)
_COLUMNS = ("", "rounds", "p50 ms", "p99 ms", "most ms")


def _spread(delays: list[float]) -> tuple[float, float, float]:
    return statistics.median(delays), percentile(delays, 99), max(delays)


def _costs_text(costs: Mapping[str, float | None]) -> str:
    if costs["push_us"] is None:
        return "Replicas do not subscribe: what a push costs them is not available."
    return (
        f"A push costs each replica {costs['push_us']:.1f} us, and Redis "
        f"{costs['publish_us']:.1f} us and {costs['delivery_us']:.2f} us per subscriber."
    )


async def _pushed(a: BenchGateway, b: BenchGateway, rounds: int) -> list[Ended]:
    return [await _end_one(a, b, number + 1) for number in range(rounds)]


async def _silent(
    fleet: ReplicaFleet, redis: BenchRedis, a: BenchGateway, rounds: int
) -> list[Ended]:
    async with FaultyForwarder(redis.port) as proxy:
        # In a thread, since this loop forwards the replica's connections to Redis.
        url = f"redis://127.0.0.1:{proxy.port}/0"
        b = await asyncio.to_thread(fleet.replica, store_url=url)
        proxy.cut = True
        ended = [await _end_one(a, b, 10**6 + number) for number in range(rounds)]
        if proxy.subscribed and not proxy.lost:
            raise NotMeasured("no push was lost: nothing measured")
        return ended


async def _end_one(a: BenchGateway, b: BenchGateway, user_id: int) -> Ended:
    token = bearer((await asyncio.to_thread(a.login, user_id))["access"])
    async with aiohttp.ClientSession() as client:
        over: asyncio.Future[float] = asyncio.get_running_loop().create_future()
        warm = asyncio.Barrier(_POLLERS + 1)
        polls = [asyncio.create_task(_poll(client, b, token, warm, over)) for _ in range(_POLLERS)]
        await warm.wait()
        async with client.post(f"http://127.0.0.1:{a.port}/logout", headers=token) as answer:
            if answer.status != 200:
                raise NotMeasured(f"a logout was answered with {answer.status}: nothing measured")
            ended_at = time.monotonic()
        over.set_result(ended_at)
        return _judge(ended_at, await asyncio.gather(*polls))


Check = tuple[float, float, bool]  # time of the request, time of the response, allowed


async def _poll(
    client: aiohttp.ClientSession,
    b: BenchGateway,
    token: Mapping[str, str],
    warm: asyncio.Barrier,
    over: "asyncio.Future[float]",
) -> list[Check]:
    checks: list[Check] = []
    for _ in range(_WARM_UP):
        checks.append(await _check(client, b, token))
        if not checks[-1][2]:
            raise NotMeasured("a session was refused before it was ended: nothing measured")
    await warm.wait()
    refused = 0
    while refused < _MIN_REFUSALS:
        checks.append(await _check(client, b, token))
        refused = 0 if checks[-1][2] else refused + 1
        if over.done() and checks[-1][0] > over.result() + 5 * max(_BOUND, 1):
            raise NotMeasured("a session is still allowed long after its end: nothing measured")
    return checks


async def _check(client: aiohttp.ClientSession, b: BenchGateway, token: Mapping[str, str]) -> Check:
    sent = time.monotonic()
    url = f"http://127.0.0.1:{b.port}/authenticate"
    async with client.get(url, headers={**ORIGINAL, **token}) as answer:
        if answer.status not in (200, 401):
            raise NotMeasured(f"a check was answered with {answer.status}: nothing measured")
        return sent, time.monotonic(), answer.status == 200


def _judge(ended_at: float, polls: list[list[Check]]) -> Ended:
    checks = [check for poll in polls for check in poll]
    refused = min(answered for _, answered, allowed in checks if not allowed)
    allowed_sent = max(sent for sent, _, allowed in checks if allowed)
    return Ended(refused - ended_at, allowed_sent - ended_at, allowed_sent > refused)
