"""Load generation with wrk, and a parser of its output."""

import re
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.outcome import NotMeasured
from bench.processes import find

CONNECTIONS = 32
_EACH = Path(__file__).with_name("each.lua")
_PICK = Path(__file__).with_name("pick.lua")
_SOCKET = re.compile(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)")


@dataclass(frozen=True, slots=True)
class WrkResult:
    """Results of a run; latencies in milliseconds."""

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
    """Repeat a request over persistent connections; `denied` expects refusals.

    Raises:
        NotMeasured: a request failed or had an unexpected response.
    """
    options = [word for name, value in headers.items() for word in ("-H", f"{name}: {value}")]
    return _run([*options, f"http://127.0.0.1:{port}{path}"], seconds, connections, denied)


def load_each(
    port: int,
    requests: Path,
    seconds: int,
    connections: int = CONNECTIONS,
    once: int = 0,
    *,
    denied: bool = False,
) -> WrkResult:
    """Send the requests of a file of `write_requests` in order, repeatedly.

    `once` is the number of requests in the file if no request may be repeated; `denied` expects
    refusals.

    Raises:
        NotMeasured: a request was refused or failed, or there were too few requests.
    """
    address = f"http://127.0.0.1:{port}/"
    script = ["-s", str(_EACH), address, "--", str(requests)]
    result = _run(script, seconds, connections, denied)
    if once and result.requests > once - connections:
        raise NotMeasured(f"{once} requests were too few for {seconds} s: nothing measured")
    return result


def load_random(port: int, requests: Path, seconds: int, seed: int) -> WrkResult:
    """Send requests of a file of `write_requests` at random, each with the same probability.

    Raises:
        NotMeasured: a request was refused or failed.
    """
    script = ["-s", str(_PICK), f"http://127.0.0.1:{port}/", "--", str(requests), str(seed)]
    return _run(script, seconds, CONNECTIONS)


def write_requests(file: Path, requests: Sequence[bytes]) -> None:
    """Write whole HTTP requests for `load_each` and `load_random`."""
    file.write_bytes(b"\0".join(requests) + b"\0")


def request(method: str, path: str, headers: Mapping[str, str], body: bytes = b"") -> bytes:
    """Return an HTTP/1.1 request as bytes."""
    all_headers = {"Host": "127.0.0.1", **headers}
    if body:
        all_headers |= {"Content-Type": "application/json", "Content-Length": str(len(body))}
    lines = [f"{method} {path} HTTP/1.1"]
    lines += [f"{name}: {value}" for name, value in all_headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


def read(text: str, *, denied: bool = False) -> WrkResult:
    """Parse wrk's output with --latency; with `denied`, a 2xx or 3xx counts as an error.

    Raises:
        NotMeasured: the output has an unknown format.
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


def _run(
    arguments: Sequence[str], seconds: int, connections: int, denied: bool = False
) -> WrkResult:
    command = [find("wrk"), "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", *arguments]
    done = subprocess.run(  # noqa: S603  wrk with our own arguments
        command, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise NotMeasured(f"wrk failed:\n{done.stdout}{done.stderr}")
    run = read(done.stdout, denied=denied)
    if run.errors or not run.requests:
        raise NotMeasured(
            f"{run.errors} of {run.requests} requests failed, or were answered otherwise than "
            "they should be: nothing measured"
        )
    return run


def _milliseconds(text: str, percent: str) -> float:
    match = re.search(rf"^\s+{percent}\s+([\d.]+)(us|ms|s|m)$", text, re.MULTILINE)
    units = {"us": 0.001, "ms": 1.0, "s": 1000.0, "m": 60_000.0}
    return float(match[1]) * units[match[2]] if match else float("nan")
