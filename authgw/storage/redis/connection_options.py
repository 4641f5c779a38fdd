"""How every connection to a Redis is made: none repeats a command, none is used once it is lost."""

from typing import Any

from redis.asyncio.connection import Connection, DefaultParser
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.maint_notifications import MaintNotificationsConfig

from authgw.storage.redis.node import AWAY
from authgw.storage.redis.replies import UnexpectedReplyError


# redis-py chooses between two when it is imported, which is no type.
class Attentive(DefaultParser):  # type: ignore[valid-type,misc]  # see above
    """redis-py's parser, which the pool asks about a connection before each use of it.

    On its own it overlooks a reset, and every connection that was lost while it lay in the pool
    would cost one command its answer.
    """

    async def can_read(self) -> bool:
        """Whether something is there that nobody asked for.

        Raises:
            OSError: the connection is lost.
        """
        if self._stream is not None and (lost := self._stream.exception()) is not None:
            raise OSError(str(lost))
        return bool(await super().can_read())


class Plain(Connection):
    """A connection that is closed whatever goes wrong in its first exchange."""

    async def on_connect_check_health(self, check_health: bool = True) -> None:
        """Log in and choose the database.

        Raises:
            UnexpectedReplyError: what came back is not what Redis replies. redis-py closes a connection for
                errors of its own only, and would use one later that has not logged in.
        """
        try:
            await super().on_connect_check_health(check_health)
        except AWAY:
            raise
        except Exception as error:
            raise UnexpectedReplyError("a first reply that Redis does not give") from error


def options() -> dict[str, Any]:
    """What redis-py is given for each connection.

    With the notifications of Redis Enterprise, which it would ask every server for, it takes a
    connection for good on which an answer was left behind, or whose end has come.
    """
    return {
        # Each operation has a deadline of its own; one for each reply costs as much as reading it.
        "socket_timeout": None,
        "retry": Retry(NoBackoff(), 0),
        "parser_class": Attentive,
        "maint_notifications_config": MaintNotificationsConfig(enabled=False),
    }
