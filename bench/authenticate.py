"""What one check costs: the gateway, a plain aiohttp handler, and the limit for Python."""

import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

from authgw.core.tokens import TokenType
from bench.commands import rate_during
from bench.gateways import ORIGINAL, Gateway, Lab, RedisServer, bearer, lab, loop_of
from bench.http import ask
from bench.measure import ROUNDS, Measure, Sample, in_turn, median, ratio, sample, table
from bench.outcome import Benchmark, NotMeasured, Outcome
from bench.population import new_sessions, put, tokens
from bench.wrk import Load, load, load_each, request, write_requests

_COLD_AT_ONCE = 64
_COLD_PER_SECOND = 8000  # more than one replica can do
_PATH = "/authenticate"
_COUNTED, _UNCOUNTED = "hot, with metrics", "hot, without metrics"
_SLOWLY = 0.01  # seconds between the checks of a session that is asked about now and then


def measure(quick: bool) -> Outcome:
    """Compare a check by the gateway with servers that decide nothing."""
    seconds = 1 if quick else 4
    with lab() as made:
        redis = made.redis()
        gateway = made.fleet(redis.url).replica()
        token = bearer(gateway.login()["access"])
        seen = in_turn(_variants(made, redis, gateway, token, seconds))
        with ThreadPoolExecutor(1) as pool:
            # Nothing asks this gateway while the twins are asked, which share nothing with it.
            resting = pool.submit(rate_during, redis, time.sleep, 8 if quick else 10)
            twins = in_turn(_twins(made, seconds))
        idle, asked = resting.result(), {**ORIGINAL, **token}
        # A session is read again at most every 0.55 s, and a clock every 10 s: in less time than
        # this one more or less of them would show.
        lasting = 4 if quick else 10
        often = rate_during(redis, partial(load, gateway.port, _PATH, asked), lasting)
        seldom = rate_during(redis, partial(_now_and_then, gateway, asked), lasting)
        loop = loop_of(gateway)
    figures = {
        **_figures(seen),
        "metrics_cost": ratio(twins[_COUNTED], twins[_UNCOUNTED]),
        "store_commands_per_session_second": max(often, seldom) - idle,
        "store_commands": {"idle": idle, "often": often, "seldom": seldom},
    }
    notes = (
        f"Medians of {ROUNDS} rounds of {seconds} s, 32 connections ({_COLD_AT_ONCE} cold); "
        f"every server runs {loop}.",
        f"Store commands per hot session and second: {often - idle:.2f} at the highest rate, "
        f"{seldom - idle:.2f} at {1 / _SLOWLY:.0f} checks/s.",
    )
    shown = table("/authenticate", seen | twins, ("gateway", "redis", "server"))
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
    redis: RedisServer,
    gateway: Gateway,
    token: dict[str, str],
    seconds: int,
) -> dict[str, Measure]:
    asked = {**ORIGINAL, **token}
    answer = gateway.answer_to(asked)
    parts = {"gateway": [gateway.pid], "redis": [redis.pid]}
    direct = partial(load, gateway.port, _PATH, token, seconds)
    found: dict[str, Measure] = {
        "cold": _Cold(made.folder("cold"), redis, gateway, seconds).measure
    }
    # Beside what it is compared with: a round is longer than this machine stays the same.
    found["hot"] = _hot(redis, gateway, token, seconds)
    for name, kind in (("raw httptools", "httptools"), ("plain aiohttp", "aiohttp")):
        port, pid = made.imitation(kind, answer, loop_of(gateway) == "uvloop")
        found[name] = partial(sample, {"server": [pid]}, partial(load, port, _PATH, asked, seconds))
    found["direct with JSON"] = partial(sample, parts, direct)
    refused = partial(load, gateway.port, _PATH, ORIGINAL, seconds, denied=True)
    found["denied, no token"] = partial(sample, parts, refused)
    return found


def _twins(made: Lab, seconds: int) -> dict[str, Measure]:
    """Two gateways with the same past, on a Redis where nothing else happens."""
    redis = made.redis()
    fleet = made.fleet(redis.url)
    found = {}
    for name, counted in ((_COUNTED, True), (_UNCOUNTED, False)):
        twin = fleet.replica(counted=counted)
        found[name] = _hot(redis, twin, bearer(twin.login()["access"]), seconds)
    return found


def _hot(redis: RedisServer, gateway: Gateway, token: dict[str, str], seconds: int) -> Measure:
    parts = {"gateway": [gateway.pid], "redis": [redis.pid]}
    asked = {**ORIGINAL, **token}
    return partial(sample, parts, partial(load, gateway.port, _PATH, asked, seconds))


class _Cold:
    """Rounds of checks whose tokens and sessions nobody has seen."""

    def __init__(self, folder: Path, redis: RedisServer, gateway: Gateway, seconds: int) -> None:
        self._file = folder / "requests"
        self._redis, self._gateway, self._seconds = redis, gateway, seconds
        self._count = _COLD_PER_SECOND * seconds
        self._used = 1000

    def measure(self) -> Sample:
        """One round; what it does not need, the next one does not prepare."""
        sessions = list(new_sessions(self._count, first=self._used))
        self._used += self._count
        put(self._redis.client(), sessions)
        minted = tokens(self._gateway.keys, sessions, TokenType.ACCESS)
        asked = [request("GET", _PATH, {**ORIGINAL, **bearer(token)}) for token in minted]
        write_requests(self._file, asked)
        parts = {"gateway": [self._gateway.pid], "redis": [self._redis.pid]}
        return sample(parts, self._load)

    def _load(self) -> Load:
        seen = load_each(
            self._gateway.port, self._file, self._seconds, _COLD_AT_ONCE, once=self._count
        )
        self._count = min(self._count, 3 * seen.requests // 2 + 1000)
        return seen


def _now_and_then(gateway: Gateway, asked: dict[str, str], seconds: int) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if ask(gateway.address, "GET", _PATH, asked).status != 200:
            raise NotMeasured("a check was refused: nothing measured")
        time.sleep(_SLOWLY)
