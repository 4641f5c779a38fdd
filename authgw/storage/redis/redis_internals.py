"""Every use of redis-py that its documentation does not cover, as of redis-py 8.1.

Any release may change what is used here, so pyproject.toml limits the version, and
tests/unit/storage/redis/test_redis_internals.py has a test for each use. All other modules import
only documented modules and names of redis-py.

No connection made here repeats a command.
"""

import ssl
from collections.abc import Sequence
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.connection import SSLConnection
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError, RedisError
from redis.maint_notifications import MaintNotificationsConfig

from authgw.storage.redis import errors


class TlsConnection(SSLConnection):
    """A connection over TLS; `tls` is its context, as a separate context reads all certificates."""

    def __init__(self, *, tls: ssl.SSLContext, **options: Any) -> None:
        super().__init__(**options)
        self.ssl_context.context = tls


class SentinelClient(Redis):
    """A Sentinel; the next is queried if the reply of this Sentinel is invalid."""

    async def sentinel_masters(self) -> Any:
        """Return the masters that this Sentinel knows, by name.

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
            description = type(error).__name__
        else:
            description = "no state of a master"
        await self.connection_pool.disconnect()
        raise ConnectionError(
            f"the reply to SENTINEL MASTERS is not that of a Sentinel ({description})"
        )


class _Manager(Sentinel):
    """Sentinels whose failures are those of the other servers."""

    async def discover_master(self, service_name: str) -> Any:
        """Return the address of a master.

        Raises:
            errors.RedisError: no Sentinel names it.
        """
        try:
            return await super().discover_master(service_name)
        except RedisError as error:
            raise own_error(error) from error


def sentinel_manager(clients: Sequence[Redis]) -> Any:
    """Return a manager of these Sentinels; redis-py would make clients with its own connections."""
    manager: Any = _Manager(())  # type: ignore[no-untyped-call]  # redis-py has no types here
    manager.sentinels = list(clients)
    return manager


def options() -> dict[str, Any]:
    """Return the arguments that every connection of redis-py has.

    Without the notifications of Redis Enterprise, which redis-py would request from every server.
    """
    return {
        # Each exchange has its own deadline; a timeout for each reply costs as much as reading it.
        "socket_timeout": None,
        "retry": Retry(NoBackoff(), 0),
        "maint_notifications_config": MaintNotificationsConfig(enabled=False),
    }


def own_error(error: RedisError) -> errors.RedisError:
    """Return the exception of ours whose name is that of the class, or of the next class above."""
    own = (getattr(errors, kind.__name__, None) for kind in type(error).__mro__)
    kind: type[errors.RedisError] = next(filter(None, own))
    return kind(str(error))


def _is_state(state: Any) -> bool:
    wanted = {"ip": str, "port": int, "is_master": bool, "is_odown": bool, "is_sdown": bool}
    wanted["num-other-sentinels"] = int
    return isinstance(state, dict) and all(
        isinstance(state.get(name), kind) for name, kind in wanted.items()
    )
