"""Clients for the servers that a Redis URL names; none of them repeats a command by itself."""

import asyncio
import ssl
from functools import partial
from pathlib import Path
from typing import Any

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.connection import SSLConnection
from redis.asyncio.sentinel import (
    Sentinel,
    SentinelConnectionPool,
    SentinelManagedConnection,
    SentinelManagedSSLConnection,
)
from redis.exceptions import ConnectionError, RedisError

from authgw.storage import StoreSetupError
from authgw.storage.redis import connection_options
from authgw.storage.redis.cluster import Cluster
from authgw.storage.redis.commands import OneServer, Servers
from authgw.storage.redis.connection_options import Plain
from authgw.storage.redis.node import RedisNode
from authgw.storage.redis.url import RedisAddress, parse_redis

_POOL = 64
_SENTINEL_PATIENCE = 0.5  # seconds that one Sentinel has, before the next one is asked


def connect(url: str, *, password: str | None = None, ca_file: Path | None = None) -> Servers:
    """Return the servers of a URL, without connecting to them yet.

    `password` replaces the URL's. `ca_file` contains the certificates of the authorities, in PEM,
    that are trusted instead of the system's.

    Raises:
        ValueError: as `parse_redis`.
        StoreSetupError: `ca_file` cannot be read or contains no certificate.
    """
    address = parse_redis(url)
    options = connection_options.options()
    if address.tls:
        options["tls"] = _tls(ca_file)
    login = {"username": address.username, "password": password or address.password}
    place = {**login, "db": address.database, "max_connections": _POOL, "timeout": None}
    if address.topology == "sentinel":
        return _behind_sentinels(address, options, place)
    if address.topology == "cluster":
        return Cluster(address.hosts, partial(_client, {**options, **place}))
    host, port = address.hosts[0]
    return OneServer(RedisNode(_client({**options, **place}, host, port), f"Redis {host}:{port}"))


def _client(
    options: dict[str, Any], host: str, port: int, *, client: type["Redis"] = Redis
) -> "Redis":
    kind = _TlsConnection if "tls" in options else Plain
    pool = BlockingConnectionPool(connection_class=kind, host=host, port=port, **options)
    return client.from_pool(pool)


def _behind_sentinels(
    address: RedisAddress, options: dict[str, Any], place: dict[str, Any]
) -> OneServer:
    # redis-py has no types here, and would make clients that it leaves no choice of connections.
    sentinel: Any = Sentinel(())  # type: ignore[no-untyped-call]  # see above
    # The password is the servers' own: Sentinels are asked without one.
    patience = {"socket_timeout": _SENTINEL_PATIENCE, "socket_connect_timeout": _SENTINEL_PATIENCE}
    sentinel.sentinels = [
        _client({**options, **patience}, *host, client=_SentinelClient) for host in address.hosts
    ]
    kind = _TlsMasterConnection if address.tls else _MasterConnection
    client = sentinel.master_for(
        address.master,
        connection_pool_class=_MasterPool,
        connection_class=kind,
        **options,
        **place,
    )
    server = RedisNode(client, f"Redis {address.master}", client.connection_pool.names)
    return OneServer(server, replicated=True)


class _SentinelClient(Redis):
    """A Sentinel; the next one is asked where this one replies what no Sentinel does."""

    async def sentinel_masters(self) -> Any:
        """The masters that this Sentinel knows, by name.

        Raises:
            ConnectionError: it does not name them.
        """
        try:
            masters: Any = await super().sentinel_masters()
            if all(map(_is_state, masters.values())):
                return masters
        except (RedisError, OSError):
            raise
        except Exception as error:
            said = type(error).__name__
        else:
            said = "no state of a master"
        await self.connection_pool.disconnect()
        raise ConnectionError(f"a reply to SENTINEL MASTERS that no Sentinel gives ({said})")


class _MasterPool(SentinelConnectionPool, BlockingConnectionPool):
    """Connections to whom the Sentinels name, of which every call gets one in its turn."""

    # redis-py has no types for what is called here.
    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)  # type: ignore[no-untyped-call]  # no types there
        self._asking: asyncio.Task[Any] | None = None

    async def get_master_address(self) -> Any:
        """Ask the Sentinels once for all who wait, whose deadlines are not the end of it."""
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._ask())
            # Whoever waits for it is told; nobody else needs to be.
            self._asking.add_done_callback(lambda task: task.cancelled() or task.exception())
        return await asyncio.shield(self._asking)

    async def names(self, link: Any) -> bool:
        """Whether the Sentinels name the server that this connection leads to."""
        return bool(await self.get_master_address() == (link.host, link.port))

    async def aclose(self) -> None:
        """Close every connection, those to the Sentinels too."""
        if self._asking is not None:
            self._asking.cancel()
        await super().aclose()
        await self.sentinel_manager.aclose()

    async def _ask(self) -> Any:
        before = self.master_address
        address = await super().get_master_address()  # type: ignore[no-untyped-call]  # likewise
        if address != before:
            # What is in use may lead to a master of before, which would go on answering.
            await self.update_active_connections_for_reconnect()  # type: ignore[no-untyped-call]  # likewise
        return address


class _OneContext:
    """Connections that share one context: each making its own would read every certificate."""

    ssl_context: Any

    def __init__(self, *, tls: ssl.SSLContext, **options: Any) -> None:
        super().__init__(**options)
        self.ssl_context.context = tls


class _TlsConnection(_OneContext, Plain, SSLConnection):
    pass


class _MasterConnection(Plain, SentinelManagedConnection):
    pass


class _TlsMasterConnection(_OneContext, Plain, SentinelManagedSSLConnection):
    pass


def _is_state(state: Any) -> bool:
    wanted = {"ip": str, "port": int, "is_master": bool, "is_odown": bool, "is_sdown": bool}
    wanted["num-other-sentinels"] = int
    return isinstance(state, dict) and all(
        isinstance(state.get(name), kind) for name, kind in wanted.items()
    )


def _tls(ca_file: Path | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca_file)
    except ssl.SSLError:
        raise StoreSetupError(f"cache.ca_file: {ca_file} holds no certificate in PEM") from None
    except OSError as error:
        raise StoreSetupError(f"cache.ca_file: {ca_file}: {error.strerror}") from None
