"""Clients for the servers that a Redis URL names; none of them repeats a command by itself."""

import ssl
from functools import partial
from pathlib import Path
from typing import Any

from redis.asyncio import BlockingConnectionPool, Redis

from authgw.storage import StoreSetupError
from authgw.storage.redis import redis_internals
from authgw.storage.redis.cluster import Cluster
from authgw.storage.redis.commands import Servers, SingleMaster
from authgw.storage.redis.node import RedisNode
from authgw.storage.redis.redis_internals import (
    MasterConnection,
    MasterPool,
    PlainConnection,
    SentinelClient,
    TlsConnection,
    TlsMasterConnection,
)
from authgw.storage.redis.url import RedisAddress, parse_redis

_MAX_CONNECTIONS = 64  # to each server
_SENTINEL_TIMEOUT = 0.5  # seconds for the reply of a Sentinel, before the next is queried


def connect(url: str, *, password: str | None = None, ca_file: Path | None = None) -> Servers:
    """Return the servers of a URL, without connecting to them yet.

    `password` replaces the URL's. `ca_file` contains the certificates of the authorities, in PEM,
    that are trusted instead of the system's.

    Raises:
        ValueError: as `parse_redis`.
        StoreSetupError: `ca_file` cannot be read or contains no certificate.
    """
    address = parse_redis(url)
    options = redis_internals.options()
    if address.tls:
        options["tls"] = _tls(ca_file)
    login = {"username": address.username, "password": password or address.password}
    place = {**login, "db": address.database, "max_connections": _MAX_CONNECTIONS, "timeout": None}
    if address.topology == "sentinel":
        return _behind_sentinels(address, options, place)
    if address.topology == "cluster":
        return Cluster(address.hosts, partial(_client, {**options, **place}))
    host, port = address.hosts[0]
    return SingleMaster(
        RedisNode(_client({**options, **place}, host, port), f"Redis {host}:{port}")
    )


def _client(
    options: dict[str, Any], host: str, port: int, *, client: type["Redis"] = Redis
) -> "Redis":
    kind = TlsConnection if "tls" in options else PlainConnection
    pool = BlockingConnectionPool(connection_class=kind, host=host, port=port, **options)
    return client.from_pool(pool)


def _behind_sentinels(
    address: RedisAddress, options: dict[str, Any], place: dict[str, Any]
) -> SingleMaster:
    # The password is for the servers: the Sentinels get none.
    timeouts = {"socket_timeout": _SENTINEL_TIMEOUT, "socket_connect_timeout": _SENTINEL_TIMEOUT}
    sentinels = [
        _client({**options, **timeouts}, *host, client=SentinelClient) for host in address.hosts
    ]
    client = redis_internals.sentinel_manager(sentinels).master_for(
        address.master,
        connection_pool_class=MasterPool,
        connection_class=TlsMasterConnection if address.tls else MasterConnection,
        **options,
        **place,
    )
    server = RedisNode(client, f"Redis {address.master}", client.connection_pool.names)
    return SingleMaster(server, replicated=True)


def _tls(ca_file: Path | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca_file)
    except ssl.SSLError:
        raise StoreSetupError(f"cache.ca_file: {ca_file} holds no certificate in PEM") from None
    except OSError as error:
        raise StoreSetupError(f"cache.ca_file: {ca_file}: {error.strerror}") from None
