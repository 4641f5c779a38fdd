"""Bounds that the figures must hold, and the table of results."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bench.outcome import Table


@dataclass(frozen=True, slots=True)
class Bar:
    """A figure and its bound: at most, or at least; without a bound the figure must be True.

    An `optional` bar is not shown where its figure is not available.
    """

    benchmark: str
    key: str
    meaning: str
    most: float | None = None
    least: float | None = None
    optional: bool = False

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


# Compared with the Go service, where its binary is given.
_BESIDE_GO = (
    Bar("authenticate", "hot_x_go", "hot check / Go service", most=0.15, optional=True),
    Bar("random", "x_go", "check at random / Go service", most=0.55, optional=True),
    Bar("browse", "x_go", "check while browsing / Go service", most=0.35, optional=True),
    Bar("authenticate", "warm_x_go", "warm check / Go service", most=1.0, optional=True),
    Bar("authenticate", "cold_x_go", "cold check / Go service", most=1.4, optional=True),
    Bar("denials", "none_x_go", "denial without a credential / Go service", most=2, optional=True),
    Bar("issue", "login_x_go", "login / Go service", most=1.7, optional=True),
    Bar("issue", "refresh_x_go", "refresh / Go service", most=1.0, optional=True),
)
# Units of the limit: the CPU of a server of minimal cost in Python for a check (bench/hot.py).
BARS = (
    Bar("authenticate", "hot_x_limit", "hot check / httptools limit", most=1.6),
    Bar("authenticate", "provider_x_local", "session of a provider / local session", most=1.1),
    Bar("random", "x_limit", "check of 10,000 sessions at random / limit", most=5),
    Bar("authenticate", "warm_x_limit", "warm check / limit", most=13),
    Bar("authenticate", "cold_x_limit", "cold check / limit", most=15),
    Bar("denials", "none_x_limit", "denial without a credential / limit", most=4),
    Bar("denials", "garbage_x_limit", "denial of garbage / limit", most=4.5),
    Bar("denials", "forged_x_limit", "denial of a forged token / limit", most=12),
    Bar("issue", "login_x_limit", "login / limit", most=17),
    Bar("issue", "refresh_x_limit", "refresh / limit", most=16),
    Bar("issue", "logout_x_limit", "logout / limit", most=16),
    Bar("authenticate", "direct_x_limit", "direct check / limit", most=4.2),
    Bar("authenticate", "x_plain", "hot check / plain aiohttp", most=0.85),
    Bar(
        "authenticate",
        "store_commands_per_session_second",
        "store commands per hot session and second",
        most=2,
    ),
    Bar("metrics", "cost", "hot check / hot check without metrics", most=1.03),
    Bar("chain", "tcp", "unprotected / protected over TCP", least=0.47),
    Bar("chain", "unix", "unprotected / protected over a unix socket", least=0.57),
    Bar("chain", "cached", "unprotected / protected with cache", least=0.72),
    Bar("idle", "idle_mb", "resident memory of an idle replica, MB", most=65),
    Bar("idle", "loaded_mb", "resident memory after logins and checks, MB", most=90),
    Bar("scale", "redis_bytes_per_session", "bytes per session in Redis", most=600),
    Bar("memory", "bytes_per_session", "bytes per mirrored session", most=2048),
    Bar("flow", "errors", "errors in flows of 1,000 users", most=0),
    Bar("revoke", "p99_ms", "from logout to refusal elsewhere, p99 ms", most=10),
    Bar("revoke", "bound_held", "staleness bound held with the push cut"),
    Bar("memory", "flat_under_non_reader", "memory flat under a client that never reads"),
    *_BESIDE_GO,
)


def table(figures: Mapping[str, Mapping[str, Any]]) -> Table:
    """Return a row for each bar: the bound, the measured figure and the result."""
    rows = tuple(
        (bar.meaning, bar.bound, measured, bar.holds(measured))
        for bar in BARS
        if (measured := figures.get(bar.benchmark, {}).get(bar.key)) is not None or not bar.optional
    )
    return Table("Bars", ("", "bar", "measured", "holds"), rows)
