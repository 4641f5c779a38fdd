"""Processes that the benchmarks start: programs, families, and a whole benchmark."""

import ast
import json
import os
import signal
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from bench import processes
from bench.outcome import NotMeasured
from bench.uncounted import COUNTED, without

ROOT = Path(__file__).parents[2]


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


@pytest.mark.parametrize(("module", "names"), COUNTED.items())
def test_the_hot_path_counts_under_these_names(module: str, names: set[str]) -> None:
    spec = find_spec(module)
    assert spec is not None
    assert spec.origin is not None
    without(Path(spec.origin).read_text(), names)
