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
from bench.hot import PATH, hot_checks
from bench.http import ask
from bench.measure import ROUNDS, Measure, Sample, in_turn, median, ratio, sample, table
from bench.outcome import Benchmark, NotMeasured, Outcome
from bench.population import new_sessions, put, tokens
from bench.wrk import WrkResult, load, load_each, request, write_requests

_COLD_AT_ONCE = 64
_COLD_PER_SECOND = 8000  # more than one replica can do
# Seconds. A session is read again at most every 0.55 s, and a clock every 10 s: in less time than
# this one more or less of them would show.
_COUNTING = 8
_SLOWLY = 0.01  # seconds between the checks of a session that is asked about now and then
_Work = Callable[[BenchGateway, dict[str, str], int], None]


def measure(quick: bool) -> Outcome:
    """Compare a check by the gateway with servers that decide nothing."""
    seconds = 1 if quick else 4
    with lab() as made:
        redis = made.redis()
        gateway = made.fleet(redis.url).replica()
        token = bearer(gateway.login()["access"])
        seen = in_turn(_variants(made, redis, gateway, token, seconds))
        commands = _store_commands(made)
        loop = loop_of(gateway)
    idle, often, seldom = commands["idle"], commands["often"], commands["seldom"]
    figures = {
        **_figures(seen),
        "store_commands_per_session_second": max(often, seldom) - idle,
        "store_commands": commands,
    }
    notes = (
        f"Medians of {ROUNDS} rounds of {seconds} s, 32 connections ({_COLD_AT_ONCE} cold); "
        f"every server runs {loop}.",
        f"Store commands per hot session and second: {often - idle:.2f} at the highest rate, "
        f"{seldom - idle:.2f} at {1 / _SLOWLY:.0f} checks/s.",
    )
    shown = table("/authenticate", seen, ("gateway", "redis", "server"))
    return Outcome(figures, (shown,), notes)


BENCHMARK = Benchmark("authenticate", "What one check costs, and the limit for Python.", measure)


def _figures(seen: dict[str, list[Sample]]) -> dict[str, Any]:
    cold, hot, limit, plain, direct, denied = seen.values()
    return {
        "x_limit": ratio(hot, limit),
        "x_plain": ratio(hot, plain),
        "direct_x_limit": ratio(direct, limit),
        "cold_x_hot": ratio(cold, hot),
        "denied_x_hot": ratio(denied, hot),
        "cpu_us": {name: median(rounds).cpu for name, rounds in seen.items()},
    }


def _variants(
    made: Lab,
    redis: BenchRedis,
    gateway: BenchGateway,
    token: dict[str, str],
    seconds: int,
) -> dict[str, Measure]:
    asked = {**ORIGINAL, **token}
    answer = gateway.answer_to(asked)
    parts = {"gateway": [gateway.pid], "redis": [redis.pid]}
    direct = partial(load, gateway.port, PATH, token, seconds)
    found: dict[str, Measure] = {
        "cold": _Cold(made.folder("cold"), redis, gateway, seconds).measure
    }
    # Beside what it is compared with: a round is longer than this machine stays the same.
    found["hot"] = hot_checks(redis, gateway, token, seconds)
    for name, kind in (("raw httptools", "httptools"), ("plain aiohttp", "aiohttp")):
        port, pid = made.imitation(kind, answer, loop_of(gateway) == "uvloop")
        found[name] = partial(sample, {"server": [pid]}, partial(load, port, PATH, asked, seconds))
    found["direct with JSON"] = partial(sample, parts, direct)
    refused = partial(load, gateway.port, PATH, ORIGINAL, seconds, denied=True)
    found["denied, no token"] = partial(sample, parts, refused)
    return found


def _store_commands(made: Lab) -> dict[str, float]:
    """Commands per second of gateways that share nothing, at the same time.

    One gateway is idle; each other checks a single session, as often as possible or seldom.
    """
    works = {"idle": _rest, "often": _without_pause, "seldom": _now_and_then}
    alone = {name: _alone(made, work) for name, work in works.items()}
    with ThreadPoolExecutor() as pool:
        counting = {
            name: pool.submit(rate_during, redis, work, _COUNTING)
            for name, (redis, work) in alone.items()
        }
        return {name: counted.result() for name, counted in counting.items()}


def _alone(made: Lab, work: _Work) -> tuple[BenchRedis, Callable[[int], object]]:
    redis = made.redis()
    gateway = made.fleet(redis.url).replica()
    asked = {**ORIGINAL, **bearer(gateway.login()["access"])}
    return redis, partial(work, gateway, asked)


def _rest(_gateway: BenchGateway, _asked: dict[str, str], seconds: int) -> None:
    time.sleep(seconds)


def _without_pause(gateway: BenchGateway, asked: dict[str, str], seconds: int) -> None:
    load(gateway.port, PATH, asked, seconds)


def _now_and_then(gateway: BenchGateway, asked: dict[str, str], seconds: int) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if ask(gateway.address, "GET", PATH, asked).status != 200:
            raise NotMeasured("a check was refused: nothing measured")
        time.sleep(_SLOWLY)


class _Cold:
    """Rounds of checks whose tokens and sessions are not cached."""

    def __init__(
        self, folder: Path, redis: BenchRedis, gateway: BenchGateway, seconds: int
    ) -> None:
        self._file = folder / "requests"
        self._redis, self._gateway, self._seconds = redis, gateway, seconds
        self._count = _COLD_PER_SECOND * seconds
        self._used = 1000

    def measure(self) -> Sample:
        """Run a round; sessions that it does not use are left for the next round."""
        sessions = list(new_sessions(self._count, first=self._used))
        self._used += self._count
        put(self._redis.client(), sessions)
        minted = tokens(self._gateway.keys, sessions, TokenType.ACCESS)
        asked = [request("GET", PATH, {**ORIGINAL, **bearer(token)}) for token in minted]
        write_requests(self._file, asked)
        parts = {"gateway": [self._gateway.pid], "redis": [self._redis.pid]}
        return sample(parts, self._load)

    def _load(self) -> WrkResult:
        seen = load_each(
            self._gateway.port, self._file, self._seconds, _COLD_AT_ONCE, once=self._count
        )
        self._count = min(self._count, 3 * seen.requests // 2 + 1000)
        return seen
