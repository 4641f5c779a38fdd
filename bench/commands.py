"""Count the store commands that checks cause."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from bench.gateways import BenchRedis
from bench.http import connect

_CHUNK = 1 << 20  # bytes
_MARGIN = 0.5  # seconds
_SETTLE = 0.2  # seconds until sent commands appear in MONITOR
# Registration of a running replica, every ten seconds (storage/redis/counters.py).
_HOUSEKEEPING = b"authgw:replicas"
_KEEPALIVE = b'"PING"'  # sent on the revocation feed's connection after two silent seconds
_IN_SCRIPT = b" lua] "  # a command within a script; the script counts as a single command


class Counted:
    """Commands of the replicas that MONITOR has shown since the start of the block."""

    def __init__(self) -> None:
        self.commands = 0


@contextmanager
def counting(redis: BenchRedis) -> Iterator[Counted]:
    """Count commands while the block runs; the block itself must not send any."""
    with connect(redis.port) as link:
        link.sendall(b"MONITOR\r\n")
        link.recv(_CHUNK)
        link.settimeout(_SETTLE)
        counted, over = Counted(), threading.Event()

        def listen() -> None:
            rest = b""
            while not over.is_set():
                try:
                    *lines, rest = (rest + link.recv(_CHUNK)).split(b"\r\n")
                except TimeoutError:
                    continue
                counted.commands += sum(map(may_be_of_check, lines))

        listener = threading.Thread(target=listen)
        listener.start()
        try:
            yield counted
        finally:
            over.set()
            listener.join()


def rate_during(redis: BenchRedis, work: Callable[[int], object], seconds: int) -> float:
    """Return commands per second while `work`, which takes a duration in seconds, is running."""
    with ThreadPoolExecutor(1) as pool:
        done = pool.submit(work, round(seconds + 2 * _MARGIN))
        # Skip the beginning, while nothing is mirrored.
        time.sleep(_MARGIN)
        began = time.monotonic()
        with counting(redis) as counted:
            time.sleep(seconds)
        took = time.monotonic() - began
        done.result()
    return counted.commands / took


def may_be_of_check(line: bytes) -> bool:
    """Return True if this line of MONITOR is a command that a check may have caused."""
    return bool(line) and not any(part in line for part in (_IN_SCRIPT, _HOUSEKEEPING, _KEEPALIVE))
