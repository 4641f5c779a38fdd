"""Bounds that the figures must hold, and the table of results."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bench.outcome import Cell, Table


@dataclass(frozen=True, slots=True)
class Bar:
    """A figure and its bound: at most, or at least; without a bound the figure must be True."""

    benchmark: str
    key: str
    meaning: str
    most: float | None = None
    least: float | None = None

    def holds(self, figure: Any) -> bool:
        """Return True if the figure is within the bound; False if it is not available."""
        if figure is None:
            return False
        if self.most is None and self.least is None:
            return figure is True
        low = self.least is None or figure >= self.least
        return low and (self.most is None or figure <= self.most)

    @property
    def bound(self) -> str:
        """The bound as text."""
        if self.most is not None:
            return f"<= {self.most:g}"
        return "yes" if self.least is None else f">= {self.least:g}"


BARS = (
    Bar("authenticate", "x_limit", "hot check / httptools limit", most=3.6),
    Bar("authenticate", "x_plain", "hot check / plain aiohttp", most=0.85),
    Bar("authenticate", "direct_x_limit", "direct check / httptools limit", most=4.2),
    Bar("authenticate", "cold_x_hot", "cold check / hot check", most=8),
    Bar(
        "authenticate",
        "store_commands_per_session_second",
        "store commands per hot session and second",
        most=2,
    ),
    Bar("metrics", "cost", "hot check / hot check without metrics", most=1.03),
    Bar("chain", "tcp", "unprotected / protected over TCP", least=0.38),
    Bar("chain", "unix", "unprotected / protected over a unix socket", least=0.42),
    Bar("chain", "cached", "unprotected / protected with cache", least=0.62),
    Bar("flow", "errors", "errors in flows of 1,000 users", most=0),
    Bar("revoke", "p99_ms", "from log-out to refusal elsewhere, p99 ms", most=10),
    Bar("revoke", "bound_held", "staleness bound held with the push cut"),
    Bar("memory", "bytes_per_session", "bytes per mirrored session", most=2048),
    Bar("memory", "flat_under_non_reader", "memory flat under a client that never reads"),
)


def table(figures: Mapping[str, Mapping[str, Any]]) -> Table:
    """Return a row for each bar: the bound, the measured figure and the result."""
    return Table(
        "Bars", ("", "bar", "measured", "holds"), tuple(_row(bar, figures) for bar in BARS)
    )


def _row(bar: Bar, figures: Mapping[str, Mapping[str, Any]]) -> tuple[Cell, ...]:
    measured = figures.get(bar.benchmark, {}).get(bar.key)
    return (bar.meaning, bar.bound, measured, bar.holds(measured))
