"""Cost of matching as rules grow: on other hosts, and on the same host."""

import statistics
import time

from authgw.core.model import AccessRequest, Location
from authgw.core.rules import Allow, Rule, Rules, glob
from bench.outcome import Benchmark, Outcome, Table

_ALLOW = Allow(authenticated=True)
_REQUEST = AccessRequest(
    "GET", Location("https", "app.example.com", "/app50/page/7", ""), "192.0.2.1"
)


def measure(quick: bool) -> Outcome:
    """Compare a single path rule with many, in turn; CPU microseconds per match."""
    here = _rule(50, "app.example.com")
    elsewhere = [_rule(n % 10, f"host{n // 10}.example.org") for n in range(10_000)]
    same = [_rule(n, "app.example.com") for n in range(100)]
    variants = {
        "one": Rules([here]),
        "10,000 on 1,000 other hosts": Rules([*elsewhere, here]),
        "100 paths on this host": Rules(same),
    }
    measured: dict[str, list[float]] = {name: [] for name in variants}
    for _ in range(5 if quick else 15):
        for name, compiled in variants.items():
            measured[name].append(_cost(compiled, 20_000 if quick else 50_000))
    medians = {name: statistics.median(costs) for name, costs in measured.items()}
    single, hosts, paths = medians.values()
    figures = {"cpu_us": medians, "hosts_ratio": hosts / single, "paths_ratio": paths / single}
    rows = tuple((name, cost, cost / single) for name, cost in medians.items())
    return Outcome(figures, (Table("Rules", ("", "CPU us", "x one rule"), rows, plotted=1),))


BENCHMARK = Benchmark("rules", "What matching costs as rules grow.", measure)


def _rule(number: int, host: str) -> Rule:
    return Rule("bench", _ALLOW, host, (glob(f"/app{number}/**"),))


def _cost(compiled: Rules, times: int) -> float:
    before = time.process_time_ns()
    for _ in range(times):
        compiled.match(_REQUEST)
    return (time.process_time_ns() - before) / times / 1000
