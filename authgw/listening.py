"""Where a replica listens: a TCP port, and a unix socket if one is configured."""

import os
import socket
import stat
from pathlib import Path

from aiohttp import web

from authgw.config import ConfigError
from authgw.settings import Server

_FOR_GROUP = 0o660  # NGINX's user must be in the group of the folder or of this process
_ANSWERS_WITHIN = 1.0  # seconds


async def listen(runner: web.AppRunner, server: Server, folder: Path) -> list[str]:
    """Listen; return the addresses. A relative socket starts at `folder`.

    Raises:
        ConfigError: the socket's path cannot be used.
        OSError: the port cannot be.
    """
    await web.TCPSite(runner, server.host, server.port).start()
    found = [f"http://{server.host}:{server.port}"]
    if server.socket is not None:
        path = folder / server.socket
        await _listen_on(runner, path)
        found.append(f"unix:{path}")
    return found


async def _listen_on(runner: web.AppRunner, path: Path) -> None:
    _remove_stale(path)
    # Nobody may connect before its mode is set.
    before = os.umask(0o777 & ~_FOR_GROUP)
    try:
        await web.UnixSite(runner, path).start()
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
        probe.settimeout(_ANSWERS_WITHIN)
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            return False
        except OSError:
            # Full, or not ours to ask: somebody is there.
            return True
        return True
