"""Figures and a plot of speed for README and manual, from the last results."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bench import plot
from bench.outcome import NotMeasured

_ALL = "https://github.com/authgw/authgw/blob/main/bench/README.md"
_TITLE = "CPU of gateway and Redis for a request, in microseconds"


@dataclass(frozen=True, slots=True)
class _Work:
    """A bar of the plot: a variant of a benchmark; those that are not `ours` are compared."""

    label: str
    benchmark: str
    variant: str
    ours: bool = True


_WORKS = (
    _Work("the least in Python", "authenticate", "raw httptools", ours=False),
    _Work("a plain aiohttp handler", "authenticate", "plain aiohttp", ours=False),
    _Work("check, repeated", "authenticate", "hot"),
    _Work("check, asked directly", "authenticate", "direct with JSON"),
    _Work("check, 10,000 sessions", "random", "random"),
    _Work("check, read again", "authenticate", "warm"),
    _Work("check, never seen", "authenticate", "cold"),
    _Work("denial, no credential", "denials", "none"),
    _Work("denial, forged token", "denials", "forged"),
    _Work("login", "issue", "login"),
    _Work("refresh", "issue", "refresh"),
    _Work("logout", "issue", "logout"),
)


def sentence(measured: Mapping[str, Any]) -> str:
    """Return the README's section: a sentence, the plot, and a link to all figures.

    Raises:
        NotMeasured: a figure is missing.
    """
    hot = plot.text_of(_cpu(measured, next(work for work in _WORKS if work.variant == "hot")))
    share = plot.text_of(100 * _figure(measured, "chain", "tcp"))
    return "\n".join(
        [
            f"A repeated check takes {hot} us of CPU in gateway and Redis together, and by the CPU "
            "of all parts a protected",
            f"app keeps {share} % of the throughput that it has unprotected.",
            "",
            "![CPU for a request](docs/speed.svg)",
            "",
            "[All figures](bench/README.md), and how they are made.",
        ]
    )


def words(measured: Mapping[str, Any]) -> str:
    """Return the figures as sentences of the manual.

    Raises:
        NotMeasured: a figure is missing.
    """
    cpu = {work.variant: plot.text_of(_cpu(measured, work)) for work in _WORKS}
    browsing = plot.text_of(_figure(measured, "browse", "cpu_us"))
    share = plot.text_of(100 * _figure(measured, "chain", "tcp"))
    ended = plot.text_of(_figure(measured, "revoke", "p99_ms"))
    idle, loaded = (
        plot.text_of(_figure(measured, "idle", f"{at}_mb")) for at in ("idle", "loaded")
    )
    quick = ", quick" if measured["quick"] else ""
    return "\n".join(
        [
            f"- A repeated check takes {cpu['hot']} us of CPU in gateway and Redis together,",
            f"  a check of 10,000 sessions at random {cpu['random']} us,",
            f"  a check while users browse {browsing} us.",
            f"- A login takes {cpu['login']} us, a refresh {cpu['refresh']} us,",
            f"  a denial without a credential {cpu['none']} us.",
            f"- By the CPU of NGINX, gateway and app together, a protected app keeps {share} % of",
            "  the throughput that it has unprotected.",
            f"- A session that was ended is refused by another replica {ended} ms later (p99).",
            f"- A replica takes {idle} MB of memory at the start, and {loaded} MB after",
            "  many logins and checks.",
            "",
            f"Measured by `python -m bench all`: {measured['machine']}, {measured['date']}{quick}. "
            f"[All figures]({_ALL}), and how they are made.",
        ]
    )


def picture(measured: Mapping[str, Any]) -> str:
    """Return the plot as SVG.

    Raises:
        NotMeasured: a figure is missing.
    """
    ours = frozenset(work.label for work in _WORKS if work.ours)
    return plot.svg(_TITLE, {work.label: _cpu(measured, work) for work in _WORKS}, ours)


def _cpu(measured: Mapping[str, Any], work: _Work) -> float:
    parts = _figure(measured, work.benchmark, "cpu_us")
    return float(sum(parts[work.variant].values()))


def _figure(measured: Mapping[str, Any], benchmark: str, key: str) -> Any:
    figure = measured["figures"].get(benchmark, {}).get(key)
    if figure is None:
        raise NotMeasured(f"{benchmark} did not measure {key}: the README keeps what it says")
    return figure
