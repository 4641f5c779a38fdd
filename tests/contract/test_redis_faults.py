"""A real Redis that hangs, is away, refuses or breaks off: unavailable, and no verdict."""

import asyncio
import traceback
from pathlib import Path

import pytest
from redis.asyncio import Redis
from redis.exceptions import ResponseError

from authgw.core.errors import StoreUnavailableError
from authgw.core.sessions import Snapshot
from authgw.storage.redis import commands as redis_commands
from authgw.storage.redis.connect import connect
from authgw.storage.redis.store import RedisStore, _key
from tests.support.builders import numbered
from tests.support.faultproxy import NONE, RESET, FaultProxy
from tests.support.processes import free_port


async def test_a_server_that_hangs_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis_commands, "OPERATION_TIMEOUT", 0.1)

    async def never(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(5)
        writer.close()

    port = free_port()
    server = await asyncio.start_server(never, "127.0.0.1", port)
    store = RedisStore(connect(f"redis://127.0.0.1:{port}/0"), idle=60, session_max=60)
    for call in (
        store.increment_all([("a", 60)]),
        store.release(["a"], ["b"]),
        store.claim("a", 60),
        store.last_used([numbered(1).sid]),
    ):
        with pytest.raises(StoreUnavailableError):
            await call
    await store.close()
    server.close()


async def test_an_unreachable_server_is_unavailable() -> None:
    store = RedisStore(connect(f"redis://127.0.0.1:{free_port()}/0"), idle=60, session_max=60)
    for call in (
        store.read(numbered(1).sid),
        store.read("*"),
        store.revoke_all("1"),
        store.increment_all([("a", 60)]),
        store.release(["a"], []),
        store.claim("a", 60),
        store.last_used([numbered(1).sid]),
    ):
        with pytest.raises(StoreUnavailableError) as raised:
            await call
        # Metrics count failures by the original exception.
        assert type(raised.value.__context__).__name__ == "ConnectionError"
        assert "ConnectionError" not in "".join(traceback.format_exception(raised.value)[:-1])


async def test_connections_to_a_former_master_are_closed(real: RedisStore, redis_url: str) -> None:
    await real.add(numbered(1), 100)
    async with Redis.from_url(redis_url) as client:
        await client.replicaof("127.0.0.1", "1")
        try:
            with pytest.raises(StoreUnavailableError):
                await real.add(numbered(2), 100)
            (before,) = real._servers.known()
            assert before._link is not None
            assert before._link.is_closed
        finally:
            await client.replicaof("NO", "ONE")
    await real.add(numbered(2), 100)


async def test_a_corrupt_record_is_unavailable(real: RedisStore, redis_url: str) -> None:
    await real.add(numbered(1), 10)
    client = Redis.from_url(redis_url)
    (key,) = await client.keys("authgw:*:s:*")
    await client.set(key, "not json")
    await client.aclose()
    with pytest.raises(StoreUnavailableError, match="cannot be read"):
        await real.read(numbered(1).sid)


async def test_a_corrupt_record_affects_no_other_session(real: RedisStore, redis_url: str) -> None:
    for number in (1, 2, 3):
        await real.add(numbered(number), 10)
    client = Redis.from_url(redis_url)
    await client.set(_key(numbered(1).sid), "not json")
    await client.delete(_key(numbered(2).sid))
    await client.rpush(_key(numbered(2).sid), "a list")
    await client.aclose()
    bad, wrong, good = await real.read_many([numbered(number).sid for number in (1, 2, 3)])
    assert isinstance(bad, StoreUnavailableError)
    assert isinstance(wrong, StoreUnavailableError)
    assert wrong.detail == "Redis: ResponseError"
    assert isinstance(good, Snapshot)
    assert good.session == numbered(3)
    with pytest.raises(StoreUnavailableError):
        await real.read(numbered(2).sid)


async def test_a_server_that_cannot_save_still_serves_reads(
    real: RedisStore, redis_url: str
) -> None:
    await real.add(numbered(1), 10)
    client = Redis.from_url(redis_url)
    # A directory has the name of the file that the server writes.
    obstacle = Path(str((await client.config_get("dir"))["dir"])) / "dump.rdb"
    obstacle.mkdir()
    await client.config_set("save", "3600 1")
    await client.bgsave()
    for _ in range(500):
        if (await client.info("persistence"))["rdb_last_bgsave_status"] == "err":
            break
        await asyncio.sleep(0.02)
    try:
        with pytest.raises(ResponseError, match="MISCONF"):
            await client.getex(_key(numbered(1).sid), px=1000)
        assert (await real.read(numbered(1).sid)).session == numbered(1)
        seen, absent = await real.read_many([numbered(1).sid, numbered(2).sid])
        assert isinstance(seen, Snapshot)
        assert isinstance(absent, Snapshot)
        assert (seen.session, absent.session) == (numbered(1), None)
        with pytest.raises(StoreUnavailableError):
            await real.revoke(numbered(1).sid)
    finally:
        await client.config_set("save", "")
        obstacle.rmdir()
        await client.bgsave()
        await client.aclose()


async def test_a_refused_time_command_is_unavailable(real: RedisStore, redis_url: str) -> None:
    client = Redis.from_url(redis_url)
    await client.acl_setuser(
        "mute", enabled=True, nopass=True, keys="*", commands=["+@all", "-time"]
    )
    mute = RedisStore(connect(redis_url.replace("//", "//mute:any@")), idle=60, session_max=60)
    with pytest.raises(StoreUnavailableError, match="NoPermission"):
        await mute.read(numbered(1).sid)
    await mute.close()
    await client.acl_deluser("mute")
    await client.aclose()


async def test_a_connection_that_uvloop_reports_as_closed_is_unavailable(
    real: RedisStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write(data: bytes) -> None:
        raise RuntimeError("unable to perform operation on <TCPTransport closed=True>")

    await real.read(numbered(1).sid)
    (server,) = real._servers.known()
    assert server._link is not None
    assert server._link._transport is not None
    monkeypatch.setattr(server._link._transport, "write", write)
    with pytest.raises(StoreUnavailableError):
        await real.read(numbered(1).sid)
    assert server._link.is_closed


async def test_connections_lost_in_the_pool_fail_no_command(
    real: RedisStore, redis_url: str
) -> None:
    port = int(redis_url.rpartition(":")[2].split("/")[0])
    killer = Redis.from_url(redis_url)
    with FaultProxy(port) as proxy:
        store = RedisStore(connect(f"redis://127.0.0.1:{proxy.port}/0"), idle=60, session_max=60)
        await store.add(numbered(1), 10)
        for end in (
            lambda: asyncio.to_thread(proxy.set, RESET),
            lambda: killer.client_kill_filter(_type="normal"),
        ):
            await asyncio.gather(*(store.read(numbered(1).sid) for _ in range(10)))
            await end()
            await asyncio.to_thread(proxy.set, NONE)
            await asyncio.sleep(0.1)
            for _ in range(10):
                assert (await store.read(numbered(1).sid)).session == numbered(1)
        await store.close()
    await killer.aclose()
