"""Counting the commands that checks cost the store."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from bench.gateways import BenchRedis
from bench.http import connect

_CHUNK = 1 << 20  # bytes
_MARGIN = 0.5  # seconds
_SETTLE = 0.2  # seconds until what was sent has been seen
# How a replica says that it runs, every ten seconds (storage/redis_counters.py).
_HOUSEKEEPING = b"authgw:replicas"
_ALIVE = b'"PING"'  # whether the connection of the push is still there, after two silent seconds
_INSIDE = b" lua] "  # the command of a script, which counts as one


class Counted:
    """Commands of the replicas, as MONITOR showed them from the start of the block on."""

    def __init__(self) -> None:
        self.commands = 0


@contextmanager
def counting(redis: BenchRedis) -> Iterator[Counted]:
    """Count while the block runs; whoever runs it sends no command of its own."""
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
                counted.commands += sum(map(is_asked, lines))

        listener = threading.Thread(target=listen)
        listener.start()
        try:
            yield counted
        finally:
            over.set()
            listener.join()


def rate_during(redis: BenchRedis, work: Callable[[int], object], seconds: int) -> float:
    """Commands per second while this work, which takes a number of seconds, goes on."""
    with ThreadPoolExecutor(1) as pool:
        done = pool.submit(work, round(seconds + 2 * _MARGIN))
        # Without its beginning, when nothing is mirrored yet.
        time.sleep(_MARGIN)
        began = time.monotonic()
        with counting(redis) as counted:
            time.sleep(seconds)
        took = time.monotonic() - began
        done.result()
    return counted.commands / took


def is_asked(line: bytes) -> bool:
    """Return True if this line of MONITOR is a command that a check may have caused."""
    return bool(line) and not any(part in line for part in (_INSIDE, _HOUSEKEEPING, _ALIVE))
