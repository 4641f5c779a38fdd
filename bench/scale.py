"""Effect of more replicas and of more sessions."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import click

from authgw.core.session_codec import dump
from authgw.core.sessions import Session
from authgw.core.tokens import TokenType
from bench import docs, plan
from bench.gateways import ORIGINAL, BenchGateway, BenchRedis, Lab, bearer, lab, loop_of
from bench.measure import ROUNDS, Measure, Sample, in_turn, ratio, sample, table
from bench.nginx import HOST
from bench.outcome import Benchmark, Outcome, Table, show
from bench.population import new_sessions, put, tokens
from bench.processes import family
from bench.wrk import load, load_each, request, write_requests

_CHECKED = 10_000  # sessions that are checked in turn
_CHECKS = "/authenticate"


@dataclass(frozen=True, slots=True)
class _Stored:
    """A gateway on a Redis with `count` sessions, and checks of some of them."""

    count: int
    redis: BenchRedis
    gateway: BenchGateway
    token: dict[str, str]
    requests: Path
    bytes_each: float


def measure(quick: bool) -> Outcome:
    """Compare a single replica with two, and a single session with very many."""
    seconds, most = (1, 100_000) if quick else (3, 1_000_000)
    with lab() as made:
        replicas = in_turn(_replicas(made, seconds))
        stored = [_stored(made, count) for count in (1, 10_000, most)]
        hot = in_turn({f"{part.count:,} stored, one asked": _hot(part, seconds) for part in stored})
        many = in_turn({_many_name(stored[-1]): _in_turn(stored[-1], seconds)})
        loop = loop_of(stored[0].gateway)
    one, two = replicas.values()
    few, *_, full = hot.values()
    figures = {
        "replicas_2_over_1": ratio(two, one, lambda entry: entry.rps),
        "sessions_1m_over_1": ratio(full, few),
        "most_sessions": most,
        "replicas_2_over_1_cpu": ratio(two, one),
        "redis_bytes_per_session": stored[-1].bytes_each,
        "record_bytes": len(dump(next(new_sessions(1)), compact=True)),
    }
    notes = [
        f"Medians of {ROUNDS} rounds of {seconds} s, 32 connections; the gateways run {loop}.",
        "Replicas share this machine's cores with NGINX, the app, Redis and wrk.",
    ]
    if most < 1_000_000:
        notes.append(f"A quick run stores {most:,} sessions in place of 1,000,000.")
    return Outcome(figures, _tables(replicas, {**hot, **many}, stored), tuple(notes))


BENCHMARK = Benchmark("scale", "What more replicas and more sessions change.", measure)


def command() -> click.Command:
    """Return the subcommand `scale`, which can also compute a fleet from the last results."""

    @click.command("scale", help=BENCHMARK.summary)
    @click.option("--quick", is_flag=True, help="Short rounds, 60 s in all.")
    @click.option("--plan", "planned", is_flag=True, help="Compute fleets from bench/results.json.")
    @click.option(
        "--write",
        is_flag=True,
        help="With --plan: renew the tables of docs/explanation/scaling.md.",
    )
    def scale(quick: bool, planned: bool, write: bool) -> None:
        if not planned:
            BENCHMARK.run(quick)
            return
        tables, figures = plan.from_results(docs.results())
        show(Outcome(figures, tables))
        if write:
            docs.write_plan(tables)
        click.echo(json.dumps({"benchmark": "scale --plan", **figures}))

    return scale


def _replicas(made: Lab, seconds: int) -> dict[str, Measure]:
    redis = made.redis()
    fleet = made.fleet(redis.url)
    gateways = [fleet.replica(), fleet.replica()]
    headers = {"Host": HOST, **bearer(gateways[0].login()["access"])}
    app, app_pid = made.app()

    def behind(gateways_behind: Sequence[BenchGateway]) -> Measure:
        port, pid = made.front([gateway.address for gateway in gateways_behind], app)
        parts = {
            "gateway": [gateway.pid for gateway in gateways_behind],
            "redis": [redis.pid],
            "nginx": [*family(pid), *family(app_pid)],
        }
        return partial(sample, parts, partial(load, port, "/", headers, seconds))

    return {"1 replica": behind(gateways[:1]), "2 replicas": behind(gateways)}


def _stored(made: Lab, count: int) -> _Stored:
    redis = made.redis()
    gateway = made.fleet(redis.url).replica()
    before = _used_memory(redis)
    checked = _fill(redis, count)
    bytes_each = (_used_memory(redis) - before) / count
    minted = tokens(gateway.keys, checked, TokenType.ACCESS)
    file = made.directory("checks") / "requests"
    checks = [request("GET", _CHECKS, {**ORIGINAL, **bearer(token)}) for token in minted]
    write_requests(file, checks)
    return _Stored(count, redis, gateway, bearer(minted[0]), file, bytes_each)


def _fill(redis: BenchRedis, count: int) -> list[Session]:
    """Store `count` sessions in batches; return the first batch."""
    first: list[Session] = []
    for start in range(0, count, _CHECKED):
        batch = list(new_sessions(min(_CHECKED, count - start), first=start + 1))
        put(redis.client(), batch)
        first = first or batch
    return first


def _used_memory(redis: BenchRedis) -> int:
    info: Any = redis.client().info("memory")
    return int(info["used_memory"])


def _parts(stored: _Stored) -> dict[str, list[int]]:
    return {"gateway": [stored.gateway.pid], "redis": [stored.redis.pid]}


def _hot(stored: _Stored, seconds: int) -> Measure:
    headers = {**ORIGINAL, **stored.token}
    work = partial(load, stored.gateway.port, _CHECKS, headers, seconds)
    return partial(sample, _parts(stored), work)


def _in_turn(stored: _Stored, seconds: int) -> Measure:
    work = partial(load_each, stored.gateway.port, stored.requests, seconds)
    return partial(sample, _parts(stored), work)


def _many_name(stored: _Stored) -> str:
    return f"{stored.count:,} stored, {_CHECKED:,} asked in turn"


def _tables(
    replicas: dict[str, list[Sample]], checks: dict[str, list[Sample]], stored: list[_Stored]
) -> tuple[Table, ...]:
    rows = tuple((f"{part.count:,}", part.bytes_each) for part in stored[1:])
    return (
        table("Replicas behind NGINX", replicas, ("gateway", "redis", "nginx")),
        table("Checks as the number of sessions grows", checks, ("gateway", "redis")),
        Table("Redis as the number of sessions grows", ("sessions", "bytes each"), rows),
    )
