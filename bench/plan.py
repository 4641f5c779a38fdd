"""Fleet sizes computed from the figures of the last run, as the tables of scaling.md."""

from collections.abc import Mapping
from itertools import product
from typing import Any

from bench.fanout import MESSAGE_BYTES, Pushes, fan_out
from bench.fleet import BUSY, Costs, Need, need
from bench.outcome import Cell, NotMeasured, Table

SESSIONS = (10**4, 10**6, 10**8)
CHECKS = (10**3, 10**4, 10**5, 10**6)  # per second
SUBSCRIBERS = (10, 100, 1000)
BURSTS = (20, 1)  # checks of a session that arrive together: a page with its parts, or a call
REVOCATIONS = (10.0, 100.0, 1000.0)  # per second


def costs_of(results: Mapping[str, Any]) -> Costs:
    """Extract the unit costs from bench/results.json.

    Raises:
        NotMeasured: a figure is missing.
    """
    try:
        figures = results["figures"]
        checks, issued = figures["authenticate"]["cpu_us"], figures["issue"]["cpu_us"]
        return Costs(
            hot=checks["hot"]["gateway"],
            cold=checks["cold"]["gateway"],
            read=checks["cold"]["redis"],
            login=(issued["login"]["gateway"], issued["login"]["redis"]),
            refresh=(issued["refresh"]["gateway"], issued["refresh"]["redis"]),
            stored=figures["scale"]["redis_bytes_per_session"],
            record=figures["scale"]["record_bytes"],
            mirrored=figures["memory"]["bytes_per_session"],
            pushes=_pushes(figures["revoke"]),
        )
    except (KeyError, TypeError) as error:
        raise NotMeasured(f"bench/results.json lacks {error}: run python -m bench all") from None


def from_results(results: Mapping[str, Any]) -> tuple[tuple[Table, ...], dict[str, Any]]:
    """Compute the tables of docs/explanation/scaling.md and their figures.

    Raises:
        NotMeasured: a unit cost is missing.
    """
    costs = costs_of(results)
    fleets = {burst: _fleets(costs, burst) for burst in BURSTS}
    tables = [_unit_table(costs), *(_fleet_table(burst, fleets[burst]) for burst in BURSTS)]
    if costs.pushes is not None:
        tables.append(_fan_out_table(costs, costs.pushes))
    else:
        tables.append(Table("Push", ("",), (("replicas do not subscribe: not available",),)))
    replicas = {
        f"{sessions} sessions, {checks} checks/s": any_replica.replicas
        for (sessions, checks), (any_replica, _) in fleets[BURSTS[0]].items()
    }
    return tuple(tables), {"burst": BURSTS[0], "replicas": replicas}


def _pushes(figures: Mapping[str, Any]) -> Pushes | None:
    if figures["push_us"] is None:
        return None
    return Pushes(figures["push_us"], figures["publish_us"], figures["delivery_us"])


def _unit_table(costs: Costs) -> Table:
    rows: list[tuple[Cell, ...]] = [
        ("hot check, gateway us", costs.hot),
        ("cold check, gateway us", costs.cold),
        ("cold check, Redis us", costs.read),
        ("login, gateway and Redis us", sum(costs.login)),
        ("refresh, gateway and Redis us", sum(costs.refresh)),
        ("bytes per session in Redis", costs.stored),
        ("bytes per session in a mirror", costs.mirrored),
        ("push, us in each replica", costs.pushes.push if costs.pushes else None),
        ("push, us in Redis", costs.pushes.publish if costs.pushes else None),
        ("push, us in Redis per replica", costs.pushes.delivery if costs.pushes else None),
    ]
    return Table("Unit costs", ("", "measured"), tuple(rows))


Fleets = dict[tuple[int, int], tuple[Need, Need]]


def _fleets(costs: Costs, burst: int) -> Fleets:
    """Compute each load's resources, with any replica and with a fixed replica per session."""

    def both(sessions: int, checks: int) -> tuple[Need, Need]:
        any_replica = need(costs, sessions, checks, burst=burst, by_session=False)
        return any_replica, need(costs, sessions, checks, burst=burst, by_session=True)

    return {load: both(*load) for load in product(SESSIONS, CHECKS)}


def _fleet_table(burst: int, fleets: Fleets) -> Table:
    shape = f"bursts of {burst} checks per session" if burst > 1 else "single checks"
    rows = tuple(
        (
            f"{sessions:,}",
            f"{checks:,}",
            f"{_count(anyone.replicas)} / {_count(same.replicas)}",
            f"{anyone.shards:,} / {same.shards:,}",
            f"{anyone.reads:,.0f} / {same.reads:,.0f}",
            f"{anyone.waiting:.0%} / {same.waiting:.0%}",
            anyone.redis_bytes / 1e9,
            f"{anyone.mirror_bytes / 1e6:,.1f} / {same.mirror_bytes / 1e6:,.1f}",
            f"{anyone.network_bits / 1e6:,.0f} / {same.network_bits / 1e6:,.0f}",
        )
        for (sessions, checks), (anyone, same) in fleets.items()
    )
    title = f"Fleets, {shape}: any replica / a fixed replica per session"
    return Table(title, _FLEET_COLUMNS, rows)


_FLEET_COLUMNS = (
    "sessions",
    "checks/s",
    "replicas",
    "Redis shards",
    "Redis reads/s",
    "checks that wait",
    "Redis GB",
    "mirror MB",
    "Mbit/s",
)
_FAN_OUT_COLUMNS = (
    "replicas",
    "revocations/s",
    "Redis core",
    "replica core",
    "Mbit/s",
    "p50 ms",
    "p99 ms",
)


def _count(replicas: int | None) -> str:
    return "no number suffices" if replicas is None else f"{replicas:,}"


def _fan_out_table(costs: Costs, pushes: Pushes) -> Table:
    rows = []
    for subscribers in SUBSCRIBERS:
        for rate in REVOCATIONS:
            result = fan_out(pushes, rate, subscribers, check_us=costs.hot, busy=BUSY)
            network = rate * subscribers * MESSAGE_BYTES * 8 / 1e6
            shares = (f"{result.redis_core:.1%}", f"{result.replica_core:.1%}")
            rows.append(
                (f"{subscribers:,}", f"{rate:,.0f}", *shares, network, result.p50, result.p99)
            )
    return Table("Push: from the logout to the last replica", _FAN_OUT_COLUMNS, tuple(rows))
