"""The mirror keeps its contract in each of 100,000 random schedules."""

import os
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context

import pytest

from tests.support.mirror_model import run_schedules

SEEDS, SCHEDULES = 40, 2500  # together 100,000


@pytest.mark.slow
@pytest.mark.timeout(600)  # half a minute of two processors, which may be busy
def test_no_schedule_breaks_the_contract(monkeypatch: pytest.MonkeyPatch) -> None:
    # Coverage measurement makes this four times as slow; test_mirror.py covers the same code.
    for name in [name for name in os.environ if name.startswith("COVERAGE_")]:
        monkeypatch.delenv(name)
    with ProcessPoolExecutor(mp_context=get_context("spawn")) as pool:
        for answers in pool.map(partial(run_schedules, count=SCHEDULES), range(SEEDS)):
            assert answers > 4 * SCHEDULES


def test_there_are_enough_schedules() -> None:
    assert SEEDS * SCHEDULES >= 100_000
