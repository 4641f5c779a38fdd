"""Listening sockets of a replica: a TCP port and, if configured, a unix socket."""

import asyncio
import contextlib
import errno
import os
import socket
import stat
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

from aiohttp import web

from authgw.config.loader import ConfigError
from authgw.config.schema import ServerSettings
from authgw.core.limits import LISTEN_BACKLOG
from authgw.server.http_protocol import Connections, drop_unread
from authgw.web.aiohttp_internals import Site

_SOCKET_MODE = 0o660  # NGINX's user must be in the group of the directory or of this process
_PROBE_TIMEOUT = 1.0  # seconds
_BACKLOG = 1024  # connections that wait for a busy loop; a flood must not fill it before it is seen


class _SocketSite(Site):
    """A listening socket that is closed with its runner."""

    def __init__(
        self,
        runner: web.AppRunner,
        connections: Connections,
        name: str,
        open_: Callable[[], Awaitable[asyncio.Server]],
    ) -> None:
        super().__init__(runner)
        self._connections = connections
        self._open = open_
        self._called = name
        self._listening: asyncio.Server | None = None

    @property
    def name(self) -> str:
        return self._called

    async def start(self) -> None:
        await super().start()
        self._listening = await self._open()
        self.adopt(self._listening)

    async def stop(self) -> None:
        """Stop listening; accept waiting connections, which the system would reset."""
        listening = self._listening.sockets if self._listening else ()
        left = [socket.socket(fileno=os.dup(one.fileno())) for one in listening]
        await super().stop()
        for waiting in [link for one in left for link in _all_waiting(one)]:
            await asyncio.get_running_loop().connect_accepted_socket(self._connections, waiting)


def _all_waiting(listening: socket.socket) -> list[socket.socket]:
    """Accept every connection that waits on this socket, then close the socket."""
    found = []
    with listening, contextlib.suppress(BlockingIOError):
        listening.setblocking(False)
        while True:
            found.append(listening.accept()[0])
    return found


async def listen(
    runner: web.AppRunner, connections: Connections, server: ServerSettings, folder: Path
) -> list[str]:
    """Listen for these connections; return the addresses. `folder` resolves a relative socket.

    Raises:
        ConfigError: the port or the socket's path cannot be used.
    """
    found = [f"http://{server.host}:{server.port}"]
    await _SocketSite(
        runner, connections, found[0], partial(_open_port, connections, server)
    ).start()
    if server.socket is not None:
        path = folder / server.socket
        await _listen_on(runner, connections, path)
        found.append(f"unix:{path}")
    return found


async def _open_port(connections: Connections, server: ServerSettings) -> asyncio.Server:
    loop, host, port = asyncio.get_running_loop(), server.host, server.port
    try:
        listening = await loop.create_server(connections, host, port, backlog=LISTEN_BACKLOG)
    except OSError as error:
        raise ConfigError([_cannot_listen(host, port, error)]) from None
    drop_unread(listening)
    return listening


def _cannot_listen(host: str, port: int, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        taken = f"{host}:{port}: address already in use by another process"
        return f"server.port: {taken}: end it, or change the key"
    if error.errno == errno.EACCES:
        return f"server.port: {port} is for root: write a port above 1023"
    # A name that is not found has a negative number of its own.
    why = os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror
    return f"server.host: {host} cannot be listened on: {why}"


async def _open_unix(connections: Connections, path: Path) -> asyncio.Server:
    loop = asyncio.get_running_loop()
    return await loop.create_unix_server(connections, path, backlog=LISTEN_BACKLOG)


async def _listen_on(runner: web.AppRunner, connections: Connections, path: Path) -> None:
    _remove_stale(path)
    # No process may connect before the mode is set.
    before = os.umask(0o777 & ~_SOCKET_MODE)
    try:
        open_ = partial(_open_unix, connections, path)
        await _SocketSite(runner, connections, f"unix:{path}", open_).start()
    except OSError as error:
        raise ConfigError([f"server.socket: {path}: {error.strerror}"]) from None
    finally:
        os.umask(before)


def _remove_stale(path: Path) -> None:
    """Remove a socket that a killed replica left behind; leave everything else alone."""
    try:
        kind = path.lstat().st_mode
    except OSError:
        return
    if not stat.S_ISSOCK(kind):
        raise ConfigError([f"server.socket: {path} is there already and is no socket"])
    if _is_in_use(path):
        raise ConfigError([f"server.socket: {path}: another process listens on it"])
    path.unlink()


def _is_in_use(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(_PROBE_TIMEOUT)
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            return False
        except OSError:
            # The queue is full or access is denied: a process listens.
            return True
        return True
