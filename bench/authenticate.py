"""Cost of a check: the gateway, a plain aiohttp handler, and the limit for Python."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

from authgw.core.tokens import TokenType
from bench.commands import rate_during
from bench.gateways import ORIGINAL, BenchGateway, BenchRedis, Lab, bearer, lab, loop_of
from bench.hot import PATH, hot_checks, limit_checks
from bench.http import send
from bench.measure import ROUNDS, Measure, Sample, in_turn, median, ratio, sample, table
from bench.outcome import Benchmark, NotMeasured, Outcome
from bench.population import new_sessions, put, tokens
from bench.wrk import WrkResult, load, load_each, request, write_requests

_COLD_CONNECTIONS = 64
_COLD_PER_SECOND = 8000  # more than a replica can do
# Seconds. A session is read again at most every 0.55 s, and a clock every 10 s: in a shorter time a
# single read more or less would distort the rate.
_COUNTING_TIME = 8
_SELDOM_INTERVAL = 0.01  # seconds between the checks of a session that is seldom checked
_Work = Callable[[BenchGateway, dict[str, str], int], None]


def measure(quick: bool) -> Outcome:
    """Compare a check by the gateway with servers that make no decision."""
    seconds = 1 if quick else 4
    with lab() as made:
        redis = made.redis()
        gateway = made.fleet(redis.url).replica()
        token = bearer(gateway.login()["access"])
        samples = in_turn(_variants(made, redis, gateway, token, seconds))
        commands = _store_commands(made)
        loop = loop_of(gateway)
    idle, often, seldom = commands["idle"], commands["often"], commands["seldom"]
    figures = {
        **_figures(samples),
        "store_commands_per_session_second": max(often, seldom) - idle,
        "store_commands": commands,
    }
    notes = (
        f"Medians of {ROUNDS} rounds of {seconds} s, 32 connections ({_COLD_CONNECTIONS} cold); "
        f"every server runs {loop}.",
        f"Store commands per hot session and second: {often - idle:.2f} at the highest rate, "
        f"{seldom - idle:.2f} at {1 / _SELDOM_INTERVAL:.0f} checks/s.",
    )
    shown = table("/authenticate", samples, ("gateway", "redis", "server"))
    return Outcome(figures, (shown,), notes)


BENCHMARK = Benchmark("authenticate", "What one check costs, and the limit for Python.", measure)


def _figures(samples: dict[str, list[Sample]]) -> dict[str, Any]:
    cold, hot, limit, plain, direct, denied = samples.values()
    return {
        "x_limit": ratio(hot, limit),
        "x_plain": ratio(hot, plain),
        "direct_x_limit": ratio(direct, limit),
        "cold_x_hot": ratio(cold, hot),
        "denied_x_hot": ratio(denied, hot),
        "cpu_us": {name: median(rounds).cpu for name, rounds in samples.items()},
    }


def _variants(
    made: Lab,
    redis: BenchRedis,
    gateway: BenchGateway,
    token: dict[str, str],
    seconds: int,
) -> dict[str, Measure]:
    headers = {**ORIGINAL, **token}
    response = gateway.response_to(headers)
    parts = {"gateway": [gateway.pid], "redis": [redis.pid]}
    direct = partial(load, gateway.port, PATH, token, seconds)
    variants: dict[str, Measure] = {
        "cold": _Cold(made.directory("cold"), redis, gateway, seconds).measure
    }
    # Next to the variants that it is compared with: the machine's speed changes within a round.
    variants["hot"] = hot_checks(redis, gateway, token, seconds)
    variants["raw httptools"] = limit_checks(made, gateway, token, seconds)
    port, pid = made.imitation("aiohttp", response, loop_of(gateway) == "uvloop")
    checks = partial(load, port, PATH, headers, seconds)
    variants["plain aiohttp"] = partial(sample, {"server": [pid]}, checks)
    variants["direct with JSON"] = partial(sample, parts, direct)
    refused = partial(load, gateway.port, PATH, ORIGINAL, seconds, denied=True)
    variants["denied, no token"] = partial(sample, parts, refused)
    return variants


def _store_commands(made: Lab) -> dict[str, float]:
    """Measure the commands per second of three independent gateways at the same time.

    The first gateway is idle; the others receive checks of a single session, as often as possible
    and seldom.
    """
    works = {"idle": _rest, "often": _without_pause, "seldom": _seldom}
    prepared = {name: _independent(made, work) for name, work in works.items()}
    with ThreadPoolExecutor() as pool:
        counting = {
            name: pool.submit(rate_during, redis, work, _COUNTING_TIME)
            for name, (redis, work) in prepared.items()
        }
        return {name: counted.result() for name, counted in counting.items()}


def _independent(made: Lab, work: _Work) -> tuple[BenchRedis, Callable[[int], object]]:
    redis = made.redis()
    gateway = made.fleet(redis.url).replica()
    headers = {**ORIGINAL, **bearer(gateway.login()["access"])}
    return redis, partial(work, gateway, headers)


def _rest(_gateway: BenchGateway, _headers: dict[str, str], seconds: int) -> None:
    time.sleep(seconds)


def _without_pause(gateway: BenchGateway, headers: dict[str, str], seconds: int) -> None:
    load(gateway.port, PATH, headers, seconds)


def _seldom(gateway: BenchGateway, headers: dict[str, str], seconds: int) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if send(gateway.address, "GET", PATH, headers).status != 200:
            raise NotMeasured("a check was refused: nothing measured")
        time.sleep(_SELDOM_INTERVAL)


class _Cold:
    """Rounds of checks with tokens and sessions that are new to the gateway."""

    def __init__(
        self, directory: Path, redis: BenchRedis, gateway: BenchGateway, seconds: int
    ) -> None:
        self._file = directory / "requests"
        self._redis, self._gateway, self._seconds = redis, gateway, seconds
        self._count = _COLD_PER_SECOND * seconds
        self._used = 1000

    def measure(self) -> Sample:
        """Measure a round, and prepare fewer requests for the next if this needed fewer."""
        sessions = list(new_sessions(self._count, first=self._used))
        self._used += self._count
        put(self._redis.client(), sessions)
        minted = tokens(self._gateway.keys, sessions, TokenType.ACCESS)
        requests = [request("GET", PATH, {**ORIGINAL, **bearer(token)}) for token in minted]
        write_requests(self._file, requests)
        parts = {"gateway": [self._gateway.pid], "redis": [self._redis.pid]}
        return sample(parts, self._load)

    def _load(self) -> WrkResult:
        samples = load_each(
            self._gateway.port, self._file, self._seconds, _COLD_CONNECTIONS, once=self._count
        )
        self._count = min(self._count, 3 * samples.requests // 2 + 1000)
        return samples
