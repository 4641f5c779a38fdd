"""Every use of redis-py that its documentation does not cover, as of redis-py 8.1.

Any release may change what is used here, so pyproject.toml limits the version, and
tests/unit/storage/redis/test_redis_internals.py has a test for each use. All other modules import
only documented modules and names of redis-py.

No connection made here repeats a command, and a lost connection is not used again.
"""

import asyncio
import ssl
from collections.abc import Mapping, Sequence
from typing import Any

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.connection import Connection, DefaultParser, SSLConnection
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import (
    Sentinel,
    SentinelConnectionPool,
    SentinelManagedConnection,
    SentinelManagedSSLConnection,
)
from redis.backoff import NoBackoff
from redis.cluster import parse_cluster_slots
from redis.crc import key_slot
from redis.exceptions import ConnectionError, RedisError
from redis.maint_notifications import MaintNotificationsConfig

from authgw.storage.redis.node import COMMUNICATION_ERRORS
from authgw.storage.redis.replies import UnexpectedReplyError

Slots = Mapping[tuple[int, int], Mapping[str, Any]]


# redis-py selects the class when it is imported, so it is not a type.
class CheckingParser(DefaultParser):  # type: ignore[valid-type,misc]  # see above
    """redis-py's parser; the pool calls its `can_read` before each use of a connection.

    redis-py overlooks a reset, and each connection that was lost while it was idle would cost a
    command its reply.
    """

    async def can_read(self) -> bool:
        """Return whether bytes arrived that are not a reply to a command.

        Raises:
            OSError: the connection is lost.
        """
        if self._stream is not None and (lost := self._stream.exception()) is not None:
            raise OSError(str(lost))
        return bool(await super().can_read())


class PlainConnection(Connection):
    """A connection that is closed by any failure of its first exchange.

    Other modules send by `send_packed_command`, which takes the bytes of several commands.
    """

    async def on_connect_check_health(self, check_health: bool = True) -> None:
        """Log in and choose the database.

        Raises:
            UnexpectedReplyError: a reply that Redis does not give. redis-py closes a connection
                only for errors of its own, and would later use a connection that has not logged in.
        """
        try:
            await super().on_connect_check_health(check_health)
        except COMMUNICATION_ERRORS:
            raise
        except Exception as error:
            raise UnexpectedReplyError("a first reply that Redis does not give") from error


class _SharedContext:
    """Connections that share a TLS context; each separate context would read every certificate."""

    ssl_context: Any

    def __init__(self, *, tls: ssl.SSLContext, **options: Any) -> None:
        super().__init__(**options)
        self.ssl_context.context = tls


class TlsConnection(_SharedContext, PlainConnection, SSLConnection):
    """A connection over TLS; `tls` is its context."""


class MasterConnection(PlainConnection, SentinelManagedConnection):
    """A connection to the master that the Sentinels name."""


class TlsMasterConnection(_SharedContext, PlainConnection, SentinelManagedSSLConnection):
    """A connection over TLS to the master that the Sentinels name."""


class MasterPool(SentinelConnectionPool, BlockingConnectionPool):
    """Connections to the master that the Sentinels name; a call waits for a free connection."""

    # redis-py has no types for the methods that are called here.
    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)  # type: ignore[no-untyped-call]  # no types there
        self._query: asyncio.Task[Any] | None = None

    async def get_master_address(self) -> Any:
        """Query the Sentinels once for all waiting calls, whose deadlines do not end the query."""
        if self._query is None or self._query.done():
            self._query = asyncio.create_task(self._query_sentinels())
            # Waiting calls receive the error; without them nothing needs it.
            self._query.add_done_callback(lambda task: task.cancelled() or task.exception())
        return await asyncio.shield(self._query)

    async def names(self, link: Any) -> bool:
        """Return whether the Sentinels name the server of this connection."""
        return bool(await self.get_master_address() == (link.host, link.port))

    async def aclose(self) -> None:
        """Close every connection, those to the Sentinels too."""
        if self._query is not None:
            self._query.cancel()
        await super().aclose()
        await self.sentinel_manager.aclose()

    async def _query_sentinels(self) -> Any:
        before = self.master_address
        address = await super().get_master_address()  # type: ignore[no-untyped-call]  # likewise
        if address != before:
            # Connections in use may lead to the former master, which would go on replying.
            await self.update_active_connections_for_reconnect()  # type: ignore[no-untyped-call]  # likewise
        return address


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
        raise ConnectionError(f"a reply to SENTINEL MASTERS that no Sentinel gives ({description})")


def sentinel_manager(clients: Sequence[Redis]) -> Any:
    """Return a manager of these Sentinels; redis-py would make clients with its own connections."""
    manager: Any = Sentinel(())  # type: ignore[no-untyped-call]  # redis-py has no types here
    manager.sentinels = list(clients)
    return manager


def options() -> dict[str, Any]:
    """Return the arguments that every connection has.

    With the notifications of Redis Enterprise, which redis-py would request from every server, the
    pool would accept a connection on which a reply was left behind, or which is closed.
    """
    return {
        # Each operation has its own deadline; a timeout for each reply costs as much as reading it.
        "socket_timeout": None,
        "retry": Retry(NoBackoff(), 0),
        "parser_class": CheckingParser,
        "maint_notifications_config": MaintNotificationsConfig(enabled=False),
    }


def host_of(client: Redis) -> str:
    """Return the host to which this client connects."""
    host: str = client.connection_pool.connection_kwargs["host"]
    return host


def slot_of(key: str) -> int:
    """Return the Cluster's slot of this key."""
    return key_slot(key.encode())


def slots_in(reply: Any, host: str) -> Slots:
    """Return the nodes of each range of slots in a reply to CLUSTER SLOTS by this host.

    `primary` is an address, `replicas` are several.
    """
    slots: Slots = parse_cluster_slots(reply, current_host=host)
    return slots


def _is_state(state: Any) -> bool:
    wanted = {"ip": str, "port": int, "is_master": bool, "is_odown": bool, "is_sdown": bool}
    wanted["num-other-sentinels"] = int
    return isinstance(state, dict) and all(
        isinstance(state.get(name), kind) for name, kind in wanted.items()
    )
