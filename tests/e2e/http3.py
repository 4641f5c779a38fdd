"""Send a request over HTTP/3 with aioquic."""

import asyncio
import ssl
from collections import deque
from collections.abc import Sequence

from aioquic.asyncio.client import connect
from aioquic.asyncio.protocol import QuicConnectionProtocol
from aioquic.h3.connection import H3_ALPN, H3Connection
from aioquic.h3.events import DataReceived, H3Event, HeadersReceived
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.events import QuicEvent

from tests.support.processes import HttpResponse


class _Client(QuicConnectionProtocol):
    def request(self, headers: Sequence[tuple[str, str]]) -> "asyncio.Future[HttpResponse]":
        self._http = H3Connection(self._quic)
        self._events: deque[H3Event] = deque()
        self._answered: asyncio.Future[HttpResponse] = asyncio.get_running_loop().create_future()
        stream = self._quic.get_next_available_stream_id()
        raw = [(name.encode(), value.encode("latin-1")) for name, value in headers]
        self._http.send_headers(stream, raw, end_stream=True)
        self.transmit()
        return self._answered

    def quic_event_received(self, event: QuicEvent) -> None:
        for got in self._http.handle_event(event) if hasattr(self, "_http") else ():
            self._events.append(got)
            if isinstance(got, HeadersReceived | DataReceived) and got.stream_ended:
                self._answered.set_result(self._whole())

    def _whole(self) -> HttpResponse:
        headers: dict[str, str] = {}
        body = b""
        for event in self._events:
            if isinstance(event, HeadersReceived):
                headers |= {name.decode(): value.decode("latin-1") for name, value in event.headers}
            elif isinstance(event, DataReceived):
                body += event.data
        return HttpResponse(int(headers[":status"]), headers, body)


async def _ask(port: int, headers: Sequence[tuple[str, str]]) -> HttpResponse:
    settings = QuicConfiguration(alpn_protocols=H3_ALPN, server_name="localhost")
    settings.verify_mode = ssl.CERT_NONE
    async with connect(
        "127.0.0.1", port, configuration=settings, create_protocol=_Client, wait_connected=True
    ) as client:
        assert isinstance(client, _Client)
        return await asyncio.wait_for(client.request(headers), 10)


def ask_http3(
    port: int, path: str, authority: str, *headers: tuple[str, str], method: str = "GET"
) -> HttpResponse:
    """Send a request with these lower-case headers in addition to the pseudo-headers."""
    pseudo = [(":method", method), (":scheme", "https"), (":authority", authority), (":path", path)]
    return asyncio.run(_ask(port, [*pseudo, *headers]))
