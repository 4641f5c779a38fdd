"""Load a server with wrk, and read its output."""

import re
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.outcome import NotMeasured
from bench.processes import find

CONNECTIONS = 32
_EACH = Path(__file__).with_name("each.lua")
_SOCKET = re.compile(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)")


@dataclass(frozen=True, slots=True)
class WrkResult:
    """The result of a run; latencies in milliseconds."""

    requests: int
    errors: int
    rps: float
    p50: float
    p99: float


def load(
    port: int,
    path: str,
    headers: Mapping[str, str],
    seconds: int,
    connections: int = CONNECTIONS,
    *,
    denied: bool = False,
) -> WrkResult:
    """Ask the same over kept connections; `denied`: every request is to be refused.

    Raises:
        NotMeasured: a request failed, or was answered otherwise.
    """
    said = [word for name, value in headers.items() for word in ("-H", f"{name}: {value}")]
    return _run([*said, f"http://127.0.0.1:{port}{path}"], seconds, connections, denied)


def load_each(
    port: int, requests: Path, seconds: int, connections: int = CONNECTIONS, once: int = 0
) -> WrkResult:
    """Send the requests of a file (as `write_requests` made it) in order, over and over.

    `once` is how many there are if none may be sent twice.

    Raises:
        NotMeasured: a request was refused or failed, or there were too few of them.
    """
    address = f"http://127.0.0.1:{port}/"
    seen = _run(["-s", str(_EACH), address, "--", str(requests)], seconds, connections)
    if once and seen.requests > once - connections:
        raise NotMeasured(f"{once} requests were too few for {seconds} s: nothing measured")
    return seen


def write_requests(file: Path, requests: Sequence[bytes]) -> None:
    """Write whole HTTP requests for `load_each`."""
    file.write_bytes(b"\0".join(requests) + b"\0")


def request(method: str, path: str, headers: Mapping[str, str], body: bytes = b"") -> bytes:
    """Return an HTTP/1.1 request as bytes."""
    said = {"Host": "127.0.0.1", **headers}
    if body:
        said |= {"Content-Type": "application/json", "Content-Length": str(len(body))}
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in said.items())]
    return "\r\n".join([*lines, "", ""]).encode() + body


def read(text: str, *, denied: bool = False) -> WrkResult:
    """Read the output of wrk with --latency; `denied`: a response of 2xx or 3xx is an error.

    Raises:
        NotMeasured: it is not that output.
    """
    counted = re.search(r"(\d+) requests in", text)
    rps = re.search(r"Requests/sec:\s+([\d.]+)", text)
    if counted is None or rps is None:
        raise NotMeasured(f"wrk printed something else:\n{text}")
    requests, refused = int(counted[1]), re.search(r"Non-2xx or 3xx responses: (\d+)", text)
    broken = _SOCKET.search(text)
    errors = int(refused[1]) if refused else 0
    errors = requests - errors if denied else errors
    errors += sum(map(int, broken.groups())) if broken else 0
    p50, p99 = (_milliseconds(text, percent) for percent in ("50%", "99%"))
    return WrkResult(requests, errors, float(rps[1]), p50, p99)


def _run(words: Sequence[str], seconds: int, connections: int, denied: bool = False) -> WrkResult:
    command = [find("wrk"), "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", *words]
    done = subprocess.run(  # noqa: S603  wrk with our own arguments
        command, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise NotMeasured(f"wrk failed:\n{done.stdout}{done.stderr}")
    seen = read(done.stdout, denied=denied)
    if seen.errors or not seen.requests:
        raise NotMeasured(
            f"{seen.errors} of {seen.requests} requests failed, or were answered otherwise than "
            "they should be: nothing measured"
        )
    return seen


def _milliseconds(text: str, percent: str) -> float:
    match = re.search(rf"^\s+{percent}\s+([\d.]+)(us|ms|s|m)$", text, re.MULTILINE)
    units = {"us": 0.001, "ms": 1.0, "s": 1000.0, "m": 60_000.0}
    return float(match[1]) * units[match[2]] if match else float("nan")
