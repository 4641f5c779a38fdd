"""Mixed load under random faults: every response must be a permitted one.

`SOAK_SECONDS` sets the duration: some seconds by default, half an hour in `make soak`.
"""

import asyncio
import json
import os
import time
from contextlib import suppress
from pathlib import Path
from statistics import linear_regression

import pytest

from tests.faults.disturbing import Disturber
from tests.faults.filling import fill_caches
from tests.faults.model import SoakModel
from tests.faults.people import SoakUser
from tests.faults.stack import STALENESS, Stack, running_stack
from tests.support.counts import count

SECONDS = int(os.environ.get("SOAK_SECONDS", count(20, 1800)))
PEOPLE = 40
PAUSE = 0.2  # seconds between two requests of a client, on average
_SAMPLE = 5.0
_WARM_UP = 600.0  # seconds until the memory of all parts has its usual size
_MAX_GROWTH = 10.0  # MiB per hour after that
_FILLING = 300  # seconds at most


@pytest.mark.timeout(SECONDS + _FILLING + 120)
async def test_mixed_load_under_random_faults(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with running_stack(tmp_path) as stack:
        if SECONDS > _WARM_UP:
            await fill_caches(stack)
        model = SoakModel(STALENESS)
        disturber = Disturber(stack, model)
        memory = await run(stack, model, disturber)
        growth = growth_of([sample for sample in memory if sample[0] >= _WARM_UP])
        summary = {
            "seconds": SECONDS,
            "answers": dict(sorted(model.counts.items())),
            "wrong": len(model.wrong),
            "faults": dict(sorted(disturber.faults.items())),
            "rss_mib": [round(size, 1) for _, size in memory[:: max(1, len(memory) // 10)]],
            "rss_mib_per_hour": growth and round(growth, 1),
        }
        with capsys.disabled():
            print(f"\nsoak {json.dumps(summary)}")
        assert not model.wrong, model.wrong[:20]
        assert growth is None or growth < _MAX_GROWTH
        assert "Traceback" not in stack.gateways[0].log
        assert "internal_error" not in stack.gateways[0].log


async def run(stack: Stack, model: SoakModel, disturber: Disturber) -> list[tuple[float, float]]:
    """Run clients and faults; return the memory of the first replica over time."""
    people = [SoakUser(1000 + number, stack, model) for number in range(PEOPLE)]
    tasks = [asyncio.create_task(person.live(PAUSE)) for person in people]
    breaking = asyncio.create_task(disturber.run())
    began, memory = time.monotonic(), []
    while (elapsed := time.monotonic() - began) < SECONDS:
        memory.append((elapsed, rss(stack)))
        done, _ = await asyncio.wait(
            [*tasks, breaking],
            timeout=min(_SAMPLE, SECONDS - elapsed),
            return_when=asyncio.FIRST_COMPLETED,
        )
        for task in done:
            task.result()
    for task in (breaking, *tasks):
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
    return memory


def growth_of(samples: list[tuple[float, float]]) -> float | None:
    """Return the slope through (seconds, MiB) in MiB per hour; None if the run is too short."""
    if len(samples) < _WARM_UP / _SAMPLE:
        return None
    times, sizes = zip(*samples, strict=True)
    return linear_regression(times, sizes).slope * 3600


def rss(stack: Stack) -> float:
    """Return the resident memory of the first replica, in MiB (proc_pid_statm(5))."""
    process = stack.gateways[0].process
    assert process is not None
    pages = int(Path(f"/proc/{process.pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20
