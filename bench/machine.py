"""The machine of a run, and its other load."""

import os
import platform
from datetime import UTC, datetime
from pathlib import Path

_QUIET = 0.5  # of the cores, in the average of the last minute


def description() -> str:
    """The processor, its cores, the system and the Python that runs this."""
    named = Path("/proc/cpuinfo").read_text().partition("model name")[2].partition("\n")[0]
    model = named.strip("\t :") or platform.machine()
    system = f"{platform.system()} {platform.release()}"
    return f"{model}, {_cores()} cores, {system}, Python {platform.python_version()}"


def today() -> str:
    """The date, in UTC."""
    return datetime.now(UTC).date().isoformat()


def why_doubtful() -> str:
    """Return a line with a reason not to measure now, or an empty text."""
    load = os.getloadavg()[0]
    if load <= _QUIET * _cores():
        return ""
    return (
        f"This machine is busy (load {load:.1f} on {_cores()} cores): latencies will be worse than "
        "they are, and answers may be 503 because the store's deadline is missed.\n"
    )


def _cores() -> int:
    return len(os.sched_getaffinity(0))
