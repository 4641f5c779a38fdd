"""From the URL of a Redis to a client of it."""

from redis.asyncio import BlockingConnectionPool, Redis

from authgw.storage.connections import options

_POOL = 64


def connect(url: str, password: str | None = None) -> "Redis":
    """A client of `redis://` or `rediss://` that never repeats a command by itself."""
    secret = {} if password is None else {"password": password}
    pool = BlockingConnectionPool.from_url(
        url, max_connections=_POOL, timeout=None, **options(), **secret
    )
    return Redis(connection_pool=pool)
