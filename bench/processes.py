"""Starting servers on loopback, loading them with wrk, and reading what they spent."""

import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_TICK = 1_000_000 / os.sysconf("SC_CLK_TCK")  # microseconds


@dataclass(frozen=True, slots=True)
class Load:
    """What one run of wrk saw; latencies in milliseconds."""

    requests: int
    errors: int
    rps: float
    p50: float
    p99: float


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def running(
    command: Sequence[str], port: int, folder: Path, environ: Mapping[str, str] | None = None
) -> Iterator[int]:
    """Run a server until the block ends; gives its pid once it listens."""
    with (folder / "log").open("ab") as log:
        process = subprocess.Popen(  # noqa: S603  the benchmarks' own commands
            command, cwd=folder, stdout=log, stderr=log, env={**os.environ, **(environ or {})}
        )
    try:
        _wait(port, process, folder)
        yield process.pid
    finally:
        process.terminate()
        process.wait(30)


def cpu_us(pid: int) -> float:
    """Microseconds of CPU that this process has used, in user and kernel mode."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * _TICK


def load(port: int, path: str, headers: Mapping[str, str], duration: int) -> Load:
    """Ask with wrk over 32 kept connections for `duration` seconds."""
    program = shutil.which("wrk")
    if program is None:
        sys.exit("wrk is missing: apt-get install wrk")
    said = [word for name, value in headers.items() for word in ("-H", f"{name}: {value}")]
    command = [program, "-t1", "-c32", f"-d{duration}s", "--latency", *said]
    done = subprocess.run(  # noqa: S603  wrk with our own arguments
        [*command, f"http://127.0.0.1:{port}{path}"], capture_output=True, text=True, check=True
    )
    return _read(done.stdout)


def _read(text: str) -> Load:
    counted = re.search(r"(\d+) requests in", text)
    rps = re.search(r"Requests/sec:\s+([\d.]+)", text)
    refused = re.search(r"Non-2xx or 3xx responses: (\d+)", text)
    if counted is None or rps is None:
        sys.exit(f"wrk printed something else:\n{text}")
    p50, p99 = (_milliseconds(text, percent) for percent in ("50%", "99%"))
    return Load(int(counted[1]), int(refused[1]) if refused else 0, float(rps[1]), p50, p99)


def _milliseconds(text: str, percent: str) -> float:
    match = re.search(rf"^\s+{percent}\s+([\d.]+)(us|ms|s)$", text, re.MULTILINE)
    units = {"us": 0.001, "ms": 1.0, "s": 1000.0}
    return float(match[1]) * units[match[2]] if match else float("nan")


def _wait(port: int, process: "subprocess.Popen[bytes]", folder: Path) -> None:
    for _ in range(300):
        if process.poll() is not None:
            sys.exit(f"{process.args!r} ended:\n{(folder / 'log').read_text()}")
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.05)
    sys.exit(f"{process.args!r} does not listen on {port}")
