"""Logins by password: timing differences of refusals, and the effect of a flood on checks."""

import asyncio
import json
import statistics
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import aiohttp

from authgw.identity import users_editor
from authgw.identity.passwords import hash_password
from bench.gateways import BenchGateway, Lab, bearer, lab
from bench.measure import percentile
from bench.outcome import Benchmark, Outcome, Table
from bench.paced_checks import RATE, address_of, paced_checks
from bench.processes import rss_bytes

_PARALLEL = 500  # logins
_PASSWORD = "correct horse battery staple"  # noqa: S105  not a real password
_MIB = 1 << 20
_ELSEWHERE = "during logins at another gateway"


def measure(quick: bool) -> Outcome:
    """Time refusals in turn, then checks with and without a flood of logins, in turn."""
    tries, rounds, seconds = (150, 2, 4) if quick else (2000, 3, 10)
    with lab() as made:
        gateway, other = _gateway_with_users(made), _gateway_with_users(made)
        refused = _refusals(gateway, tries)
        token = gateway.login()["access"]
        before = rss_bytes(gateway.pid)
        measured, statuses = _checks_during_logins(gateway, other, token, rounds, seconds)
        grown = (rss_bytes(gateway.pid) - before) / _MIB
    medians = {kind: statistics.median(times) for kind, times in refused.items()}
    calm, elsewhere, busy = (percentile(times, 99) for times in measured.values())
    figures = {
        "gap_ms": max(medians.values()) - min(medians.values()),
        "p99_x_idle": busy / calm,
        "p99_x_elsewhere": busy / elsewhere,
        "p99_idle_ms": calm,
        "p99_elsewhere_ms": elsewhere,
        "p99_loaded_ms": busy,
        "grown_mib": grown,
        "statuses": {str(status): count for status, count in sorted(statuses.items())},
    }
    rows = tuple((kind, median, percentile(refused[kind], 95)) for kind, median in medians.items())
    alike = Table(f"{tries} refusals of each kind, in turn", ("", "median ms", "p95 ms"), rows)
    checks = Table(
        f"{RATE} checks per second, alone and during {_PARALLEL} parallel logins",
        ("", "p50 ms", "p99 ms"),
        tuple(
            (kind, percentile(times, 50), percentile(times, 99)) for kind, times in measured.items()
        ),
    )
    answered = ", ".join(f"{count} x {status}" for status, count in sorted(statuses.items()))
    return Outcome(figures, (alike, checks), (f"Responses to the logins: {answered}.",))


BENCHMARK = Benchmark("login", "Timing of refusals, and checks during logins.", measure)


def _gateway_with_users(made: Lab) -> BenchGateway:
    users = made.directory("users") / "users.yml"
    users_editor.add(users, "alice", hash_password(_PASSWORD))
    users_editor.add(users, "gone", hash_password(_PASSWORD))
    users_editor.set_disabled(users, "gone", True)
    redis = made.redis()
    return made.fleet(redis.url).replica(settings={"auth": {"users": str(users)}})


def _refusals(gateway: BenchGateway, tries: int) -> dict[str, list[float]]:
    """Return the milliseconds of each try; the kinds take turns, each try has its own address."""
    measured: dict[str, list[float]] = {"unknown": [], "wrong": [], "disabled": []}
    for number in range(tries):
        names = (f"nobody{number}", "alice", "gone")
        passwords = (_PASSWORD, "wrong", _PASSWORD)
        for kind, user, password in zip(measured, names, passwords, strict=True):
            body = {"username": user, "password": password}
            began = time.perf_counter()
            answer = gateway.post("/login", body, {"X-Forwarded-For": address_of(number)})
            measured[kind].append((time.perf_counter() - began) * 1000)
            _must_be_refused(answer.status)
    return measured


def _must_be_refused(status: int) -> None:
    if status != 401:
        raise SystemExit(f"a wrong login was refused with {status}: nothing measured")


def _checks_during_logins(
    gateway: BenchGateway, other: BenchGateway, token: str, rounds: int, seconds: int
) -> tuple[dict[str, list[float]], Counter[int]]:
    """Return milliseconds of checks: alone, during logins elsewhere, during logins here.

    The slowdown by logins at the other gateway is caused by the shared processors only.
    """
    measured: dict[str, list[float]] = {"alone": [], _ELSEWHERE: [], "during logins": []}
    statuses: Counter[int] = Counter()
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        for number in range(rounds):
            for kind, flooded in zip(measured, ((), (other,), (gateway,)), strict=True):
                floods = [
                    pool.submit(_flood, target.port, seconds + 2, number) for target in flooded
                ]
                time.sleep(1)
                measured[kind] += asyncio.run(paced_checks(gateway.port, bearer(token), seconds))
                for flood in floods:
                    statuses.update(flood.result())
    return measured, statuses


def _flood(port: int, seconds: int, round_number: int) -> Counter[int]:
    return asyncio.run(_log_in_all(port, seconds, round_number))


async def _log_in_all(port: int, seconds: int, round_number: int) -> Counter[int]:
    """Log in over many connections, each without a pause after its response."""
    statuses: Counter[int] = Counter()
    until = time.monotonic() + seconds
    body = json.dumps({"username": "alice", "password": "wrong"}).encode()
    headers = {"Content-Type": "application/json"}

    async def over_connection(client: aiohttp.ClientSession, number: int) -> None:
        while time.monotonic() < until:
            address = address_of(1_000_000 * (round_number + 1) + sum(statuses.values()) + number)
            async with client.post(
                f"http://127.0.0.1:{port}/login",
                data=body,
                headers={**headers, "X-Forwarded-For": address},
            ) as response:
                statuses[response.status] += 1

    link = aiohttp.TCPConnector(limit=_PARALLEL)
    async with aiohttp.ClientSession(connector=link) as client:
        await asyncio.gather(*(over_connection(client, number) for number in range(_PARALLEL)))
    return statuses
