"""Listening sockets of a replica: a TCP port and, if configured, a unix socket."""

import asyncio
import contextlib
import errno
import os
import socket
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

from authgw.config.loader import ConfigError
from authgw.config.schema import ServerSettings
from authgw.core.limits import LISTEN_BACKLOG
from authgw.files.file_errors import file_error
from authgw.server.connections import drop_unread

_SOCKET_MODE = 0o660  # NGINX's user must be in the group of the directory or of this process
_PROBE_TIMEOUT = 1.0  # seconds


class Listeners:
    """The listening sockets of a server; `connect` makes the protocol of a new connection."""

    def __init__(self, connect: Callable[[], asyncio.Protocol]) -> None:
        self._connect = connect
        self._servers: list[asyncio.Server] = []

    @property
    def addresses(self) -> list[str | tuple[str, int]]:
        """The addresses of the sockets: host and port, or a path."""
        sockets = [listening for server in self._servers for listening in server.sockets]
        return [_address(listening.getsockname()) for listening in sockets]

    async def listen(self, settings: ServerSettings, folder: Path) -> list[str]:
        """Listen as the configuration says; return the addresses as texts.

        `folder` resolves a relative path of a socket.

        Raises:
            ConfigError: the port or the socket's path cannot be used.
        """
        found = [f"http://{settings.host}:{settings.port}"]
        self._servers.append(await _open_port(self._connect, settings))
        if settings.socket is not None:
            path = folder / settings.socket
            self._servers.append(await _open_unix(self._connect, path))
            found.append(f"unix:{path}")
        return found

    async def stop(self) -> None:
        """Stop listening; accept waiting connections, which the system would reset."""
        servers, self._servers = self._servers, []
        left = [
            socket.socket(fileno=os.dup(listening.fileno()))
            for server in servers
            for listening in server.sockets
        ]
        for server in servers:
            server.close()
        for waiting in [link for listening in left for link in _all_waiting(listening)]:
            await asyncio.get_running_loop().connect_accepted_socket(self._connect, waiting)


def _address(name: Any) -> str | tuple[str, int]:
    return (name[0], name[1]) if isinstance(name, tuple) else str(name)


def _all_waiting(listening: socket.socket) -> list[socket.socket]:
    """Accept every connection that waits on this socket, then close the socket."""
    found = []
    with listening, contextlib.suppress(BlockingIOError):
        listening.setblocking(False)
        while True:
            found.append(listening.accept()[0])
    return found


async def _open_port(
    connect: Callable[[], asyncio.Protocol], settings: ServerSettings
) -> asyncio.Server:
    loop, host, port = asyncio.get_running_loop(), settings.host, settings.port
    try:
        listening = await loop.create_server(connect, host, port, backlog=LISTEN_BACKLOG)
    except OSError as error:
        raise ConfigError([_cannot_listen(host, port, error)]) from None
    drop_unread(listening)
    return listening


def _cannot_listen(host: str, port: int, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return (
            f"server.port: another process uses {host}:{port} already: stop that process, or set "
            "another port"
        )
    if error.errno == errno.EACCES:
        return f"server.port: only root may listen on {port}: set a port above 1023"
    # A name that is not found has a negative number of its own.
    why = os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror
    remedy = "write an address of this machine, such as 127.0.0.1 or 0.0.0.0"
    return f"server.host: cannot listen on {host} ({why}): {remedy}"


async def _open_unix(connect: Callable[[], asyncio.Protocol], path: Path) -> asyncio.Server:
    _remove_stale(path)
    # No process may connect before the mode is set.
    before = os.umask(0o777 & ~_SOCKET_MODE)
    try:
        loop = asyncio.get_running_loop()
        return await loop.create_unix_server(connect, path, backlog=LISTEN_BACKLOG)
    except OSError as error:
        raise ConfigError([f"server.socket: {file_error(path, error)}"]) from None
    finally:
        os.umask(before)


def _remove_stale(path: Path) -> None:
    """Remove a socket that a killed replica left behind; leave everything else alone."""
    try:
        kind = path.lstat().st_mode
    except OSError:
        return
    if not stat.S_ISSOCK(kind):
        problem = f"{path} exists and is not a socket: write another path, or remove it"
        raise ConfigError([f"server.socket: {problem}"])
    if _is_in_use(path):
        problem = f"another process listens on {path}: stop that process, or write another path"
        raise ConfigError([f"server.socket: {problem}"])
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
