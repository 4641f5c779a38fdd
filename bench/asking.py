"""Many requests, each sent once and in order over a few connections."""

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import cast

import httptools
import uvloop

from bench.gateways import ORIGINAL, BenchGateway, bearer
from bench.outcome import NotMeasured
from bench.wrk import request

_CONNECTIONS = 32


def check_all(gateway: BenchGateway, tokens: Sequence[str]) -> None:
    """Check each token once.

    Raises:
        NotMeasured: a check was refused.
    """
    checks = (request("GET", "/authenticate", {**ORIGINAL, **bearer(token)}) for token in tokens)
    bodies_of(gateway.port, checks)


def bodies_of(port: int, requests: Iterable[bytes]) -> list[bytes]:
    """Send each request once and return the bodies of the responses, in no particular order.

    Raises:
        NotMeasured: a request was refused.
    """
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_send_all(port, iter(requests)))


async def _send_all(port: int, requests: Iterator[bytes]) -> list[bytes]:
    loop = asyncio.get_running_loop()
    ends = [loop.create_future() for _ in range(_CONNECTIONS)]
    bodies: list[bytes] = []
    for end in ends:
        await loop.create_connection(partial(_Asking, requests, bodies, end), "127.0.0.1", port)
    await asyncio.gather(*ends)
    return bodies


class _Asking(asyncio.Protocol):
    """Sends the next request when the response to the previous request is complete."""

    def __init__(
        self, requests: Iterator[bytes], bodies: list[bytes], end: "asyncio.Future[None]"
    ) -> None:
        self._requests = requests
        self._bodies = bodies
        self._body = b""
        self._end = end

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports do not derive from asyncio.Transport but have the same methods.
        self._transport = cast(asyncio.Transport, transport)
        self._parser = httptools.HttpResponseParser(self)
        self._next()

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        status = self._parser.get_status_code()
        if status != 200:
            self._stop(NotMeasured(f"a request was refused with {status}: nothing measured"))
            return
        self._bodies.append(self._body)
        self._body = b""
        self._next()

    def connection_lost(self, error: Exception | None) -> None:
        self._stop(NotMeasured("the gateway closed a connection: nothing measured"))

    def _next(self) -> None:
        request = next(self._requests, None)
        if request is None:
            self._stop(None)
        else:
            self._transport.write(request)

    def _stop(self, error: Exception | None) -> None:
        if not self._end.done():
            if error is None:
                self._end.set_result(None)
            else:
                self._end.set_exception(error)
        self._transport.close()
