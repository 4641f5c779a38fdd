"""The README's section on speed: three figures and a plot, from the last results."""

from collections.abc import Mapping
from typing import Any

from bench import plot
from bench.outcome import NotMeasured

_TITLE = "CPU for one check, in microseconds"
_NAMES = {
    "raw httptools": "the least in Python",
    "hot": "authgw, behind a proxy",
    "direct with JSON": "authgw, asked directly",
    "plain aiohttp": "a plain aiohttp handler",
}
_OURS = frozenset({_NAMES["hot"], _NAMES["direct with JSON"]})


def words(measured: Mapping[str, Any]) -> str:
    """Return the figures as sentences in Markdown.

    Raises:
        NotMeasured: a figure is missing.
    """
    check = plot.text_of(_checks(measured)["hot"])
    share = plot.text_of(100 * _figure(measured, "chain", "tcp"))
    ended = plot.text_of(_figure(measured, "revoke", "p99_ms"))
    quick = ", quick" if measured["quick"] else ""
    return "\n".join(
        [
            f"- A check takes {check} us of CPU in gateway and Redis together.",
            f"- By the CPU of NGINX, gateway and app together, a protected app keeps {share} % of",
            "  the throughput that it has unprotected.",
            f"- A session that was ended is refused by another replica {ended} ms later (p99).",
            "",
            "![CPU for one check](docs/speed.svg)",
            "",
            f"Measured by `python -m bench all`: {measured['machine']}, {measured['date']}{quick}. "
            "All figures, and how they are made: [bench/README.md](bench/README.md).",
        ]
    )


def picture(measured: Mapping[str, Any]) -> str:
    """Return the plot as SVG.

    Raises:
        NotMeasured: a figure is missing.
    """
    checks = _checks(measured)
    return plot.svg(_TITLE, {label: checks[name] for name, label in _NAMES.items()}, _OURS)


def _checks(measured: Mapping[str, Any]) -> dict[str, float]:
    parts = _figure(measured, "authenticate", "cpu_us")
    return {name: sum(parts[name].values()) for name in _NAMES}


def _figure(measured: Mapping[str, Any], benchmark: str, key: str) -> Any:
    figure = measured["figures"].get(benchmark, {}).get(key)
    if figure is None:
        raise NotMeasured(f"{benchmark} did not measure {key}: the README keeps what it says")
    return figure
