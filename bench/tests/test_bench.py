"""Unit tests of the parts of the benchmarks that compute."""

import ast
import json
import os
import random
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest

from authgw.core.session_codec import dump, load
from bench import bars, docs, fleet, page, plan, processes, speed
from bench.commands import may_be_of_check
from bench.fanout import Pushes, fan_out, waits
from bench.http import content_length, fields
from bench.measure import Sample, in_turn, median, percentile, ratio, table
from bench.outcome import NotMeasured, Outcome, Table, cell_text, markdown_of, rounded, text_of
from bench.population import new_sessions
from bench.uncounted import without
from bench.wrk import Load, read, request

ROOT = Path(__file__).parents[2]
WRK = """Running 2s test @ http://127.0.0.1:8080/authenticate
  1 threads and 32 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     1.52ms    2.41ms  48.31ms   95.12%
    Req/Sec    27.50k     1.93k   29.46k    85.00%
  Latency Distribution
     50%  327.00us
     75%    1.29ms
     90%    1.97ms
     99%    1.02s
  54713 requests in 2.00s, 9.91MB read
Requests/sec:  27337.41
Transfer/sec:      4.95MB
"""
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


def sample(cpu: float, rps: float = 1.0) -> Sample:
    return Sample({"gateway": cpu}, rps, 1.0, 2.0)


def test_wrk_is_read_in_milliseconds() -> None:
    assert read(WRK) == Load(requests=54713, errors=0, rps=27337.41, p50=0.327, p99=1020.0)


def test_refused_and_broken_requests_are_errors() -> None:
    broken = "  Socket errors: connect 1, read 2, write 0, timeout 4\n"
    assert read(f"{WRK}{broken}  Non-2xx or 3xx responses: 10\n").errors == 17


def test_an_allowed_request_is_an_error_when_refusals_are_expected() -> None:
    assert read(f"{WRK}  Non-2xx or 3xx responses: 54713\n", denied=True).errors == 0
    assert read(f"{WRK}  Non-2xx or 3xx responses: 54710\n", denied=True).errors == 3


def test_unknown_output_of_wrk_is_rejected() -> None:
    with pytest.raises(NotMeasured, match="something else"):
        read("unable to connect")


def test_a_request_with_a_body_has_a_content_length() -> None:
    assert (
        request("GET", "/a", {"X-B": "c"})
        == b"GET /a HTTP/1.1\r\nHost: 127.0.0.1\r\nX-B: c\r\n\r\n"
    )
    posted = request("POST", "/a", {}, b"{}")
    assert posted.endswith(b"Content-Length: 2\r\n\r\n{}")


def test_parse_a_response_head() -> None:
    answer = b"HTTP/1.1 200 OK\r\nRemote-User: 1\r\nRemote-Name: \r\nContent-Length: 3\r\n\r\nabc"
    assert fields(answer) == {"remote-user": "1", "remote-name": "", "content-length": "3"}
    assert content_length(answer) == 3
    assert content_length(b"HTTP/1.1 204 No Content") == 0


@pytest.mark.parametrize(
    ("line", "counts"),
    [
        (b'1339518083.107412 [0 127.0.0.1:60866] "GETEX" "authgw:{h}:s:sid" "PX" "1"', True),
        (b'1339518083.107412 [0 127.0.0.1:60866] "TIME"', True),
        (b'1339518083.107412 [0 lua] "PUBLISH" "authgw:ended" "sid"', False),
        (b'1339518083.107412 [0 127.0.0.1:60866] "EVALSHA" "f0" "1" "authgw:replicas"', False),
        (b'1339518083.107412 [0 127.0.0.1:60866] "PING"', False),
        (b"", False),
    ],
)
def test_commands_of_checks_are_counted(line: bytes, counts: bool) -> None:
    assert may_be_of_check(line) is counts


def test_variants_take_turns() -> None:
    order: list[str] = []

    def measured(name: str) -> Sample:
        order.append(name)
        return sample(1.0)

    seen = in_turn({"a": lambda: measured("a"), "b": lambda: measured("b")}, rounds=3)
    assert order == ["a", "b"] * 3
    assert {name: len(rounds) for name, rounds in seen.items()} == {"a": 3, "b": 3}


def test_a_ratio_is_the_median_of_the_rounds_ratios() -> None:
    # A disturbance of both sides in the second round does not affect the ratio.
    above, below = (
        [sample(3.0), sample(30.0), sample(3.3)],
        [sample(1.0), sample(10.0), sample(1.0)],
    )
    assert ratio(above, below) == 3.0
    assert ratio(above, below, lambda one: one.rps) == 1.0


def test_medians_are_of_each_figure() -> None:
    middle = median([sample(1.0, 30.0), sample(3.0, 10.0), sample(2.0, 20.0)])
    assert (middle.cpu["gateway"], middle.rps) == (2.0, 20.0)


@pytest.mark.parametrize(
    ("percent", "value"), [(50, 50.0), (99, 99.0), (99.5, 100.0), (100, 100.0), (0.1, 1.0)]
)
def test_percentiles_are_measured_values(percent: float, value: float) -> None:
    assert percentile([float(number) for number in range(100, 0, -1)], percent) == value


def test_cpu_of_selected_parts() -> None:
    one = Sample({"nginx": 10.0, "gateway": 20.0, "redis": 5.0}, 1, 1, 1)
    assert (one.total, one.of("nginx", "gateway", "app")) == (35.0, 30.0)


def test_a_table_marks_missing_figures_as_not_available() -> None:
    shown = table("Chain", {"tcp": [sample(12.34)], "unix": None}, ("gateway",))
    assert text_of(shown).splitlines()[2:] == [
        "tcp           12.34       12.34    1       1       2",
        "unix  not available",
    ]
    assert markdown_of(shown).splitlines()[2] == "| tcp | 12.34 | 12.34 | 1 | 1 | 2 |"


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        (None, "not available"),
        (True, "yes"),
        (False, "no"),
        (0.0456, "0.046"),
        (3.14159, "3.14"),
        (357.91, "357.9"),
        (76383.9, "76,384"),
        (2048, "2,048"),
        ("a", "a"),
    ],
)
def test_format_cells(cell: str | float | bool | None, text: str) -> None:
    assert cell_text(cell) == text


def test_json_keeps_four_digits() -> None:
    assert rounded({"a": [1.23456, None, True, 7], "b": (0.000123456,)}) == {
        "a": [1.235, None, True, 7],
        "b": [0.0001235],
    }


@pytest.mark.parametrize(
    ("figure", "most", "least", "holds"),
    [
        (3.6, 3.6, None, True),
        (3.7, 3.6, None, False),
        (0.38, None, 0.38, True),
        (0.37, None, 0.38, False),
        (True, None, None, True),
        (False, None, None, False),
        (None, 3.6, None, False),
        (None, None, None, False),
    ],
)
def test_a_bar_holds_only_with_a_measured_figure(
    figure: object, most: float | None, least: float | None, holds: bool
) -> None:
    assert bars.Bar("a", "b", "c", most, least).holds(figure) is holds


def test_every_bar_is_a_row() -> None:
    shown = bars.table({"flow": {"errors": 0}})
    assert len(shown.rows) == len(bars.BARS)
    assert ("errors in flows of 1,000 users", "<= 0", 0, True) in shown.rows


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
        "The push: from the log-out to the last replica",
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


def test_only_the_text_between_the_markers_is_replaced() -> None:
    text = "a\n<!-- plan -->\nold\n<!-- end of plan -->\nb\n"
    assert docs.between(text, "plan", "new") == "a\n<!-- plan -->\nnew\n<!-- end of plan -->\nb\n"
    with pytest.raises(NotMeasured, match="lacks the markers"):
        docs.between("a", "plan", "new")


def test_the_documents_have_their_markers() -> None:
    docs.between(docs.README.read_text(), "results", "")
    docs.between(docs.SCALING.read_text(), "plan", "")


def test_the_page_is_self_contained_and_escaped() -> None:
    outcome = Outcome({}, (Table("T <b>", ("", "us"), (("a&b", 2.0), ("c", None)), 1),), ("note",))
    measured = {"machine": "<m>", "date": "2026-01-01", "quick": True}
    html = page.render(measured, bars.table({}), {"one": outcome})
    assert "T &lt;b&gt;" in html
    assert "a&amp;b" in html
    assert html.count("<rect ") == 1
    assert not any(word in html for word in ("<script", "src=", "href=", "url(", "@import"))


def test_a_family_is_complete_once_there_is_a_child(monkeypatch: pytest.MonkeyPatch) -> None:
    command = ["/bin/sh", "-c", "sleep 0.2; sleep 60 & wait"]
    with subprocess.Popen(command, start_new_session=True) as late:
        try:
            found = processes.family(late.pid)
            assert found[0] == late.pid
            assert len(found) == 2
            monkeypatch.setattr(processes, "_START_TIMEOUT", 0.1)
            with pytest.raises(NotMeasured, match="no children"):
                processes.family(found[1])
        finally:
            os.killpg(late.pid, signal.SIGKILL)


def test_a_missing_program_is_reported_with_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "_PATH", "/nonexistent")
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(NotMeasured, match="wrk is missing: apt-get install wrk"):
        processes.find("wrk")


@pytest.mark.slow
def test_a_benchmark_ends_with_json() -> None:
    command = [sys.executable, "-m", "bench", "rules", "--quick"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    figures = json.loads(done.stdout.splitlines()[-1])
    assert figures["benchmark"] == "rules"
    assert figures["hosts_ratio"] > 0


def test_the_gateway_without_metrics_counts_nothing() -> None:
    tree = without("class A:\n def f(self):\n  self.hits += 1\n  self.n += 1\n", {"hits"})
    assert "hits" not in ast.unparse(tree)
    assert "self.n += 1" in ast.unparse(tree)
    with pytest.raises(NotMeasured, match=r"no longer counts misses: correct bench/uncounted\.py"):
        without("self.hits += 1", {"hits", "misses"})


def test_the_readme_has_the_measured_figures() -> None:
    cpu = {"raw httptools": {"server": 5.83}, "plain aiohttp": {"server": 21.62}}
    cpu |= {name: {"gateway": 16.77, "redis": 0.02} for name in ("hot", "direct with JSON")}
    figures = {
        "authenticate": {"cpu_us": cpu},
        "chain": {"tcp": 0.4089},
        "revoke": {"p99_ms": 4.976},
    }
    measured = {"machine": "a machine", "date": "today", "quick": True, "figures": figures}
    said = speed.words(measured)
    assert "takes 17 us" in said
    assert "keeps 41 %" in said
    assert "5 ms later" in said
    drawn = ElementTree.fromstring(speed.picture(measured))  # noqa: S314  ours
    assert drawn.tag.endswith("svg")
    del figures["chain"]
    with pytest.raises(NotMeasured, match="chain did not measure tcp"):
        speed.words(measured)
