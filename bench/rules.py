"""What matching costs as rules grow: on other hosts, and on the same one."""

import json
import statistics
import time

import click

from authgw.core.model import AccessRequest, Location
from authgw.core.rules import Allow, Rule, Rules, glob

_ALLOW = Allow(authenticated=True)
_ASKED = AccessRequest(
    "GET", Location("https", "app.example.com", "/app50/page/7", ""), "192.0.2.1"
)


@click.command()
@click.option("--quick", is_flag=True, help="Fewer rounds.")
def rules(quick: bool) -> None:
    """Compare one path rule with many, in turn; CPU microseconds per match."""
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
    medians = {name: statistics.median(found) for name, found in measured.items()}
    one, hosts, paths = medians.values()
    for name, cost in medians.items():
        click.echo(f"{name:30} {cost:6.2f} us   {cost / one:5.2f} x")
    click.echo(
        json.dumps(
            {
                "cpu_us": {name: round(cost, 3) for name, cost in medians.items()},
                "hosts_ratio": round(hosts / one, 3),
                "paths_ratio": round(paths / one, 3),
            }
        )
    )


def _rule(number: int, host: str) -> Rule:
    return Rule("bench", _ALLOW, host, (glob(f"/app{number}/**"),))


def _cost(compiled: Rules, times: int) -> float:
    before = time.process_time_ns()
    for _ in range(times):
        compiled.match(_ASKED)
    return (time.process_time_ns() - before) / times / 1000
