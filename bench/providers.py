"""Logins at an identity provider: their cost, and their effect on checks."""

import asyncio
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import aiohttp

from bench.gateways import bearer, lab
from bench.measure import percentile
from bench.outcome import Benchmark, NotMeasured, Outcome, Table
from bench.paced_checks import RATE, address_of, paced_checks
from bench.processes import cpu_us
from bench.provider_logins import ProviderGateway, log_in, provider_gateway

_PARALLEL = 50  # logins
_ALONE, _DURING = "alone", "during logins"


def measure(quick: bool) -> Outcome:
    """Time checks alone and during logins, in turn, and the CPU time of a login."""
    rounds, seconds = (2, 4) if quick else (5, 10)
    checks: dict[str, list[float]] = {_ALONE: [], _DURING: []}
    costs, rates = [], []
    with lab() as made, ProcessPoolExecutor(1, get_context("spawn")) as pool:
        target = provider_gateway(made, made.redis().url)
        access = bearer(target.gateway.login()["access"])
        pids, port = [target.gateway.pid], target.gateway.port
        for number in range(rounds):
            before = cpu_us(pids)
            checks[_ALONE] += asyncio.run(paced_checks(port, access, seconds))
            alone = cpu_us(pids) - before
            logins = pool.submit(_logins, target, seconds, number)
            time.sleep(0.5)
            before = cpu_us(pids)
            checks[_DURING] += asyncio.run(paced_checks(port, access, seconds))
            spent, completed = cpu_us(pids) - before - alone, logins.result()
            rates.append(completed / seconds)
            costs.append(spent / completed)
    calm, busy = (percentile(times, 99) for times in checks.values())
    cost, rate = percentile(costs, 50), percentile(rates, 50)
    figures = {
        "login_cpu_us": cost,
        "logins_per_second": rate,
        "p99_idle_ms": calm,
        "p99_loaded_ms": busy,
        "p99_x_idle": busy / calm,
    }
    shown = Table(
        f"{RATE} checks per second, alone and during {_PARALLEL} parallel logins at a provider",
        ("", "p50 ms", "p99 ms"),
        tuple(
            (kind, percentile(times, 50), percentile(times, 99)) for kind, times in checks.items()
        ),
    )
    note = (
        f"A login costs the gateway {cost:,.0f} us of CPU; {rate:,.0f} were completed per second."
    )
    return Outcome(figures, (shown,), (note,))


BENCHMARK = Benchmark("providers", "Logins at an identity provider, and checks meanwhile.", measure)


def _logins(target: ProviderGateway, seconds: int, round_number: int) -> int:
    return asyncio.run(_log_in_all(target, seconds, round_number))


async def _log_in_all(target: ProviderGateway, seconds: int, round_number: int) -> int:
    """Log in over many connections, each without a pause; return the logins of these seconds."""
    # From half a second before the checks until half a second after them.
    began = time.monotonic() + 0.5
    completed = started = 0

    async def without_pause(client: aiohttp.ClientSession) -> None:
        nonlocal completed, started
        while time.monotonic() < began + seconds + 0.5:
            started += 1
            await log_in(client, target, address_of(1_000_000 * (round_number + 1) + started))
            completed += 0 <= time.monotonic() - began < seconds

    link = aiohttp.TCPConnector(limit=_PARALLEL)
    jar = aiohttp.DummyCookieJar()
    async with aiohttp.ClientSession(connector=link, cookie_jar=jar) as client:
        await asyncio.gather(*(without_pause(client) for _ in range(_PARALLEL)))
    if not completed:
        raise NotMeasured("no login was completed: nothing measured")
    return completed
