"""Logins by password: the information in their time, and the cost of a flood for checks."""

import asyncio
import json
import statistics
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import aiohttp

from authgw.identity import users_editor
from authgw.identity.passwords import hash_password
from bench.gateways import ORIGINAL, BenchGateway, Lab, bearer, lab
from bench.measure import percentile
from bench.outcome import Benchmark, Outcome, Table
from bench.processes import rss_bytes
from bench.wrk import request

_PARALLEL = 500
_RATE = 500  # checks per second beside the flood
_CONNECTIONS = 25
_PASSWORD = "correct horse battery staple"  # noqa: S105  of nobody
_MIB = 1 << 20
_ELSEWHERE = "beside log-ins at another gateway"


def measure(quick: bool) -> Outcome:
    """Time refusals in turn, then check beside a flood of log-ins and without it, in turn."""
    tries, rounds, seconds = (150, 2, 4) if quick else (2000, 3, 10)
    with lab() as made:
        gateway, other = _peopled(made), _peopled(made)
        refused = _refusals(gateway, tries)
        token = gateway.login()["access"]
        before = rss_bytes(gateway.pid)
        seen, statuses = _beside(gateway, other, token, rounds, seconds)
        grown = (rss_bytes(gateway.pid) - before) / _MIB
    medians = {kind: statistics.median(times) for kind, times in refused.items()}
    calm, elsewhere, busy = (percentile(times, 99) for times in seen.values())
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
        f"{_RATE} checks per second, alone and beside {_PARALLEL} parallel log-ins",
        ("", "p50 ms", "p99 ms"),
        tuple((kind, percentile(times, 50), percentile(times, 99)) for kind, times in seen.items()),
    )
    answered = ", ".join(f"{count} x {status}" for status, count in sorted(statuses.items()))
    return Outcome(figures, (alike, checks), (f"The log-ins were answered: {answered}.",))


BENCHMARK = Benchmark("login", "What refusals give away, and log-ins beside checks.", measure)


def _peopled(made: Lab) -> BenchGateway:
    users = made.folder("people") / "users.yml"
    users_editor.add(users, "alice", hash_password(_PASSWORD))
    users_editor.add(users, "gone", hash_password(_PASSWORD))
    users_editor.set_disabled(users, "gone", True)
    redis = made.redis()
    return made.fleet(redis.url).replica(settings={"auth": {"users": str(users)}})


def _refusals(gateway: BenchGateway, tries: int) -> dict[str, list[float]]:
    """Milliseconds of each attempt, the kinds in turn, each from a different address."""
    seen: dict[str, list[float]] = {"unknown": [], "wrong": [], "disabled": []}
    for number in range(tries):
        names = (f"nobody{number}", "alice", "gone")
        passwords = (_PASSWORD, "wrong", _PASSWORD)
        for kind, user, password in zip(seen, names, passwords, strict=True):
            body = {"username": user, "password": password}
            began = time.perf_counter()
            answer = gateway.post("/login", body, {"X-Forwarded-For": _address(number)})
            seen[kind].append((time.perf_counter() - began) * 1000)
            _must_be_refused(answer.status)
    return seen


def _must_be_refused(status: int) -> None:
    if status != 401:
        raise SystemExit(f"a wrong log-in was answered with {status}: nothing measured")


def _beside(
    gateway: BenchGateway, other: BenchGateway, token: str, rounds: int, seconds: int
) -> tuple[dict[str, list[float]], Counter[int]]:
    """Milliseconds of checks alone, and during logins at another gateway and at the same gateway.

    The loss by logins at the other gateway is that of the processors that all share.
    """
    seen: dict[str, list[float]] = {"alone": [], _ELSEWHERE: [], "beside log-ins": []}
    statuses: Counter[int] = Counter()
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        for number in range(rounds):
            for kind, flooded in zip(seen, ((), (other,), (gateway,)), strict=True):
                floods = [pool.submit(_flood, one.port, seconds + 2, number) for one in flooded]
                time.sleep(1)
                seen[kind] += asyncio.run(_check(gateway.port, token, seconds))
                for flood in floods:
                    statuses.update(flood.result())
    return seen, statuses


async def _check(port: int, token: str, seconds: int) -> list[float]:
    """Milliseconds of every check, asked at an even rate whatever the answers do."""
    asked = request("GET", "/authenticate", {**ORIGINAL, **bearer(token)})
    each = _RATE / _CONNECTIONS
    began = time.perf_counter() + 0.1

    async def one(offset: float) -> list[float]:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        seen = []
        for due in _due(began + offset, 1 / each, seconds):
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            writer.write(asked)
            head = await reader.readuntil(b"\r\n\r\n")
            seen.append((time.perf_counter() - due) * 1000)
            if not head.startswith(b"HTTP/1.1 200"):
                raise SystemExit("a check was refused: nothing measured")
        writer.close()
        return seen

    offsets = [number / _RATE for number in range(_CONNECTIONS)]
    return [taken for found in await asyncio.gather(*map(one, offsets)) for taken in found]


def _due(first: float, every: float, seconds: int) -> Iterator[float]:
    return (first + number * every for number in range(int(seconds / every)))


def _flood(port: int, seconds: int, round_number: int) -> Counter[int]:
    return asyncio.run(_log_in_all(port, seconds, round_number))


async def _log_in_all(port: int, seconds: int, round_number: int) -> Counter[int]:
    """Log in over many connections, each again as soon as it is answered."""
    statuses: Counter[int] = Counter()
    until = time.monotonic() + seconds
    body = json.dumps({"username": "alice", "password": "wrong"}).encode()
    headers = {"Content-Type": "application/json"}

    async def one(client: aiohttp.ClientSession, number: int) -> None:
        while time.monotonic() < until:
            came_from = _address(1_000_000 * (round_number + 1) + sum(statuses.values()) + number)
            async with client.post(
                f"http://127.0.0.1:{port}/login",
                data=body,
                headers={**headers, "X-Forwarded-For": came_from},
            ) as answer:
                statuses[answer.status] += 1

    link = aiohttp.TCPConnector(limit=_PARALLEL)
    async with aiohttp.ClientSession(connector=link) as client:
        await asyncio.gather(*(one(client, number) for number in range(_PARALLEL)))
    return statuses


def _address(number: int) -> str:
    """An address of its own for each number; 10.0.0.0/8 holds 16 million."""
    return f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"
