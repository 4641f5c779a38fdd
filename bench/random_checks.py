"""Cost of a check when many sessions are active and each check is of any of them."""

from collections.abc import Mapping, Sequence
from itertools import count

from authgw.core.tokens import TokenType
from bench.asking import check_all
from bench.each_once import checks_of
from bench.gateways import BenchGateway, BenchRedis, Lab, bearer, lab, loop_of
from bench.go_service import GoService, go_name, go_service, parts_of, x_go
from bench.hot import limit_checks
from bench.measure import ROUNDS, Measure, Sample, in_turn, median, ratio, sample, table
from bench.outcome import Benchmark, Outcome
from bench.population import new_sessions, put, tokens
from bench.wrk import load_random, write_requests

_SESSIONS = 10_000
# Seconds of the same checks before each round: the sessions are active, whatever ran in between.
_WARM_UP = 1


def measure(quick: bool) -> Outcome:
    """Check 10,000 active sessions at random, each with the same probability."""
    seconds = 1 if quick else 4
    with lab() as made:
        redis = made.redis()
        gateway = made.fleet(redis.url).replica()
        samples = in_turn(_variants(made, redis, gateway, seconds))
        loop = loop_of(gateway)
    figures = {
        "x_limit": ratio(samples["random"], samples["raw httptools"]),
        "x_go": x_go(samples, "random"),
        "cpu_us": {name: median(rounds).cpu for name, rounds in samples.items()},
    }
    note = (
        f"Medians of {ROUNDS} rounds of {seconds} s, each after {_WARM_UP} s of the same checks; "
        f"32 connections; the gateway runs {loop}."
    )
    shown = table(f"{_SESSIONS:,} active sessions at random", samples, parts_of(samples))
    return Outcome(figures, (shown,), (note,))


BENCHMARK = Benchmark("random", "What a check costs when 10,000 sessions are active.", measure)


def _variants(
    made: Lab, redis: BenchRedis, gateway: BenchGateway, seconds: int
) -> dict[str, Measure]:
    sessions = list(new_sessions(_SESSIONS))
    put(redis.client(), sessions)
    minted = tokens(gateway.keys, sessions, TokenType.ACCESS)
    check_all(gateway, minted)
    parts = {"gateway": [gateway.pid], "redis": [redis.pid]}
    variants = {
        "random": _checks(made, minted, gateway.port, parts, seconds),
        "raw httptools": limit_checks(made, gateway, bearer(minted[0]), seconds),
    }
    go = go_service(made)
    if go is not None:
        variants[go_name("random")] = _go_checks(made, go, seconds)
    return variants


def _go_checks(made: Lab, go: GoService, seconds: int) -> Measure:
    minted = [pair["access"] for pair in go.login(_SESSIONS)]
    return _checks(made, minted, go.port, go.parts, seconds)


def _checks(
    made: Lab, minted: Sequence[str], port: int, parts: Mapping[str, Sequence[int]], seconds: int
) -> Measure:
    file = made.directory("random") / "requests"
    write_requests(file, checks_of(minted))
    seeds = count(1)

    def measured() -> Sample:
        load_random(port, file, _WARM_UP, next(seeds))
        return sample(parts, lambda: load_random(port, file, seconds, next(seeds)))

    return measured
