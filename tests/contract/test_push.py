"""Revocations reach a mirror through a real server, also after connection failures."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
from redis.asyncio import Redis

from authgw.storage.mirror import Mirror
from authgw.storage.redis import revocation_feed
from authgw.storage.redis.connect import connect
from authgw.storage.redis.keys import ENDED_CHANNEL
from authgw.storage.redis.revocation_feed import RedisRevocationFeed
from authgw.storage.redis.store import RedisStore
from tests.support.builders import numbered
from tests.support.processes import free_port
from tests.support.redis import wait_for_redis


class ReceivedSids:
    """The sids of the revocations that were received."""

    def __init__(self) -> None:
        self.sids: list[str] = []

    def __call__(self, sid: str) -> None:
        self.sids.append(sid)


@asynccontextmanager
async def subscribed(url: str, received: ReceivedSids) -> AsyncIterator[None]:
    servers = connect(url)
    task = asyncio.create_task(RedisRevocationFeed(servers.subscribe, received).run())
    try:
        yield
        assert not task.done()
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        await servers.close()


async def reaches(client: "Redis", received: ReceivedSids) -> None:
    """Publish revocations until the subscriber, which may still have to reconnect, gets them."""
    sid = numbered(random.getrandbits(100)).sid
    for _ in range(500):
        await client.publish(ENDED_CHANNEL, sid)
        await asyncio.sleep(0.01)
        if sid in received.sids:
            return
    pytest.fail("no revocation was received in 5 s")


@pytest.fixture
async def client(redis_url: str) -> AsyncIterator["Redis"]:
    client = Redis.from_url(redis_url)
    await client.flushall()
    yield client
    await client.aclose()


async def test_a_revocation_on_another_replica_ends_the_session_here(
    client: "Redis", redis_url: str
) -> None:
    here = RedisStore(connect(redis_url), idle=60, session_max=60)
    elsewhere = RedisStore(connect(redis_url), idle=60, session_max=60)
    mirror = Mirror(here, max_staleness=60, deadline=0.25, capacity=10)
    received = ReceivedSids()

    def ended(sid: str) -> None:
        received(sid)
        mirror.mark_ended(sid)

    task = asyncio.create_task(elsewhere.revocation_feed(ended).run())
    second = Redis.from_url(redis_url)
    await reaches(second, received)
    await elsewhere.add(numbered(1), 10)
    assert (await mirror.get(numbered(1).sid)).session == numbered(1)
    await elsewhere.revoke(numbered(1).sid)
    # A connection keeps the order: after this, all that was published before has been received.
    await reaches(second, received)
    cached = mirror.peek(numbered(1).sid)
    assert cached is not None
    assert cached.session is None
    task.cancel()
    mirror.close()
    for store in (here, elsewhere):
        await store.close()
    await second.aclose()


async def test_killed_subscribers_reconnect(client: "Redis", redis_url: str) -> None:
    received = ReceivedSids()
    async with subscribed(redis_url, received):
        for _ in range(5):
            await reaches(client, received)
            assert await client.client_kill_filter(_type="pubsub") >= 1
        await reaches(client, received)


async def test_an_invalid_message_is_harmless(client: "Redis", redis_url: str) -> None:
    received = ReceivedSids()
    async with subscribed(redis_url, received):
        await reaches(client, received)
        await client.publish(ENDED_CHANNEL, b"\xff\x00")
        await reaches(client, received)
        assert "\ufffd\x00" in received.sids


async def test_a_subscriber_continues_after_an_internal_error(
    client: "Redis", redis_url: str
) -> None:
    received = ReceivedSids()

    class Breaking(ReceivedSids):
        def __call__(self, sid: str) -> None:
            received(sid)
            if sid == "break":
                raise ZeroDivisionError

    async with subscribed(redis_url, Breaking()):
        await reaches(client, received)
        await client.publish(ENDED_CHANNEL, "break")
        await reaches(client, received)
    assert "break" in received.sids


async def test_a_silent_server_does_not_cause_a_reconnect(
    client: "Redis", redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(revocation_feed, "_PING_INTERVAL", 0.05)
    received = ReceivedSids()
    async with subscribed(redis_url, received):
        await reaches(client, received)
        before = [entry["id"] for entry in await client.client_list(_type="pubsub")]
        await asyncio.sleep(0.6)
        assert [entry["id"] for entry in await client.client_list(_type="pubsub")] == before
        await reaches(client, received)


async def test_a_half_open_connection_is_replaced(
    client: "Redis", redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(revocation_feed, "_PING_INTERVAL", 0.1)
    received, pipes = ReceivedSids(), list[asyncio.Task[None]]()
    server = client.connection_pool.connection_kwargs["port"]

    async def pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            writer.write(data)

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", server)
        for ends in ((reader, far_writer), (far_reader, writer)):
            pipes.append(asyncio.create_task(pipe(*ends)))

    proxy = await asyncio.start_server(connected, "127.0.0.1", 0)
    port = proxy.sockets[0].getsockname()[1]
    async with subscribed(f"redis://127.0.0.1:{port}/0", received):
        await reaches(client, received)
        frozen = len(pipes)
        # From now on no data passes, and no connection is closed.
        for task in pipes:
            task.cancel()
        await reaches(client, received)
        assert len(pipes) > frozen
    proxy.close()
    for task in pipes:
        task.cancel()


async def test_a_server_that_starts_late_is_connected(tmp_path: Path) -> None:
    port, received = free_port(), ReceivedSids()
    async with subscribed(f"redis://127.0.0.1:{port}/0", received):
        await asyncio.sleep(0.3)
        options = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(tmp_path)]
        server = await asyncio.create_subprocess_exec(
            "redis-server", *options, stdout=asyncio.subprocess.DEVNULL
        )
        await asyncio.to_thread(wait_for_redis, port, tmp_path)
        client = Redis.from_url(f"redis://127.0.0.1:{port}/0")
        await reaches(client, received)
        await client.aclose()
        server.terminate()
        await server.wait()


async def test_pauses_stay_finite() -> None:
    # After an hour without a server, 2**failures overflows a float.
    subscriber = RedisRevocationFeed(
        connect(f"redis://127.0.0.1:{free_port()}/0").subscribe, ReceivedSids()
    )
    subscriber._failures = 5000
    task = asyncio.create_task(subscriber.run())
    await asyncio.sleep(0.1)
    assert not task.done()
    task.cancel()
