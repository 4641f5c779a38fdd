"""Memory of a mirrored session, and memory growth by a client that never reads."""

import socket
import time

from authgw.core.tokens import TokenType
from bench.asking import check_all
from bench.commands import counting
from bench.gateways import ORIGINAL, BenchGateway, BenchRedis, bearer, lab, loop_of
from bench.outcome import Benchmark, NotMeasured, Outcome, Table
from bench.population import new_sessions, put, tokens
from bench.processes import cpu_us, rss_bytes
from bench.wrk import request

_WARM_UP = 2000  # sessions that are checked before the first measurement of memory
_STALENESS = "600s"  # a mirror drops unused sessions, so its interval must exceed the run
_MAX_MIRRORED = 0.1  # commands per check of a second pass; more without a mirror
_RECEIVE_BUFFER = 4096  # bytes of responses that the client's kernel buffers
_CHUNK = 65536  # bytes
_WRITE_TIMEOUT = 1.5  # seconds without progress, after which the gateway has stopped reading
_MAX_GROWTH = 1_000_000  # bytes that still count as flat
_IDLE_US = 20_000  # CPU in half a second, of an idle gateway
_IDLE_TIMEOUT = 60.0  # seconds
_KB = 1024


def measure(quick: bool) -> Outcome:
    """Mirror many sessions; then pipeline requests without reading the responses."""
    count, written = (20_000, 24_000_000) if quick else (100_000, 64_000_000)
    with lab() as made:
        redis = made.redis()
        settings = {"cache": {"max_staleness": _STALENESS}}
        fleet = made.fleet(redis.url)
        grown, again = _mirror(redis, fleet.replica(settings=settings), count)
        gateway = fleet.replica()
        sent, first, more = _never_read(gateway, written)
        loop = loop_of(gateway)
    mirrored = again < _MAX_MIRRORED
    figures = {
        "bytes_per_session": grown / count if mirrored else None,
        "flat_under_non_reader": more <= _MAX_GROWTH,
        "growth_per_check": grown / count,
        "non_reader_growth": more,
    }
    rows = (
        ("sessions checked", count),
        ("growth KB", grown / _KB),
        ("bytes per mirrored session", figures["bytes_per_session"]),
        ("store commands per check, second pass", again),
        ("MB written by a client that never reads", sent / 1e6),
        ("growth KB after the first quarter of it", first / _KB),
        ("growth KB after the rest", more / _KB),
    )
    notes = [f"The gateway runs {loop}; max_staleness {_STALENESS} for the first part."]
    if not mirrored:
        notes.append("Sessions are not mirrored: bytes per mirrored session is not available.")
    return Outcome(figures, (Table("Memory of the gateway", ("", ""), rows),), tuple(notes))


BENCHMARK = Benchmark("memory", "Memory per mirrored session, and under a non-reader.", measure)


def _mirror(redis: BenchRedis, gateway: BenchGateway, count: int) -> tuple[int, float]:
    """Return the gateway's growth in bytes, and the store commands per check of a second pass."""
    sessions = list(new_sessions(_WARM_UP + count))
    put(redis.client(), sessions)
    minted = tokens(gateway.keys, sessions, TokenType.ACCESS)
    check_all(gateway, minted[:_WARM_UP])
    before = rss_bytes(gateway.pid)
    check_all(gateway, minted[_WARM_UP:])
    grown = rss_bytes(gateway.pid) - before
    with counting(redis) as counted:
        check_all(gateway, minted[_WARM_UP:])
    return grown, counted.commands / count


def _never_read(gateway: BenchGateway, total: int) -> tuple[int, int, int]:
    """Return the bytes written, and the growth in bytes in the first quarter and in the rest."""
    check = request("GET", "/authenticate", {**ORIGINAL, **bearer(gateway.login()["access"])})
    before = rss_bytes(gateway.pid)
    with socket.socket() as link:
        # A small receive buffer, so that the kernel holds few responses.
        link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)
        link.connect(("127.0.0.1", gateway.port))
        link.settimeout(_WRITE_TIMEOUT)
        block = check * (total // 4 // len(check))
        first = _write(link, block)
        _until_idle(gateway)
        middle = rss_bytes(gateway.pid)
        rest = _write(link, block * 3) if first == len(block) else 0
        _until_idle(gateway)
        after = rss_bytes(gateway.pid)
    return first + rest, middle - before, after - middle


def _write(link: socket.socket, data: bytes) -> int:
    """Write the data until the gateway stops reading; return the number of bytes written."""
    sent = 0
    while sent < len(data):
        try:
            sent += link.send(data[sent : sent + _CHUNK])
        except TimeoutError:
            break
    return sent


def _until_idle(gateway: BenchGateway) -> None:
    """Wait until the gateway has read all data that the kernel has buffered."""
    until = time.monotonic() + _IDLE_TIMEOUT
    while time.monotonic() < until:
        before = cpu_us([gateway.pid])
        time.sleep(0.5)
        if cpu_us([gateway.pid]) - before < _IDLE_US:
            return
    raise NotMeasured(f"the gateway was still busy after {_IDLE_TIMEOUT:.0f} s: nothing measured")
