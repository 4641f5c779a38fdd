"""What a pushed revocation costs a replica that hears it, and the Redis that carries it."""

import secrets
import selectors
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from authgw.core.sessions import new_sid
from authgw.storage.redis.keys import ENDED_CHANNEL
from bench.gateways import Gateway, RedisServer
from bench.http import connect
from bench.processes import cpu_us

_MESSAGES = 3000
_SUBSCRIBERS = 50
_SETTLE = 0.5  # seconds in which a replica works off what it heard
_CHUNK = 65536  # bytes


def push_costs(redis: RedisServer, replica: Gateway) -> dict[str, float | None]:
    """CPU microseconds: `push_us` per message in a replica (None: it does not subscribe),
    `publish_us` per message in Redis and `delivery_us` per message and subscriber there."""
    subscribed: Any = redis.client().pubsub_numsub(ENDED_CHANNEL)
    heard = int(subscribed[0][1])
    few, push = _publish(redis, replica)
    with _subscribers(redis):
        many, _ = _publish(redis, replica)
    delivery = max(0.0, (many - few) / _SUBSCRIBERS)
    return {
        "push_us": push if heard else None,
        "publish_us": max(0.0, few - heard * delivery),
        "delivery_us": delivery,
    }


@contextmanager
def _subscribers(redis: RedisServer) -> Iterator[None]:
    """Connections that hear every message and read it, as replicas do."""
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


def _publish(redis: RedisServer, replica: Gateway) -> tuple[float, float]:
    client = redis.client()
    before = cpu_us([redis.pid]), cpu_us([replica.pid])
    # One by one, as log-outs come: what travels together costs less.
    for number in range(_MESSAGES):
        client.publish(ENDED_CHANNEL, new_sid(str(number), secrets.token_bytes(16)))
    time.sleep(_SETTLE)
    spent = cpu_us([redis.pid]) - before[0], cpu_us([replica.pid]) - before[1]
    return spent[0] / _MESSAGES, spent[1] / _MESSAGES
