"""Subscriber to session revocations that other replicas publish, for effect within milliseconds.

No guarantee depends on it: revocations that are missed while the connection is down take effect
within the mirror's `max_staleness`.
"""

import asyncio
from collections.abc import Callable, Iterator

from loguru import logger
from redis.asyncio.client import PubSub
from redis.backoff import ExponentialWithJitterBackoff

from authgw.core.measurements import Measurement, counter, gauge
from authgw.storage.redis.keys import ENDED_CHANNEL
from authgw.storage.redis.replies import UnexpectedReplyError

# Seconds without a message until a PING is sent, and again until the connection counts as lost:
# the health checks of redis-py send a PING, but do not notice a missing reply.
_PING_INTERVAL = 2.0
_BACKOFF = ExponentialWithJitterBackoff(base=0.1, cap=2.0)  # seconds


class RedisRevocationFeed:
    """Calls `ended` with each sid that is published as ended; `pubsub` creates a subscriber.

    `connected` is True while the subscription is active; `received` counts the messages.
    """

    def __init__(self, pubsub: Callable[[], PubSub], ended: Callable[[str], None]) -> None:
        self._pubsub = pubsub
        self._ended = ended
        self._failures = 0
        self.connected = False
        self.received = 0

    def collect(self) -> Iterator[Measurement]:
        """See `MeasuredPart.collect`."""
        yield gauge(
            "authgw_push_connected",
            "1 while this replica receives the revocations of other replicas",
            self.connected,
        )
        yield counter(
            "authgw_push_heard", "Revocations received from other replicas", self.received
        )

    async def run(self) -> None:
        """Receive messages until cancelled; reconnect after every failure."""
        while True:
            try:
                async with self._pubsub() as channel:
                    await self._subscribe(channel)
                    await self._listen(channel)
            except Exception as error:
                # After any exception: nobody would notice that the subscriber has ended.
                self._log_failure(error)
            self.connected = False
            # After a few failures the pause is at its maximum, and 2**failures overflows a float.
            await asyncio.sleep(_BACKOFF.compute(min(self._failures, 10)))

    async def _subscribe(self, channel: PubSub) -> None:
        async with asyncio.timeout(_PING_INTERVAL):
            await channel.subscribe(ENDED_CHANNEL)
            # After the first reply no message is missed.
            while (first := await channel.get_message(timeout=_PING_INTERVAL)) is None:
                continue
            if first["type"] != "subscribe":
                raise UnexpectedReplyError("the reply to SUBSCRIBE is not that of a Redis")
        if self._failures:
            logger.info("Revocations of other replicas arrive at once again.")
        self._failures = 0
        self.connected = True

    async def _listen(self, channel: PubSub) -> None:
        is_ping_pending = False
        while True:
            message = await channel.get_message(timeout=_PING_INTERVAL)
            if message is not None:
                is_ping_pending = False
                if message["type"] not in ("message", "pong"):
                    raise UnexpectedReplyError("a message that was not subscribed to")
                if message["type"] == "message":
                    self.received += 1
                    self._ended(message["data"].decode("ascii", "replace"))
            elif is_ping_pending:
                raise TimeoutError
            else:
                async with asyncio.timeout(_PING_INTERVAL):
                    await channel.ping()
                is_ping_pending = True

    def _log_failure(self, error: Exception) -> None:
        self._failures += 1
        if self._failures == 1:
            logger.warning(
                f"Cannot subscribe to revocations of other replicas ({type(error).__name__}): they "
                "take effect within cache.max_staleness until Redis is reachable."
            )
