"""Description and load of the machine that measures."""

import os
import platform
from datetime import UTC, datetime
from pathlib import Path

_MAX_LOAD = 0.5  # of the cores, average of the last minute


def description() -> str:
    """Describe processor, cores, operating system and Python version."""
    model_name = Path("/proc/cpuinfo").read_text().partition("model name")[2].partition("\n")[0]
    model = model_name.strip("\t :") or platform.machine()
    system = f"{platform.system()} {platform.release()}"
    return f"{model}, {_cores()} cores, {system}, Python {platform.python_version()}"


def today() -> str:
    """Return the date, in UTC."""
    return datetime.now(UTC).date().isoformat()


def load_warning() -> str:
    """Return a line that warns about the machine's load, "" if it is low."""
    load = os.getloadavg()[0]
    if load <= _MAX_LOAD * _cores():
        return ""
    return (
        f"This machine is busy (load {load:.1f} on {_cores()} cores): latencies will be worse than "
        "they are, and answers may be 503 because the store's deadline is missed.\n"
    )


def _cores() -> int:
    return len(os.sched_getaffinity(0))
