"""What one check costs: the gateway, a plain aiohttp handler, and the limit for Python."""

import base64
import json
import statistics
import sys
import tempfile
import urllib.request
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import click

from authgw.identity.clients import add_client
from bench.processes import cpu_us, free_port, load, running

ORIGINAL = {
    "X-Original-URL": "http://app.example.com/page?a=b",
    "X-Original-Host": "app.example.com",
    "X-Original-Method": "GET",
}
_REDIS = ["redis-server", "--bind", "127.0.0.1", "--save", "", "--port"]


@click.command()
@click.option("--quick", is_flag=True, help="One short round, under 60 s in all.")
def authenticate(quick: bool) -> None:
    """Compare a check by the gateway with servers that decide nothing, in turn."""
    rounds, duration = (1, 2) if quick else (5, 4)
    with ExitStack() as stack, tempfile.TemporaryDirectory() as name:
        variants = _variants(stack, Path(name))
        measured: dict[str, list[dict[str, float]]] = {variant: [] for variant in variants}
        for _ in range(rounds):
            for variant, measure in variants.items():
                measured[variant].append(measure(duration))
    _report({variant: _medians(runs) for variant, runs in measured.items()}, rounds, duration)


def _variants(stack: ExitStack, folder: Path) -> dict[str, Callable[[int], dict[str, float]]]:
    (folder / "redis").mkdir()
    redis = free_port()
    program = [*_REDIS, str(redis)]
    redis_pid = stack.enter_context(running(program, redis, folder / "redis"))
    stores = {
        "gateway, embedded store": ("embedded://memory", 0),
        "gateway, Redis": (f"redis://127.0.0.1:{redis}/0", redis_pid),
    }
    found: dict[str, Callable[[int], dict[str, float]]] = {}
    for number, (variant, (url, store_pid)) in enumerate(stores.items()):
        port, pid, token = _gateway(stack, folder / str(number), url)
        found[variant] = _measure(port, [pid, *([store_pid] if store_pid else [])], token)
    for variant, kind in (("plain aiohttp", "aiohttp"), ("raw httptools", "httptools")):
        port = free_port()
        (folder / kind).mkdir()
        command = [sys.executable, "-m", "bench.servers", kind, str(port)]
        root = {"PYTHONPATH": str(Path(__file__).parents[1])}
        pid = stack.enter_context(running(command, port, folder / kind, root))
        found[variant] = _measure(port, [pid], token)
    return found


def _gateway(stack: ExitStack, folder: Path, url: str) -> tuple[int, int, str]:
    folder.mkdir()
    secret = add_client(folder / "clients.yml", "bench", subjects="*", groups=())
    port, authgw = free_port(), str(Path(sys.executable).parent / "authgw")
    environ = {"AUTHGW_CACHE__URL": url, "AUTHGW_SERVER__PORT": str(port)}
    environ["AUTHGW_SERVER__DRAIN"] = "0s"
    setup = {**environ, "AUTHGW_CACHE__URL": "embedded://memory"}
    with running([authgw, "serve"], port, folder, setup):
        pass  # makes the signing key
    pid = stack.enter_context(running([authgw, "serve"], port, folder, environ))
    basic = base64.b64encode(f"bench:{secret}".encode()).decode()
    headers = {"Authorization": f"Basic {basic}", "Content-Type": "application/json"}
    request = urllib.request.Request(f"http://127.0.0.1:{port}/login", b'{"user_id": 1}', headers)
    with urllib.request.urlopen(request) as answer:  # noqa: S310  loopback
        return port, pid, json.load(answer)["access"]


def _measure(port: int, pids: list[int], token: str) -> Callable[[int], dict[str, float]]:
    headers = {**ORIGINAL, "Authorization": f"Bearer {token}"}

    def measure(duration: int) -> dict[str, float]:
        before = [cpu_us(pid) for pid in pids]
        seen = load(port, "/authenticate", headers, duration)
        if seen.errors:
            sys.exit(f"{seen.errors} of {seen.requests} requests were refused: nothing measured")
        spent = [cpu_us(pid) - then for pid, then in zip(pids, before, strict=True)]
        per_request = [used / seen.requests for used in spent]
        store = per_request[1] if len(pids) > 1 else 0.0
        return {
            "server_us": per_request[0],
            "store_us": store,
            "cpu_us": sum(per_request),
            "rps": seen.rps,
            "p50_ms": seen.p50,
            "p99_ms": seen.p99,
        }

    return measure


def _medians(runs: list[dict[str, float]]) -> dict[str, float]:
    return {key: statistics.median(run[key] for run in runs) for key in runs[0]}


def _report(results: dict[str, dict[str, float]], rounds: int, duration: int) -> None:
    limit, plain = results["raw httptools"]["cpu_us"], results["plain aiohttp"]["cpu_us"]
    click.echo(f"medians of {rounds} rounds of {duration} s, 32 connections")
    click.echo(
        f"{'':<26}{'CPU us':>8}{'store':>8}{'x limit':>9}{'x aiohttp':>11}{'rps':>9}"
        f"{'p50 ms':>8}{'p99 ms':>8}"
    )
    for variant, seen in results.items():
        click.echo(
            f"{variant:<26}{seen['cpu_us']:>8.1f}{seen['store_us']:>8.1f}"
            f"{seen['cpu_us'] / limit:>9.2f}{seen['cpu_us'] / plain:>11.2f}{seen['rps']:>9.0f}"
            f"{seen['p50_ms']:>8.2f}{seen['p99_ms']:>8.2f}"
        )
    said: dict[str, Any] = {"benchmark": "authenticate", "rounds": rounds, "results": results}
    click.echo(json.dumps(said))
