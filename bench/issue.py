"""Cost of a login, of a refresh and of a logout, in the gateway and in Redis."""

import json
from collections.abc import Callable, Mapping, Sequence

from authgw.core.tokens import TokenType
from bench.each_once import EachOnce, Make, StoredSessions
from bench.gateways import BenchGateway, BenchRedis, Lab, bearer, lab, loop_of
from bench.go_service import GoService, go_name, go_service, logins, parts_of, x_go
from bench.hot import limit_checks
from bench.measure import ROUNDS, Measure, in_turn, median, ratio, table
from bench.outcome import Benchmark, Outcome
from bench.wrk import request

_KINDS = ("login", "refresh", "logout")
_PER_SECOND = 16_000  # more than a replica can do at first; later rounds follow the rate before
_GO_PER_SECOND = 16_000
_LIMIT = "raw httptools"


def measure(quick: bool) -> Outcome:
    """Log in, refresh and log out in turn, each time with a different subject."""
    seconds = 1 if quick else 4
    with lab() as made:
        redis = made.redis()
        gateway = made.fleet(redis.url).replica()
        samples = in_turn(_variants(made, redis, gateway, seconds))
        loop = loop_of(gateway)
    medians = {name: median(rounds) for name, rounds in samples.items()}
    figures = {
        **{f"{kind}_us": medians[kind].total for kind in _KINDS},
        **{f"{kind}_x_limit": ratio(samples[kind], samples[_LIMIT]) for kind in _KINDS},
        **{f"{kind}_x_go": x_go(samples, kind) for kind in _KINDS},
        "cpu_us": {name: result.cpu for name, result in medians.items()},
    }
    note = f"Medians of {ROUNDS} rounds of {seconds} s, 32 connections; the gateway runs {loop}."
    title = "/login by a trusted backend, /refresh and /logout"
    return Outcome(figures, (table(title, samples, parts_of(samples)),), (note,))


BENCHMARK = Benchmark("issue", "Cost of a login, a refresh and a logout.", measure)


def _variants(
    made: Lab, redis: BenchRedis, gateway: BenchGateway, seconds: int
) -> dict[str, Measure]:
    stored = StoredSessions(redis, gateway)
    makes: Mapping[str, Make] = {
        "login": lambda count, first: list(logins(count, first, gateway.basic)),
        "refresh": lambda count, first: _refreshes(stored.tokens(TokenType.REFRESH, count, first)),
        "logout": lambda count, first: _logouts(stored.tokens(TokenType.ACCESS, count, first)),
    }
    parts = {"gateway": [gateway.pid], "redis": [redis.pid]}
    variants = {
        kind: EachOnce(made, gateway.port, parts, make, seconds, per_second=_PER_SECOND).measure
        for kind, make in makes.items()
    }
    token = bearer(gateway.login()["access"])
    variants[_LIMIT] = limit_checks(made, gateway, token, seconds)
    go = go_service(made)
    if go is not None:
        variants |= _go_variants(made, go, seconds)
    return variants


def _go_variants(made: Lab, go: GoService, seconds: int) -> dict[str, Measure]:
    def of_pairs(name: str, write: Callable[[list[str]], list[bytes]]) -> Make:
        return lambda count, first: write([pair[name] for pair in go.login(count, first)])

    makes: Mapping[str, Make] = {
        "login": lambda count, first: list(logins(count, first)),
        "refresh": of_pairs("refresh", _refreshes),
        "logout": of_pairs("access", _logouts),
    }
    return {
        go_name(kind): EachOnce(
            made, go.port, go.parts, make, seconds, per_second=_GO_PER_SECOND
        ).measure
        for kind, make in makes.items()
    }


def _refreshes(minted: Sequence[str]) -> list[bytes]:
    bodies = (json.dumps({"refresh": token}).encode() for token in minted)
    return [request("POST", "/refresh", {}, body) for body in bodies]


def _logouts(minted: Sequence[str]) -> list[bytes]:
    return [request("POST", "/logout", bearer(token)) for token in minted]
