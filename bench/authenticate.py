"""Cost of a check: the gateway, a plain aiohttp handler, and the limit for Python."""

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from authgw.core.tokens import TokenType
from bench.asking import bodies_of
from bench.commands import rate_during
from bench.each_once import EachOnce, StoredSessions, checks_of, known_again
from bench.gateways import ORIGINAL, BenchGateway, BenchRedis, Lab, bearer, lab, loop_of
from bench.go_service import GoService, go_name, go_service, parts_of, x_go
from bench.hot import PATH, hot_checks, limit_checks
from bench.http import send
from bench.measure import ROUNDS, Measure, Sample, in_turn, median, ratio, sample, table
from bench.outcome import Benchmark, NotMeasured, Outcome
from bench.provider_logins import provider_gateway, sessions_of_both
from bench.wrk import load

_COLD_CONNECTIONS = 64
_COLD_PER_SECOND = 16_000  # more than a replica can do
# A round of warm checks takes a second: with the tokens of the cold rounds between, a replica
# remembers 30,000, which is more than it can check.
_WARM_COUNT, _WARM_SECONDS = 30_000, 1
_WARM_FIRST = 1000  # the first subject
_LIMIT, _PLAIN = "raw httptools", "plain aiohttp"
_LOCAL, _PROVIDER = "cookie, local session", "cookie, session of a provider"
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
    shown = table("/authenticate", samples, parts_of(samples))
    return Outcome(figures, (shown,), notes)


BENCHMARK = Benchmark("authenticate", "What one check costs, and the limit for Python.", measure)


def _figures(samples: dict[str, list[Sample]]) -> dict[str, Any]:
    names = ("cold", "hot", _LIMIT, _PLAIN, "direct with JSON")
    cold, hot, limit, plain, direct = (samples[name] for name in names)
    return {
        **{f"{name}_x_limit": ratio(samples[name], limit) for name in ("hot", "warm", "cold")},
        **{f"{name}_x_go": x_go(samples, name) for name in ("hot", "warm", "cold")},
        "x_limit": ratio(hot, limit),
        "x_plain": ratio(hot, plain),
        "direct_x_limit": ratio(direct, limit),
        "cold_x_hot": ratio(cold, hot),
        "provider_x_local": ratio(samples[_PROVIDER], samples[_LOCAL]),
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
    stored = StoredSessions(redis, gateway)
    variants = _first_and_second(
        made, gateway.port, parts, partial(stored.tokens, TokenType.ACCESS), seconds
    )
    # Next to the variants that it is compared with: the machine's speed changes within a round.
    variants["hot"] = hot_checks(redis, gateway, token, seconds)
    variants[_LIMIT] = limit_checks(made, gateway, token, seconds)
    port, pid = made.imitation("aiohttp", response, loop_of(gateway) == "uvloop")
    checks = partial(load, port, PATH, headers, seconds)
    variants[_PLAIN] = partial(sample, {"server": [pid]}, checks)
    direct = partial(load, gateway.port, PATH, token, seconds)
    variants["direct with JSON"] = partial(sample, parts, direct)
    variants |= _sessions_of_both(made, seconds)
    go = go_service(made)
    if go is not None:
        variants |= _go_variants(made, go, seconds)
    return variants


def _sessions_of_both(made: Lab, seconds: int) -> dict[str, Measure]:
    """Return repeated checks of a local session and of a session of a provider, by cookie."""
    redis = made.redis()
    target = provider_gateway(made, redis.url)
    cookies = zip((_LOCAL, _PROVIDER), sessions_of_both(target), strict=True)
    return {name: hot_checks(redis, target.gateway, cookie, seconds) for name, cookie in cookies}


def _go_variants(made: Lab, go: GoService, seconds: int) -> dict[str, Measure]:
    def minted(count: int, first: int) -> list[str]:
        return [pair["access"] for pair in go.login(count, first)]

    variants = _first_and_second(made, go.port, go.parts, minted, seconds)
    headers = {**ORIGINAL, **bearer(minted(1, 1)[0])}
    variants["hot"] = partial(sample, go.parts, partial(load, go.port, PATH, headers, seconds))
    return {go_name(name): measured for name, measured in variants.items()}


def _first_and_second(
    made: Lab,
    port: int,
    parts: Mapping[str, Sequence[int]],
    minted: Callable[[int, int], list[str]],
    seconds: int,
) -> dict[str, Measure]:
    """Return checks of sessions never seen, and of sessions that were seen a round ago.

    `minted` returns access tokens of so many subjects, from a first subject on. After a round any
    record is older than the mirror may use, while the tokens are known.
    """
    cold = EachOnce(
        made,
        port,
        parts,
        lambda count, first: checks_of(minted(count, first)),
        seconds,
        per_second=_COLD_PER_SECOND,
        connections=_COLD_CONNECTIONS,
    )
    again = checks_of(minted(_WARM_COUNT, _WARM_FIRST))
    bodies_of(port, again)
    return {"cold": cold.measure, "warm": known_again(made, port, parts, again, _WARM_SECONDS)}


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
