"""What a pushed revocation costs a replica that hears it, and the Redis that carries it."""

import secrets
import time
from typing import Any

from redis import Redis

from authgw.core.sessions import new_sid
from authgw.storage.redis import ENDED_CHANNEL
from bench.gateways import Gateway, RedisServer
from bench.processes import cpu_us

_MESSAGES = 20_000
_BATCH = 500
_SUBSCRIBERS = 50
_SETTLE = 0.5  # seconds in which a replica works off what it heard


def push_costs(redis: RedisServer, replica: Gateway) -> dict[str, float | None]:
    """CPU microseconds: `push_us` per message in a replica (None: it does not subscribe),
    `publish_us` per message in Redis and `delivery_us` per message and subscriber there."""
    client = redis.client()
    subscribed: Any = client.pubsub_numsub(ENDED_CHANNEL)
    heard = int(subscribed[0][1])
    few, push = _publish(redis, replica)
    listeners = [_Deaf(redis) for _ in range(_SUBSCRIBERS)]
    many, _ = _publish(redis, replica)
    for one in listeners:
        one.close()
    delivery = max(0.0, (many - few) / _SUBSCRIBERS)
    return {
        "push_us": push if heard else None,
        "publish_us": max(0.0, few - heard * delivery),
        "delivery_us": delivery,
    }


class _Deaf:
    """A subscriber whose messages the kernel takes and nobody reads."""

    def __init__(self, redis: RedisServer) -> None:
        self._client: Redis = redis.client()
        self._heard: Any = self._client.pubsub()  # type: ignore[no-untyped-call]
        self._heard.subscribe(ENDED_CHANNEL)
        self._heard.get_message(timeout=1)

    def close(self) -> None:
        self._heard.close()
        self._client.close()


def _publish(redis: RedisServer, replica: Gateway) -> tuple[float, float]:
    client = redis.client()
    before = cpu_us([redis.pid]), cpu_us([replica.pid])
    for _ in range(_MESSAGES // _BATCH):
        pipe = client.pipeline(transaction=False)
        for number in range(_BATCH):
            pipe.publish(ENDED_CHANNEL, new_sid(str(number), secrets.token_bytes(16)))
        pipe.execute()
    time.sleep(_SETTLE)
    spent = cpu_us([redis.pid]) - before[0], cpu_us([replica.pid]) - before[1]
    return spent[0] / _MESSAGES, spent[1] / _MESSAGES
