"""The HTTP server of a replica: its connections, its listening sockets and its application."""

import asyncio
import logging
from pathlib import Path

from aiohttp import web

from authgw.config.schema import ServerSettings
from authgw.core.limits import MAX_HEADER_LINE_BYTES
from authgw.server.connections import Connections, max_connections
from authgw.server.front_door import FrontDoor
from authgw.server.http_application import ApplicationConnection
from authgw.server.http_protocol import Connection
from authgw.server.listeners import Listeners
from authgw.server.response_writes import ResponseWrites

# Longer than NGINX's 60, or NGINX would write into a connection that is being closed.
_KEEP_ALIVE = 75.0  # seconds
_LINGER = 2.0  # seconds in which a refused body is read on, so that its sender hears why


class HttpServer:
    """Serves checks by the front door, all other requests by an application of aiohttp's."""

    def __init__(
        self,
        application: web.Application,
        door: FrontDoor,
        *,
        most: int | None = None,
        keep_alive: float = _KEEP_ALIVE,
    ) -> None:
        self.application = application
        self.connections = Connections(max_connections() if most is None else most)
        self._writes = ResponseWrites()
        self._runner = _runner(application)
        self._door = door
        self._keep_alive = keep_alive
        self._listeners = Listeners(self._connect)

    @property
    def addresses(self) -> list[str | tuple[str, int]]:
        """The addresses of the listening sockets: host and port, or a path."""
        return self._listeners.addresses

    async def set_up(self) -> None:
        """Start the application."""
        await self._runner.setup()

    async def listen(self, server: ServerSettings, folder: Path) -> list[str]:
        """See `Listeners.listen`."""
        return await self._listeners.listen(server, folder)

    async def stop_listening(self) -> None:
        """Accept the connections that wait, and no others."""
        await self._listeners.stop()

    async def finish(self) -> None:
        """Close every connection after its response, then stop the application."""
        await self.connections.finish()
        await self.close()

    async def close(self) -> None:
        """Stop listening, close all connections and stop the application."""
        await self.stop_listening()
        self.connections.close()
        await self._runner.cleanup()

    def _connect(self) -> Connection:
        return Connection(
            self.connections, self._writes, self._door, self._open_application, self._keep_alive
        )

    def _open_application(
        self, connection: Connection, link: asyncio.Transport, peer: str
    ) -> ApplicationConnection:
        assert self._runner.server is not None  # noqa: S101  it has been set up
        return ApplicationConnection(self._runner.server, link, connection, peer)


def _runner(application: web.Application) -> web.AppRunner:
    return web.AppRunner(
        application,
        access_log=None,
        logger=_logger(),
        # Requests in progress are finished before.
        shutdown_timeout=0.01,
        max_line_size=MAX_HEADER_LINE_BYTES,
        max_field_size=MAX_HEADER_LINE_BYTES,
        lingering_time=_LINGER,
        # Compressed bodies are refused, and a refused body must not be inflated and discarded.
        auto_decompress=False,
    )


def _logger() -> logging.Logger:
    """Return aiohttp's logger without the messages that repeat bytes of refused requests."""
    logger = logging.getLogger("authgw.aiohttp")
    logger.addFilter(_is_no_refusal)
    return logger


def _is_no_refusal(entry: logging.LogRecord) -> bool:
    return not str(entry.msg).startswith("Error handling request")
