"""Comparing variants in turn: CPU, rate and latency of each, medians and ratios of rounds."""

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
        """CPU microseconds per request of all parts together."""
        return sum(self.cpu.values())

    def of(self, *parts: str) -> float:
        """CPU microseconds per request of these parts, those that took part."""
        return sum(self.cpu.get(part, 0.0) for part in parts)


Measure = Callable[[], Sample]


def sample(parts: Mapping[str, Sequence[int]], work: Callable[[], WrkResult]) -> Sample:
    """Do the work and count what the processes of each part spent on it."""
    before = {part: cpu_us(pids) for part, pids in parts.items()}
    seen = work()
    spent = {part: cpu_us(pids) - before[part] for part, pids in parts.items()}
    cpu = {part: used / seen.requests for part, used in spent.items()}
    return Sample(cpu, seen.rps, seen.p50, seen.p99)


def in_turn(variants: Mapping[str, Measure], rounds: int = ROUNDS) -> dict[str, list[Sample]]:
    """Measure A B C, A B C, ...: what disturbs the machine disturbs all alike."""
    seen: dict[str, list[Sample]] = {name: [] for name in variants}
    for _ in range(rounds):
        for name, measure in variants.items():
            seen[name].append(measure())
    return seen


def ratio(
    above: Sequence[Sample],
    below: Sequence[Sample],
    cost: Callable[[Sample], float] = lambda one: one.total,
) -> float:
    """The median of the rounds' own ratios: both sides of each were measured side by side."""
    return statistics.median(cost(a) / cost(b) for a, b in zip(above, below, strict=True))


def median(rounds: Sequence[Sample]) -> Sample:
    """The median of each figure."""
    return Sample(
        {part: statistics.median(one.cpu[part] for one in rounds) for part in rounds[0].cpu},
        statistics.median(one.rps for one in rounds),
        statistics.median(one.p50 for one in rounds),
        statistics.median(one.p99 for one in rounds),
    )


def percentile(values: Sequence[float], percent: float) -> float:
    """The smallest value that this percentage of all does not exceed (nearest rank)."""
    ranked = sorted(values)
    return ranked[max(0, math.ceil(len(ranked) * percent / 100) - 1)]


def table(title: str, seen: Mapping[str, Sequence[Sample] | None], parts: Sequence[str]) -> Table:
    """Medians of variants by part; a variant that is None is not available."""
    columns = ("", "CPU us", *(f"{part} us" for part in parts), "rps", "p50 ms", "p99 ms")
    rows = tuple(_row(name, rounds, parts) for name, rounds in seen.items())
    return Table(title, columns, rows, plotted=1)


def _row(name: str, rounds: Sequence[Sample] | None, parts: Sequence[str]) -> tuple[Cell, ...]:
    if rounds is None:
        return (name, None, *[""] * (len(parts) + 3))
    one = median(rounds)
    cpu: list[Cell] = [one.cpu.get(part, "") for part in parts]
    return (name, one.total, *cpu, one.rps, one.p50, one.p99)
