"""Deaths reach a mirror through the real server, whatever happens to the connection."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path

import pytest
from redis.asyncio import Redis

from authgw.core.sessions import Session, new_sid
from authgw.storage.mirror import Mirror
from authgw.storage.redis import revocation_feed
from authgw.storage.redis.connect import connect
from authgw.storage.redis.revocation_feed import RevocationFeed
from authgw.storage.redis.store import ENDED_CHANNEL, RedisStore
from tests.support.builders import a_session
from tests.support.processes import free_port
from tests.support.redis import wait_for_redis


def numbered(number: int) -> Session:
    return replace(a_session(), sid=new_sid("1", number.to_bytes(16)))


class Heard:
    """The sids that were pushed here."""

    def __init__(self) -> None:
        self.sids: list[str] = []

    def __call__(self, sid: str) -> None:
        self.sids.append(sid)


@asynccontextmanager
async def listening(url: str, heard: Heard) -> AsyncIterator[None]:
    servers = connect(url)
    task = asyncio.create_task(RevocationFeed(servers.pubsub, heard).run())
    try:
        yield
        assert not task.done()
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        await servers.close()


async def reaches(client: "Redis", heard: Heard) -> None:
    """A death that is published now is heard, once the listener is there again."""
    sid = numbered(random.getrandbits(100)).sid
    for _ in range(500):
        await client.publish(ENDED_CHANNEL, sid)
        await asyncio.sleep(0.01)
        if sid in heard.sids:
            return
    pytest.fail("a death was not heard in 5 s")


@pytest.fixture
async def client(redis_url: str) -> AsyncIterator["Redis"]:
    client = Redis.from_url(redis_url)
    await client.flushall()
    yield client
    await client.aclose()


async def test_a_death_elsewhere_ends_a_session_here(client: "Redis", redis_url: str) -> None:
    here = RedisStore(connect(redis_url), idle=60, session_max=60)
    elsewhere = RedisStore(connect(redis_url), idle=60, session_max=60)
    mirror = Mirror(here, max_staleness=60, deadline=0.25, capacity=10)
    heard = Heard()

    def ended(sid: str) -> None:
        heard(sid)
        mirror.mark_ended(sid)

    task = asyncio.create_task(RevocationFeed(elsewhere.pubsub, ended).run())
    second = Redis.from_url(redis_url)
    await reaches(second, heard)
    await elsewhere.add(numbered(1), 10)
    assert (await mirror.look(numbered(1).sid)).session == numbered(1)
    await elsewhere.revoke(numbered(1).sid)
    # One connection keeps the order: what was published before this has been heard after it.
    await reaches(second, heard)
    known = mirror.peek(numbered(1).sid)
    assert known is not None
    assert known.session is None
    task.cancel()
    mirror.close()
    for store in (here, elsewhere):
        await store.close()
    await second.aclose()


async def test_killed_listeners_come_back(client: "Redis", redis_url: str) -> None:
    heard = Heard()
    async with listening(redis_url, heard):
        for _ in range(5):
            await reaches(client, heard)
            assert await client.client_kill_filter(_type="pubsub") >= 1
        await reaches(client, heard)


async def test_rubbish_is_heard_and_harms_nothing(client: "Redis", redis_url: str) -> None:
    heard = Heard()
    async with listening(redis_url, heard):
        await reaches(client, heard)
        await client.publish(ENDED_CHANNEL, b"\xff\x00")
        await reaches(client, heard)
        assert "\ufffd\x00" in heard.sids


async def test_a_listener_that_is_broken_within_goes_on(client: "Redis", redis_url: str) -> None:
    heard = Heard()

    class Breaking(Heard):
        def __call__(self, sid: str) -> None:
            heard(sid)
            if sid == "break":
                raise ZeroDivisionError

    async with listening(redis_url, Breaking()):
        await reaches(client, heard)
        await client.publish(ENDED_CHANNEL, "break")
        await reaches(client, heard)
    assert "break" in heard.sids


async def test_silence_of_a_living_server_is_no_loss(
    client: "Redis", redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(revocation_feed, "_PING_INTERVAL", 0.05)
    heard = Heard()
    async with listening(redis_url, heard):
        await reaches(client, heard)
        before = [one["id"] for one in await client.client_list(_type="pubsub")]
        await asyncio.sleep(0.6)
        assert [one["id"] for one in await client.client_list(_type="pubsub")] == before
        await reaches(client, heard)


async def test_a_half_open_connection_is_noticed(
    client: "Redis", redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(revocation_feed, "_PING_INTERVAL", 0.1)
    heard, pipes = Heard(), list[asyncio.Task[None]]()
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
    async with listening(f"redis://127.0.0.1:{port}/0", heard):
        await reaches(client, heard)
        frozen = len(pipes)
        # From now on nothing passes, and nobody closes.
        for task in pipes:
            task.cancel()
        await reaches(client, heard)
        assert len(pipes) > frozen
    proxy.close()
    for task in pipes:
        task.cancel()


async def test_a_server_that_comes_late_is_found(tmp_path: Path) -> None:
    port, heard = free_port(), Heard()
    async with listening(f"redis://127.0.0.1:{port}/0", heard):
        await asyncio.sleep(0.3)
        options = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(tmp_path)]
        server = await asyncio.create_subprocess_exec(
            "redis-server", *options, stdout=asyncio.subprocess.DEVNULL
        )
        await asyncio.to_thread(wait_for_redis, port, tmp_path)
        client = Redis.from_url(f"redis://127.0.0.1:{port}/0")
        await reaches(client, heard)
        await client.aclose()
        server.terminate()
        await server.wait()


async def test_pauses_stay_finite() -> None:
    # After an hour without a server 2**failures is no float any more.
    listener = RevocationFeed(connect(f"redis://127.0.0.1:{free_port()}/0").pubsub, Heard())
    listener._failures = 5000
    task = asyncio.create_task(listener.run())
    await asyncio.sleep(0.1)
    assert not task.done()
    task.cancel()
