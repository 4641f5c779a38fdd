"""Comparison of variants in turn: CPU, rate and latency, medians and ratios of rounds."""

import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from bench.outcome import Cell, Table
from bench.processes import cpu_us
from bench.wrk import WrkResult

ROUNDS = 5


@dataclass(frozen=True, slots=True)
class Sample:
    """A round: CPU microseconds per request by part, requests per second, milliseconds."""

    cpu: Mapping[str, float]
    rps: float
    p50: float
    p99: float

    @property
    def total(self) -> float:
        """Total CPU microseconds per request."""
        return sum(self.cpu.values())

    def of(self, *parts: str) -> float:
        """Return the CPU microseconds per request of these parts; absent parts count as 0."""
        return sum(self.cpu.get(part, 0.0) for part in parts)


Measure = Callable[[], Sample]


def sample(parts: Mapping[str, Sequence[int]], work: Callable[[], WrkResult]) -> Sample:
    """Do the work and measure the CPU time of each part's processes."""
    before = {part: cpu_us(pids) for part, pids in parts.items()}
    samples = work()
    spent = {part: cpu_us(pids) - before[part] for part, pids in parts.items()}
    cpu = {part: used / samples.requests for part, used in spent.items()}
    return Sample(cpu, samples.rps, samples.p50, samples.p99)


def in_turn(variants: Mapping[str, Measure], rounds: int = ROUNDS) -> dict[str, list[Sample]]:
    """Measure A B C, A B C, ...: a disturbance of the machine affects all variants equally."""
    samples: dict[str, list[Sample]] = {name: [] for name in variants}
    for _ in range(rounds):
        for name, measure in variants.items():
            samples[name].append(measure())
    return samples


def ratio(
    above: Sequence[Sample],
    below: Sequence[Sample],
    cost: Callable[[Sample], float] = lambda entry: entry.total,
) -> float:
    """Return the median of the ratios within each round, whose sides were measured in turn."""
    return statistics.median(cost(a) / cost(b) for a, b in zip(above, below, strict=True))


def median(rounds: Sequence[Sample]) -> Sample:
    """Return the median of each figure."""
    return Sample(
        {part: statistics.median(entry.cpu[part] for entry in rounds) for part in rounds[0].cpu},
        statistics.median(entry.rps for entry in rounds),
        statistics.median(entry.p50 for entry in rounds),
        statistics.median(entry.p99 for entry in rounds),
    )


def percentile(values: Sequence[float], percent: float) -> float:
    """Return the percentile of the values by the nearest-rank method."""
    ranked = sorted(values)
    return ranked[max(0, math.ceil(len(ranked) * percent / 100) - 1)]


def table(
    title: str, samples: Mapping[str, Sequence[Sample] | None], parts: Sequence[str]
) -> Table:
    """Return a table of the variants' medians by part; None is shown as not available."""
    columns = ("", "CPU us", *(f"{part} us" for part in parts), "rps", "p50 ms", "p99 ms")
    rows = tuple(_row(name, rounds, parts) for name, rounds in samples.items())
    return Table(title, columns, rows, plotted=1)


def _row(name: str, rounds: Sequence[Sample] | None, parts: Sequence[str]) -> tuple[Cell, ...]:
    if rounds is None:
        return (name, None, *[""] * (len(parts) + 3))
    result = median(rounds)
    cpu: list[Cell] = [result.cpu.get(part, "") for part in parts]
    return (name, result.total, *cpu, result.rps, result.p50, result.p99)
