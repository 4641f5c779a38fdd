"""Start servers on loopback, and measure the CPU time and memory of their processes."""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from bench.outcome import NotMeasured

_START_TIMEOUT = 30.0  # seconds
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin"  # nginx is not on a user's PATH
_PACKAGES = {
    "redis-server": "redis-server",
    "nginx": "nginx",
    "wrk": "wrk",
    "unshare": "util-linux",
}


def find(program: str) -> str:
    """Return the path of an installed program.

    Raises:
        NotMeasured: the program is missing; the message has the command that installs it.
    """
    path = shutil.which(program, path=f"{os.environ.get('PATH', '')}:{_PATH}")
    if path is None:
        raise NotMeasured(f"{program} is missing: apt-get install {_PACKAGES[program]}")
    return path


def free_port() -> int:
    """Return a free port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def running(
    command: Sequence[str],
    directory: Path,
    ready: Callable[[], bool],
    environ: Mapping[str, str] | None = None,
) -> Iterator[int]:
    """Run a server until the block ends; yield its pid once it is `ready`."""
    inherited = {
        name: value for name, value in os.environ.items() if not name.startswith("AUTHGW_")
    }
    with (directory / "log").open("ab") as log:
        process = subprocess.Popen(  # noqa: S603  the benchmarks' own commands
            command, cwd=directory, stdout=log, stderr=log, env={**inherited, **(environ or {})}
        )
    try:
        _wait(process, directory, ready)
        yield process.pid
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def listens(port: int) -> bool:
    """Return True if this port accepts connections."""
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


def family(pid: int) -> tuple[int, ...]:
    """Return the pids of a process and its children; NGINX forks them after it listens.

    Raises:
        NotMeasured: the process has no children after 30 s.
    """
    until = time.monotonic() + _START_TIMEOUT
    while time.monotonic() < until:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        if children:
            return (pid, *(int(child) for child in children))
        time.sleep(0.02)
    raise NotMeasured(f"process {pid} has no children after {_START_TIMEOUT:.0f} s")


def cpu_us(pids: Iterable[int]) -> float:
    """Return the microseconds of CPU that all threads of these processes have used.

    From the first field of schedstat (Linux, Documentation/scheduler/sched-stats), in nanoseconds;
    the resolution of the ticks in /proc/PID/stat would require far longer rounds.
    """
    files = (file for pid in pids for file in Path(f"/proc/{pid}/task").glob("*/schedstat"))
    return sum(map(_nanoseconds, files)) / 1000


def _nanoseconds(schedstat: Path) -> int:
    try:
        return int(schedstat.read_text().split()[0])
    except (FileNotFoundError, ProcessLookupError):
        return 0  # a thread that has just ended


def rss_bytes(pid: int) -> int:
    """Return the resident memory of a process, in bytes."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def private_bytes(pid: int) -> int:
    """Return the resident memory that a process shares with no other, in bytes.

    Private_Clean and Private_Dirty, which /proc/PID/smaps_rollup states in KiB (proc(5)).
    """
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return 1024 * sum(int(line.split()[1]) for line in lines if line.startswith("Private_"))


def runs_uvloop(pid: int) -> bool:
    """Return True if this process has loaded uvloop."""
    return "/uvloop/" in Path(f"/proc/{pid}/maps").read_text()


def _wait(process: "subprocess.Popen[bytes]", directory: Path, ready: Callable[[], bool]) -> None:
    until = time.monotonic() + _START_TIMEOUT
    while time.monotonic() < until:
        if process.poll() is not None:
            raise NotMeasured(f"{process.args!r} ended:\n{_log(directory)}")
        if ready():
            return
        time.sleep(0.02)
    raise NotMeasured(
        f"{process.args!r} was not ready in {_START_TIMEOUT:.0f} s:\n{_log(directory)}"
    )


def _log(directory: Path) -> str:
    return (directory / "log").read_text(errors="replace")[-2000:]
