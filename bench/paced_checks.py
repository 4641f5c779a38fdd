"""Checks of a session at a constant rate, and addresses of clients."""

import asyncio
import time
from collections.abc import Iterator, Mapping

from bench.gateways import ORIGINAL
from bench.outcome import NotMeasured
from bench.wrk import request

RATE = 500  # checks per second
_CONNECTIONS = 25


async def paced_checks(port: int, credentials: Mapping[str, str], seconds: int) -> list[float]:
    """Return the milliseconds of every check, sent at a constant rate regardless of responses.

    Raises:
        NotMeasured: a check was refused.
    """
    check = request("GET", "/authenticate", {**ORIGINAL, **credentials})
    each = RATE / _CONNECTIONS
    began = time.perf_counter() + 0.1

    async def over_connection(offset: float) -> list[float]:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        times = []
        for due in _due(began + offset, 1 / each, seconds):
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            writer.write(check)
            head = await reader.readuntil(b"\r\n\r\n")
            times.append((time.perf_counter() - due) * 1000)
            if not head.startswith(b"HTTP/1.1 200"):
                raise NotMeasured("a check was refused: nothing measured")
        writer.close()
        return times

    offsets = [number / RATE for number in range(_CONNECTIONS)]
    results = await asyncio.gather(*map(over_connection, offsets))
    return [elapsed for times in results for elapsed in times]


def address_of(number: int) -> str:
    """Return a different address for each number; 10.0.0.0/8 contains 16 million."""
    return f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"


def _due(first: float, every: float, seconds: int) -> Iterator[float]:
    return (first + number * every for number in range(int(seconds / every)))
