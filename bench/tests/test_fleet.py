"""The arithmetic of fleets: mirrors, replicas, pushes and the plan that is made of results."""

import random
from dataclasses import replace

import pytest

from authgw.core.session_codec import dump, load
from bench import fleet, plan
from bench.fanout import Pushes, fan_out, waits
from bench.outcome import NotMeasured
from bench.population import new_sessions

COSTS = fleet.Costs(
    hot=25.0,
    cold=200.0,
    read=20.0,
    login=(400.0, 25.0),
    refresh=(500.0, 30.0),
    stored=1000.0,
    record=500.0,
    mirrored=1500.0,
    pushes=Pushes(push=50.0, publish=20.0, delivery=3.0),
)


def test_records_are_those_of_the_store() -> None:
    first, second = new_sessions(2, first=7)
    assert (first.sub, second.sub) == ("7", "8")
    assert load(dump(first)) == first


def test_a_mirror_reads_a_seldom_requested_session_each_time() -> None:
    seldom = fleet.mirrored(rate=0.001, interval=0.6, lifetime=1.0)
    assert seldom.reads == pytest.approx(0.001, rel=0.01)
    assert seldom.misses == pytest.approx(0.001, rel=0.01)
    assert seldom.held == pytest.approx(0.001, rel=0.01)


def test_a_mirror_reads_a_hot_session_once_per_interval() -> None:
    hot = fleet.mirrored(rate=10_000.0, interval=0.6, lifetime=1.0)
    assert hot.reads == pytest.approx(1 / 0.6)
    assert hot.misses == pytest.approx(0.0)
    assert hot.held == pytest.approx(1.0)


def test_the_mirrors_arithmetic_agrees_with_a_simulation() -> None:
    rate, interval, lifetime = 2.0, 0.6, 1.0
    chance = random.Random(1)
    now, read_at, asked, reads, misses = 0.0, -10.0, False, 0, 0
    for _ in range(100_000):
        now += chance.expovariate(rate)
        while asked and read_at + interval < now:
            read_at, asked, reads = read_at + interval, False, reads + 1
        if now > read_at + lifetime:
            read_at, reads, misses = now, reads + 1, misses + 1
        elif now <= read_at + interval:
            asked = True
    computed = fleet.mirrored(rate, interval, lifetime)
    assert reads / now == pytest.approx(computed.reads, rel=0.02)
    assert misses / now == pytest.approx(computed.misses, rel=0.02)


def test_a_plan_by_hand() -> None:
    found = fleet.need(COSTS, 10**4, 10**6, burst=1, by_session=True)
    # 25 s of checks a second, 16,667 re-reads of 175 us, 11 refreshes of 500 us, at 60 %.
    assert found.replicas == 47
    assert found.reads == pytest.approx(16_667, rel=0.01)
    assert found.shards == 1
    assert found.mirror_bytes == pytest.approx(10**4 * 1500 / 47, rel=0.01)
    assert found.network_bits == pytest.approx(8 * 16_667 * 620, rel=0.01)


def test_more_memory_needs_more_shards() -> None:
    assert fleet.need(COSTS, 10**8, 10**3, burst=1, by_session=False).shards == 7


def test_a_fixed_replica_per_session_never_needs_more() -> None:
    for sessions in plan.SESSIONS:
        for checks in plan.CHECKS:
            anyone, same = (
                fleet.need(COSTS, sessions, checks, burst=20, by_session=by_session)
                for by_session in (False, True)
            )
            assert (same.replicas or 0) <= (anyone.replicas or 0)
            assert same.waiting <= anyone.waiting + 1e-9


def test_without_a_mirror_every_check_reads() -> None:
    bare = replace(COSTS, mirrored=None)
    found = fleet.need(bare, 10**4, 10**5, burst=20, by_session=False)
    assert (found.reads, found.waiting, found.mirror_bytes) == (10**5, 1.0, 0.0)


def test_pushes_alone_can_be_too_many() -> None:
    heavy = replace(COSTS, pushes=Pushes(1000.0, 20.0, 3.0))
    assert fleet.need(heavy, 10**8, 10**3, burst=1, by_session=True).replicas is None


def test_waiting_times_agree_with_the_formula() -> None:
    # Pollaczek-Khinchine for M/D/1 at 60 %: 0.6 * 100 us / (2 * 0.4).
    seen = waits(6000.0, lambda: 100.0, random.Random(2))
    assert sum(seen) / len(seen) == pytest.approx(75.0, rel=0.05)


def test_more_replicas_receive_a_push_later() -> None:
    pushes = Pushes(push=50.0, publish=20.0, delivery=3.0)
    few, many = (fan_out(pushes, 100.0, n, check_us=25.0, busy=0.6) for n in (10, 1000))
    assert few.p99 is not None
    assert many.p50 is not None
    # Redis alone takes 3 ms to write to 1,000.
    assert few.p99 < 1.0 < 3.0 < many.p50
    assert (few.redis_core, few.replica_core) == pytest.approx((0.005, 0.005))


def test_a_redis_that_cannot_keep_up_has_no_time() -> None:
    seen = fan_out(Pushes(50.0, 20.0, 3.0), 1000.0, 1000, check_us=25.0, busy=0.6)
    assert seen.redis_core == pytest.approx(3.02)
    assert (seen.p50, seen.p99) == (None, None)


def test_the_plan_is_computed_from_results() -> None:
    tables, figures = plan.from_results(RESULTS)
    assert [shown.title.partition(",")[0] for shown in tables] == [
        "Unit costs",
        "Fleets",
        "Fleets",
        "Push: from the logout to the last replica",
    ]
    assert figures["replicas"]["10000 sessions, 1000 checks/s"] == 1


def test_missing_results_are_named() -> None:
    with pytest.raises(NotMeasured, match="lacks 'authenticate': run python -m bench all"):
        plan.from_results({"figures": {}})


RESULTS = {
    "figures": {
        "authenticate": {
            "cpu_us": {"hot": {"gateway": 25.0}, "cold": {"gateway": 200.0, "redis": 20.0}}
        },
        "issue": {
            "cpu_us": {
                "login": {"gateway": 400.0, "redis": 25.0},
                "refresh": {"gateway": 500.0, "redis": 30.0},
            }
        },
        "scale": {"redis_bytes_per_session": 1000.0, "record_bytes": 500},
        "memory": {"bytes_per_session": 1500.0},
        "revoke": {"push_us": 50.0, "publish_us": 20.0, "delivery_us": 3.0},
    }
}
