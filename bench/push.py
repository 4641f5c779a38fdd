"""Cost of a pushed revocation for a subscribed replica and for Redis."""

import secrets
import selectors
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from authgw.core.sessions import new_sid
from authgw.storage.redis.store import ENDED_CHANNEL
from bench.gateways import BenchGateway, BenchRedis
from bench.http import connect
from bench.processes import cpu_us

_MESSAGES = 3000
_SUBSCRIBERS = 50
_SETTLE = 0.5  # seconds until a replica has processed received messages
_CHUNK = 65536  # bytes


def push_costs(redis: BenchRedis, replica: BenchGateway) -> dict[str, float | None]:
    """Measure the CPU microseconds of a push.

    `push_us` is the cost per message in a replica (None: it does not subscribe), `publish_us` per
    message in Redis, and `delivery_us` per message and subscriber in Redis.
    """
    reply: Any = redis.client().pubsub_numsub(ENDED_CHANNEL)
    subscribed = int(reply[0][1])
    few, push = _publish(redis, replica)
    with _subscribers(redis):
        many, _ = _publish(redis, replica)
    delivery = max(0.0, (many - few) / _SUBSCRIBERS)
    return {
        "push_us": push if subscribed else None,
        "publish_us": max(0.0, few - subscribed * delivery),
        "delivery_us": delivery,
    }


@contextmanager
def _subscribers(redis: BenchRedis) -> Iterator[None]:
    """Keep connections that receive every message, as replicas do."""
    links = [connect(redis.port) for _ in range(_SUBSCRIBERS)]
    over = threading.Event()
    with selectors.DefaultSelector() as selector:
        for link in links:
            link.sendall(f"SUBSCRIBE {ENDED_CHANNEL}\r\n".encode())
            selector.register(link, selectors.EVENT_READ)

        def read() -> None:
            while not over.is_set():
                for key, _ in selector.select(0.1):
                    links[links.index(key.fileobj)].recv(_CHUNK)  # type: ignore[arg-type]  # a socket

        reader = threading.Thread(target=read)
        reader.start()
        try:
            time.sleep(_SETTLE)
            yield
        finally:
            over.set()
            reader.join()
            for link in links:
                link.close()


def _publish(redis: BenchRedis, replica: BenchGateway) -> tuple[float, float]:
    client = redis.client()
    before = cpu_us([redis.pid]), cpu_us([replica.pid])
    # Separate commands, as logouts arrive: pipelined commands cost less.
    for number in range(_MESSAGES):
        client.publish(ENDED_CHANNEL, new_sid(str(number), secrets.token_bytes(16)))
    time.sleep(_SETTLE)
    spent = cpu_us([redis.pid]) - before[0], cpu_us([replica.pid]) - before[1]
    return spent[0] / _MESSAGES, spent[1] / _MESSAGES
