"""Resident memory of a replica: idle, and after many logins and checks."""

import json
import time

from bench.asking import bodies_of, check_all
from bench.gateways import BenchGateway, lab, loop_of
from bench.go_service import logins
from bench.outcome import Benchmark, Outcome, Table
from bench.processes import private_bytes, rss_bytes

_LOGINS, _CHECKS = 100_000, 10_000
_QUICK_S = 40.0  # seconds of logins at most, with --quick
_SETTLE_S = 3.0  # until what is needed for the start, or for the last checks, is dropped
_MB = 1 << 20  # bytes, as ps and top count


def measure(quick: bool) -> Outcome:
    """Start a replica, log in 100,000 users, and check 10,000 of their sessions."""
    with lab() as made:
        # The first start after a change compiles modules, which the measured start only reads.
        made.fleet(made.redis().url).replica()
    with lab() as made:
        gateway = made.fleet(made.redis().url).replica()
        idle = _memory(gateway)
        count = _log_in_and_check(gateway, _QUICK_S if quick else float("inf"))
        loaded = _memory(gateway)
        loop = loop_of(gateway)
    figures = {"idle_mb": idle[0], "loaded_mb": loaded[0], "logins": count}
    notes = [f"MB of 1,048,576 bytes; resident is RSS; the gateway runs {loop}."]
    if count < _LOGINS:
        notes.append(f"A quick run ends the logins after {_QUICK_S:g} s: {count:,} of {_LOGINS:,}.")
    rows = (("idle", *idle), (f"after {count:,} logins and {_CHECKS:,} checks", *loaded))
    columns = ("", "resident MB", "of it not shared MB")
    return Outcome(figures, (Table("Memory of a replica", columns, rows, 1),), tuple(notes))


BENCHMARK = Benchmark("idle", "Memory of a replica, idle and after logins and checks.", measure)


def _memory(gateway: BenchGateway) -> tuple[float, float]:
    time.sleep(_SETTLE_S)
    return rss_bytes(gateway.pid) / _MB, private_bytes(gateway.pid) / _MB


def _log_in_and_check(gateway: BenchGateway, seconds: float) -> int:
    """Log in for so many seconds at most, check the last sessions; return the number of logins."""
    until = time.monotonic() + seconds
    for count in range(_CHECKS, _LOGINS + 1, _CHECKS):
        answers = bodies_of(gateway.port, logins(_CHECKS, count + 1, gateway.basic))
        if time.monotonic() > until:
            break
    check_all(gateway, [json.loads(answer)["access"] for answer in answers])
    return count
