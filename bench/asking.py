"""Checks of many sessions, each once and in order, over a few connections."""

import asyncio
from collections.abc import Iterator, Sequence
from functools import partial

import httptools

from bench.gateways import ORIGINAL, BenchGateway, bearer
from bench.outcome import NotMeasured
from bench.wrk import request

_CONNECTIONS = 32


def check_all(gateway: BenchGateway, tokens: Sequence[str]) -> None:
    """Check each token once.

    Raises:
        NotMeasured: a check was refused.
    """
    requests = [request("GET", "/authenticate", {**ORIGINAL, **bearer(token)}) for token in tokens]
    asyncio.run(_send_all(gateway, iter(requests)))


async def _send_all(gateway: BenchGateway, requests: Iterator[bytes]) -> None:
    loop = asyncio.get_running_loop()
    ends = [loop.create_future() for _ in range(_CONNECTIONS)]
    for end in ends:
        await loop.create_connection(partial(_Asking, requests, end), "127.0.0.1", gateway.port)
    await asyncio.gather(*ends)


class _Asking(asyncio.Protocol):
    """Sends the next request when the response to the previous request is complete."""

    def __init__(self, requests: Iterator[bytes], end: "asyncio.Future[None]") -> None:
        self._requests = requests
        self._end = end

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101  as TCP clients get
        self._transport = transport
        self._parser = httptools.HttpResponseParser(self)
        self._next()

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_message_complete(self) -> None:
        if self._parser.get_status_code() != 200:
            status = self._parser.get_status_code()
            self._stop(NotMeasured(f"a check was refused with {status}: nothing measured"))
        else:
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
