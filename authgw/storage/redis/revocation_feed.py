"""Subscriber to session revocations that other replicas publish, for effect within milliseconds.

A message takes effect while its bytes are read. No guarantee depends on it: revocations that are
missed while the connection is down take effect within the mirror's `max_staleness`.
"""

import asyncio
import random
from collections.abc import Callable, Iterator

from loguru import logger

from authgw.core.measurements import Measurement, counter, gauge
from authgw.storage.redis.errors import ConnectionError, without_frames
from authgw.storage.redis.keys import ENDED_CHANNEL
from authgw.storage.redis.link import RedisLink
from authgw.storage.redis.node import unless_refused
from authgw.storage.redis.replies import Request, is_subscribed

# Seconds between two PINGs, and until the connection counts as lost when one has no reply.
_PING_INTERVAL = 2.0
# Seconds until the next connection: at most the first, doubled by each failure up to the other.
_MIN_BACKOFF, _MAX_BACKOFF = 0.1, 2.0
_SUBSCRIBE = Request(("SUBSCRIBE", ENDED_CHANNEL), is_subscribed)


class RedisRevocationFeed:
    """Calls `ended` with each sid that is published as ended.

    `subscribe` returns a new link whose messages are passed to its argument. `connected` is True
    while the subscription is active; `received` counts the messages.
    """

    def __init__(
        self,
        subscribe: Callable[[Callable[[bytes], None]], RedisLink],
        ended: Callable[[str], None],
    ) -> None:
        self._subscribe = subscribe
        self._ended = ended
        self._failures = 0
        self.connected = False
        self.received = 0

    def collect(self) -> Iterator[Measurement]:
        """See `MeasuredPart.collect`."""
        yield gauge(
            "authgw_push_connected",
            "With Redis: 1 while revocations by other replicas are received at once",
            self.connected,
        )
        yield counter(
            "authgw_push_heard",
            "With Redis: revocations that were received, those of this replica included",
            self.received,
        )

    async def run(self) -> None:
        """Receive messages until cancelled; reconnect after every failure."""
        while True:
            try:
                await self._receive_from(self._subscribe(self._receive))
            except Exception as error:
                # After any exception: nobody would notice that the subscriber has ended.
                self._log_failure(without_frames(error))
            self.connected = False
            await asyncio.sleep(_pause(self._failures))

    async def _receive_from(self, link: RedisLink) -> None:
        """Subscribe and return only by an exception: after a failure of the link."""
        loop = asyncio.get_running_loop()
        try:
            (reply,) = await link.send([_SUBSCRIBE], loop.time() + _PING_INTERVAL)
            unless_refused(reply)
            # From here on no message is missed.
            if self._failures:
                logger.bind(event="push_restored").info(
                    "Revocations of other replicas arrive at once again."
                )
            self._failures = 0
            self.connected = True
            while True:
                await asyncio.wait({link.closed}, timeout=_PING_INTERVAL)
                # A batch without commands is a PING. A closed link raises its error.
                await link.send([], loop.time() + _PING_INTERVAL)
        finally:
            link.close(ConnectionError("the subscription has ended"))

    def _receive(self, message: bytes) -> None:
        self.received += 1
        self._ended(message.decode("ascii", "replace"))

    def _log_failure(self, error: Exception) -> None:
        self._failures += 1
        if self._failures == 1:
            logger.bind(event="push_lost").warning(
                f"Cannot subscribe to revocations of other replicas ({type(error).__name__}): they "
                "take effect within cache.max_staleness until Redis is reachable."
            )


def _pause(failures: int) -> float:
    """Return random seconds, so that replicas that fail together do not connect together."""
    # 2**failures would overflow a float.
    longest = _MIN_BACKOFF * 2.0 ** min(failures, 10)
    return min(_MAX_BACKOFF, random.random() * longest)  # noqa: S311  no secret
