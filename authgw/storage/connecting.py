"""From the URL of a Redis to a client of it."""

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

_POOL = 64


def connect(url: str, password: str | None = None) -> "Redis":
    """A client of `redis://` or `rediss://` that never repeats a command by itself."""
    secret = {} if password is None else {"password": password}
    pool = BlockingConnectionPool.from_url(
        url, max_connections=_POOL, timeout=None, retry=Retry(NoBackoff(), 0), **secret
    )
    return Redis(connection_pool=pool)
