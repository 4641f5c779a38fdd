"""Connections for many requests, without a client library: a million checks take minutes."""

import asyncio
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httptools

from tests.support.processes import ISSUED

_TIMEOUT = 15.0  # seconds
# Enough to find a token in a log; searching for all tokens of a long run would take hours.
_MAX_ISSUED = 500


@dataclass(frozen=True, slots=True)
class LineResponse:
    """A response; header names are in lower case, times are of the loop's clock."""

    status: int
    headers: dict[str, str]
    body: bytes
    sent: float
    ended: float

    def json(self) -> Any:
        return json.loads(self.body)


class HttpLine(asyncio.Protocol):
    """A connection that sends requests sequentially, and reconnects if necessary."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._transport: asyncio.Transport | None = None
        self._answer: asyncio.Future[tuple[int, dict[str, str], bytes]] | None = None

    async def ask(self, request: bytes) -> LineResponse:
        """Send a request and return the response.

        Raises:
            OSError: there was no response.
        """
        loop = asyncio.get_running_loop()
        if self._transport is None or self._transport.is_closing():
            await loop.create_connection(lambda: self, "127.0.0.1", self._port)
        assert self._transport is not None
        self._answer = loop.create_future()
        self._begin()
        sent = loop.time()
        self._transport.write(request)
        try:
            async with asyncio.timeout(_TIMEOUT):
                status, headers, body = await self._answer
        except BaseException:
            # Later bytes on this connection belong to no request.
            self.hang_up()
            raise
        return LineResponse(status, headers, body, sent, loop.time())

    def hang_up(self) -> None:
        """Close the connection without waiting for the response."""
        if self._transport is not None:
            self._transport.abort()
            self._transport = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def connection_lost(self, error: Exception | None) -> None:
        self._transport = None
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(ConnectionResetError("closed without an answer"))

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        status, closing = self._parser.get_status_code(), not self._parser.should_keep_alive()
        if closing and self._transport is not None:
            self._transport.close()
            self._transport = None
        if self._answer is not None and not self._answer.done():
            self._answer.set_result((status, self._headers, self._body))

    def _begin(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self._headers: dict[str, str] = {}
        self._body = b""


def request(
    method: str, path: str, headers: Mapping[str, str] | None = None, body: Any = None
) -> bytes:
    """Return the bytes of a request; a body is sent as JSON."""
    all_headers = {"Host": "localhost", **(headers or {})}
    text = b"" if body is None else json.dumps(body).encode()
    if body is not None:
        all_headers |= {"Content-Type": "application/json", "Content-Length": str(len(text))}
    lines = [
        f"{method} {path} HTTP/1.1",
        *(f"{name}: {value}" for name, value in all_headers.items()),
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + text


def bearer(token: str) -> dict[str, str]:
    """Return the header with an access token."""
    return {"Authorization": f"Bearer {token}"}


def pair_of(answer: LineResponse) -> dict[str, Any]:
    """Return the tokens of a login or refresh; the first are later searched for in the logs."""
    if len(ISSUED) < _MAX_ISSUED:
        ISSUED.update(
            re.findall(r'"(?:access|refresh)(?:_token)?": "([^"]+)"', answer.body.decode())
        )
    pair: dict[str, Any] = answer.json()
    return pair
