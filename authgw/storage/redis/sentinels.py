"""The master that Sentinels name, queried by redis-py."""

import ssl
from collections.abc import Sequence

from redis.asyncio import ConnectionPool, Redis

from authgw.storage.redis import redis_internals
from authgw.storage.redis.link import Address
from authgw.storage.redis.locations import SentinelLocation
from authgw.storage.redis.redis_internals import SentinelClient, TlsConnection

_TIMEOUT = 0.5  # seconds for the reply of a Sentinel, before the next is queried


def location_behind(
    sentinels: Sequence[Address], master: str, tls: ssl.SSLContext | None
) -> SentinelLocation:
    """Return the location of a master, without connecting to its Sentinels yet."""
    clients = [_client(*address, tls) for address in sentinels]
    return SentinelLocation(redis_internals.sentinel_manager(clients), master)


def _client(host: str, port: int, tls: ssl.SSLContext | None) -> Redis:
    # The password is for the servers: the Sentinels get none.
    options = {
        **redis_internals.options(),
        "socket_timeout": _TIMEOUT,
        "socket_connect_timeout": _TIMEOUT,
    }
    if tls is not None:
        options |= {"tls": tls, "connection_class": TlsConnection}
    return SentinelClient.from_pool(ConnectionPool(host=host, port=port, **options))
