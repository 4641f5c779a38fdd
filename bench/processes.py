"""Start servers on loopback, and read the resources that their processes used."""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from bench.outcome import NotMeasured

_PATIENCE = 30.0  # seconds that a server may take to answer
_PLACES = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin"  # nginx is no user's program
_PACKAGES = {"redis-server": "redis-server", "nginx": "nginx", "wrk": "wrk"}


def find(program: str) -> str:
    """Where this program is installed.

    Raises:
        NotMeasured: nowhere; it says how to install it.
    """
    found = shutil.which(program, path=f"{os.environ.get('PATH', '')}:{_PLACES}")
    if found is None:
        raise NotMeasured(f"{program} is missing: apt-get install {_PACKAGES[program]}")
    return found


def free_port() -> int:
    """Return a free port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def running(
    command: Sequence[str],
    folder: Path,
    ready: Callable[[], bool],
    environ: Mapping[str, str] | None = None,
) -> Iterator[int]:
    """Run a server until the block ends; gives its pid once it is `ready`."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AUTHGW_")}
    with (folder / "log").open("ab") as log:
        process = subprocess.Popen(  # noqa: S603  the benchmarks' own commands
            command, cwd=folder, stdout=log, stderr=log, env={**kept, **(environ or {})}
        )
    try:
        _wait(process, folder, ready)
        yield process.pid
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def listens(port: int) -> bool:
    """Return True if a server accepts connections on this port."""
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


def family(pid: int) -> tuple[int, ...]:
    """A process and its children, of which NGINX has none yet when it begins to listen.

    Raises:
        NotMeasured: there are none after 30 s.
    """
    until = time.monotonic() + _PATIENCE
    while time.monotonic() < until:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        if children:
            return (pid, *(int(child) for child in children))
        time.sleep(0.02)
    raise NotMeasured(f"process {pid} has no children after {_PATIENCE:.0f} s")


def cpu_us(pids: Iterable[int]) -> float:
    """Microseconds of CPU that the threads of these processes have used so far.

    From the first field of schedstat (Linux, Documentation/scheduler/sched-stats), which counts
    nanoseconds; the ticks of /proc/PID/stat would need far longer rounds.
    """
    files = (file for pid in pids for file in Path(f"/proc/{pid}/task").glob("*/schedstat"))
    return sum(int(file.read_text().split()[0]) for file in files) / 1000


def rss_bytes(pid: int) -> int:
    """The memory of a process that is resident, in bytes."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def runs_uvloop(pid: int) -> bool:
    """Return True if this process has loaded uvloop."""
    return "/uvloop/" in Path(f"/proc/{pid}/maps").read_text()


def _wait(process: "subprocess.Popen[bytes]", folder: Path, ready: Callable[[], bool]) -> None:
    until = time.monotonic() + _PATIENCE
    while time.monotonic() < until:
        if process.poll() is not None:
            raise NotMeasured(f"{process.args!r} ended:\n{_log(folder)}")
        if ready():
            return
        time.sleep(0.02)
    raise NotMeasured(f"{process.args!r} was not ready in {_PATIENCE:.0f} s:\n{_log(folder)}")


def _log(folder: Path) -> str:
    return (folder / "log").read_text(errors="replace")[-2000:]
