"""Connections for many requests: no client library, so that a million checks take minutes."""

import asyncio
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httptools

from tests.support.processes import ISSUED

_PATIENCE = 15.0  # seconds
# Enough to find a token in a log; all of a long run's would take the search hours.
_MOST_ISSUED = 500


@dataclass(frozen=True, slots=True)
class LineResponse:
    """One answer; header names are in lower case, times of the loop's clock."""

    status: int
    headers: dict[str, str]
    body: bytes
    sent: float
    ended: float

    def json(self) -> Any:
        return json.loads(self.body)


class HttpLine(asyncio.Protocol):
    """One connection that asks one question at a time, and connects again when it must."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._transport: asyncio.Transport | None = None
        self._answer: asyncio.Future[tuple[int, dict[str, str], bytes]] | None = None

    async def ask(self, request: bytes) -> LineResponse:
        """Send a request and return the answer.

        Raises:
            OSError: nobody answered it.
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
            async with asyncio.timeout(_PATIENCE):
                status, headers, body = await self._answer
        except BaseException:
            # Whatever comes on it now belongs to nobody.
            self.hang_up()
            raise
        return LineResponse(status, headers, body, sent, loop.time())

    def hang_up(self) -> None:
        """Leave without waiting for an answer."""
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
    """A request as it goes over the wire; a body is sent as JSON."""
    said = {"Host": "localhost", **(headers or {})}
    text = b"" if body is None else json.dumps(body).encode()
    if body is not None:
        said |= {"Content-Type": "application/json", "Content-Length": str(len(text))}
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in said.items())]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + text


def bearer(token: str) -> dict[str, str]:
    """The header that shows an access token."""
    return {"Authorization": f"Bearer {token}"}


def pair_of(answer: LineResponse) -> dict[str, Any]:
    """The tokens of a log-in or refresh; the first ones are later looked for in the logs."""
    if len(ISSUED) < _MOST_ISSUED:
        ISSUED.update(
            re.findall(r'"(?:access|refresh)(?:_token)?": "([^"]+)"', answer.body.decode())
        )
    pair: dict[str, Any] = answer.json()
    return pair
