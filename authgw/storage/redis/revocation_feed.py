"""Deaths of sessions, as Redis publishes them: what ends anywhere ends here within milliseconds.

Nothing rests on it. What is lost while the connection is down takes hold by the mirror's bound.
"""

import asyncio
from collections.abc import Callable

from loguru import logger
from redis.asyncio.client import PubSub
from redis.backoff import ExponentialWithJitterBackoff

from authgw.storage.redis.replies import UnexpectedReplyError
from authgw.storage.redis.store import ENDED_CHANNEL

# Seconds of silence after which the server is asked whether it is still there, and as many more
# until the connection counts as lost: redis-py sends health checks here, but misses no answer.
_SILENCE = 2.0
_BACKOFF = ExponentialWithJitterBackoff(base=0.1, cap=2.0)  # seconds


class RevocationFeed:
    """Calls `ended` with every sid that is published as ended; `pubsub` makes a listener.

    `connected` is whether it hears them now, `heard` how many it has heard.
    """

    def __init__(self, pubsub: Callable[[], PubSub], ended: Callable[[str], None]) -> None:
        self._pubsub = pubsub
        self._ended = ended
        self._failures = 0
        self.connected = False
        self.heard = 0

    async def keep(self) -> None:
        """Listen until cancelled, and connect again for ever."""
        while True:
            try:
                async with self._pubsub() as channel:
                    await self._subscribe(channel)
                    await self._listen(channel)
            except Exception as error:
                # Whatever it was: a listener that ended would be missed by nobody.
                self._say(error)
            self.connected = False
            # Beyond a few failures the pause is the longest, and 2**failures no float.
            await asyncio.sleep(_BACKOFF.compute(min(self._failures, 10)))

    async def _subscribe(self, channel: PubSub) -> None:
        async with asyncio.timeout(_SILENCE):
            await channel.subscribe(ENDED_CHANNEL)
            # The first answer says that from now on nothing is missed.
            while (first := await channel.get_message(timeout=_SILENCE)) is None:
                continue
            if first["type"] != "subscribe":
                raise UnexpectedReplyError("a reply to SUBSCRIBE that Redis does not give")
        if self._failures:
            logger.info("Revocations are pushed again")
        self._failures = 0
        self.connected = True

    async def _listen(self, channel: PubSub) -> None:
        asked = False
        while True:
            message = await channel.get_message(timeout=_SILENCE)
            if message is not None:
                asked = False
                if message["type"] not in ("message", "pong"):
                    raise UnexpectedReplyError("a message that was not subscribed to")
                if message["type"] == "message":
                    self.heard += 1
                    self._ended(message["data"].decode("ascii", "replace"))
            elif asked:
                raise TimeoutError
            else:
                async with asyncio.timeout(_SILENCE):
                    await channel.ping()
                asked = True

    def _say(self, error: Exception) -> None:
        self._failures += 1
        if self._failures == 1:
            logger.warning(
                f"Revocations are not pushed now ({type(error).__name__}): "
                "they take hold within cache.max_staleness"
            )
