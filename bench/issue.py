"""Cost of a login and of a refresh, in the gateway and in Redis."""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

from authgw.core.tokens import TokenType
from bench.gateways import BenchGateway, BenchRedis, Lab, lab, loop_of
from bench.measure import ROUNDS, Measure, in_turn, median, sample, table
from bench.outcome import Benchmark, Outcome
from bench.population import new_sessions, put, tokens
from bench.wrk import load_each, request, write_requests

_PER_SECOND = 6000  # more than a replica can do


def measure(quick: bool) -> Outcome:
    """Log in and refresh in turn, each time with a different subject."""
    seconds = 1 if quick else 4
    count = _PER_SECOND * seconds
    with lab() as made:
        redis = made.redis()
        gateway = made.fleet(redis.url).replica()
        parts = {"gateway": [gateway.pid], "redis": [redis.pid]}

        def each_of(make: Callable[[int], list[bytes]]) -> Measure:
            files = iter([_file(made, make(number * count + 1)) for number in range(ROUNDS)])
            return lambda: sample(
                parts,
                partial(load_each, gateway.port, next(files), seconds, once=count),
            )

        variants = {
            "login": each_of(partial(_logins, gateway, count)),
            "refresh": each_of(partial(_refreshes, gateway, redis, count)),
        }
        samples = in_turn(variants)
        loop = loop_of(gateway)
    medians = {name: median(rounds) for name, rounds in samples.items()}
    figures = {
        **{f"{name}_us": result.total for name, result in medians.items()},
        "cpu_us": {name: result.cpu for name, result in medians.items()},
    }
    note = f"Medians of {ROUNDS} rounds of {seconds} s, 32 connections; the gateway runs {loop}."
    shown = table("/login by a trusted backend, and /refresh", samples, ("gateway", "redis"))
    return Outcome(figures, (shown,), (note,))


BENCHMARK = Benchmark("issue", "What a log-in and a refresh cost.", measure)


def _file(made: Lab, requests: list[bytes]) -> Path:
    file = made.directory("issue") / "requests"
    write_requests(file, requests)
    return file


def _logins(gateway: BenchGateway, count: int, first: int) -> list[bytes]:
    numbers = range(first, first + count)
    bodies = (json.dumps({"user_id": number}).encode() for number in numbers)
    return [request("POST", "/login", gateway.basic, body) for body in bodies]


def _refreshes(gateway: BenchGateway, redis: BenchRedis, count: int, first: int) -> list[bytes]:
    # Subjects that the logins of this run do not use.
    sessions = list(new_sessions(count, first=10**9 + first))
    put(redis.client(), sessions)
    minted = tokens(gateway.keys, sessions, TokenType.REFRESH)
    bodies = (json.dumps({"refresh": token}).encode() for token in minted)
    return [request("POST", "/refresh", {}, body) for body in bodies]
