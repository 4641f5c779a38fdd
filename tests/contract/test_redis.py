"""The Redis store on a real server: races, lost scripts, faults, cancelled calls."""

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from redis.asyncio import Redis
from redis.exceptions import ResponseError

from authgw.core.errors import StoreUnavailableError
from authgw.core.sessions import Session, Snapshot, new_sid
from authgw.storage.redis import commands as redis_commands
from authgw.storage.redis import node
from authgw.storage.redis.connect import connect
from authgw.storage.redis.replies import Request
from authgw.storage.redis.store import ENDED_CHANNEL, RedisStore, _key
from tests.support.builders import a_session
from tests.support.faultproxy import NONE, RESET, FaultProxy
from tests.support.processes import free_port


@pytest.fixture
async def real(redis_url: str) -> AsyncIterator[RedisStore]:
    async with Redis.from_url(redis_url) as client:
        await client.flushall()
    store = RedisStore(connect(redis_url), idle=60, session_max=600)
    yield store
    await store.close()


def numbered(number: int) -> Session:
    return replace(a_session(), sid=new_sid("1", number.to_bytes(16)))


async def test_idleness_ends_and_use_extends(real: RedisStore, redis_url: str) -> None:
    # On the real server only: fakeredis truncates the milliseconds of GETEX PX.
    store = RedisStore(connect(redis_url), idle=1, session_max=60)
    used, idle = numbered(1), numbered(2)
    await store.add(used, 100)
    await store.add(idle, 100)
    for _ in range(4):
        await asyncio.sleep(0.4)
        assert (await store.read(used.sid)).session == used
    assert (await store.read(idle.sid)).session is None
    # An idle session does not count towards the limit.
    assert await store.add(numbered(3), 2) == ()
    await store.close()


async def test_a_hundred_replacements_have_one_winner(real: RedisStore) -> None:
    for number in range(50):
        session = numbered(number)
        await real.add(session, 1000)
        seen = await real.read(session.sid)
        tries = (real.replace(seen, replace(session, gen=gen)) for gen in range(1, 101))
        results = await asyncio.gather(*tries)
        assert results.count(None) == 1


async def test_a_logout_wins_against_a_concurrent_refresh(real: RedisStore) -> None:
    for number in range(100):
        session = numbered(number)
        await real.add(session, 1000)
        seen = await real.read(session.sid)
        calls = [real.replace(seen, replace(session, gen=1)), real.revoke(session.sid)]
        random.shuffle(calls)
        await asyncio.gather(*calls)
        assert (await real.read(session.sid)).session is None


async def test_scripts_survive_a_flush(real: RedisStore, redis_url: str) -> None:
    await real.add(numbered(1), 10)
    client = Redis.from_url(redis_url)
    await client.script_flush()
    assert await real.revoke(numbered(1).sid)
    await client.aclose()


async def test_counters_are_right_while_scripts_are_flushed(
    real: RedisStore, redis_url: str
) -> None:
    client = Redis.from_url(redis_url)
    running = True

    async def flush() -> None:
        while running:
            await client.script_flush()

    flushing = asyncio.create_task(flush())
    counted = [("a", 60.0), ("b", 60.0), ("c", 60.0)]
    for last in range(20, 401, 20):
        replies = await asyncio.gather(*(real.increment_all(counted) for _ in range(20)))
        for place in range(3):
            counts = sorted(reply[place][0] for reply in replies)
            assert counts == list(range(last - 19, last + 1))
    for _ in range(5):
        await asyncio.gather(*(real.release(["a"], ["b", "c"]) for _ in range(20)))
    assert [count for count, _ in await real.increment_all(counted)] == [1, 301, 301]
    running = False
    await flushing
    await client.aclose()


async def test_several_counters_cost_one_round_trip(
    real: RedisStore, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted = [("a", 60.0), ("b", 60.0)]
    exchange, trips = node._exchange, 0

    async def counting(link: object, commands: Sequence[Request]) -> list[object]:
        nonlocal trips
        trips += 1
        return await exchange(link, commands)

    monkeypatch.setattr(node, "_exchange", counting)
    client = Redis.from_url(redis_url)
    await client.script_flush()
    await client.aclose()
    expected = 0
    for again in (1, 0):
        await real.increment_all(counted)
        await real.release(["a"], ["b"])
        await real.last_used([numbered(number).sid for number in range(3)])
        expected += 3 + 2 * again
        assert trips == expected


async def test_names_never_reach_keys_and_every_key_ends(real: RedisStore, redis_url: str) -> None:
    await real.increment_all([("alice from 203.0.113.7", 60), ("{x}*\r\n", 60)])
    await real.claim("alice from 203.0.113.7", 60)
    await real.increment("alice from 203.0.113.7", 60)
    await real.release([], ["alice from 203.0.113.7"])
    client = Redis.from_url(redis_url)
    keys = await client.keys("*")
    assert sorted(key[:9] for key in keys) == [b"authgw:c:", b"authgw:c:", b"authgw:o:"]
    assert {len(key) for key in keys} == {31}
    assert all([0 < await client.pttl(key) <= 60_000 for key in keys])
    await client.aclose()


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


async def test_last_use_is_accurate(real: RedisStore) -> None:
    await real.add(numbered(1), 10)
    await asyncio.sleep(0.1)
    now = (await real.read(numbered(1).sid)).now
    await asyncio.sleep(0.1)
    seen = await real.last_used([numbered(1).sid])
    assert seen[numbered(1).sid] == pytest.approx(now, abs=0.05)
    # With a shorter `idle` than before, a time that cannot be determined is not in the future.
    shorter = RedisStore(real._servers, idle=1, session_max=600)
    (used,) = (await shorter.last_used([numbered(1).sid])).values()
    assert now < used <= (await real.read("*")).now


async def test_every_ended_sid_is_published(real: RedisStore, redis_url: str) -> None:
    client = Redis.from_url(redis_url)
    async with client.pubsub() as listener:
        await listener.subscribe(ENDED_CHANNEL)
        for number in (1, 2, 3):
            await real.add(numbered(number), 2)
        await real.revoke(numbered(2).sid)
        await real.revoke_all("1")
        published: list[str] = []
        while len(published) < 3:
            message = await listener.get_message(ignore_subscribe_messages=True, timeout=5)
            if message:
                published.append(str(message["data"], "ascii"))
    await client.aclose()
    assert published == [numbered(number).sid for number in (1, 2, 3)]


async def test_cancelled_reads_never_cross_identities(real: RedisStore) -> None:
    opened = [numbered(number) for number in range(20)]
    for session in opened:
        await real.add(session, 100)

    async def abort() -> None:
        task = asyncio.create_task(real.read(random.choice(opened).sid))
        await asyncio.sleep(random.random() * 0.004)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    async def check() -> None:
        mine = random.choice(opened)
        try:
            seen = await real.read(mine.sid)
        except StoreUnavailableError:
            return
        assert seen.session == mine

    for _ in range(100):
        await asyncio.gather(*(call() for _ in range(20) for call in (abort, check)))
    assert (await real.read(opened[0].sid)).session == opened[0]


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
        with pytest.raises(StoreUnavailableError):
            await call


async def test_a_shorter_session_max_does_not_shorten_the_index(
    real: RedisStore, redis_url: str
) -> None:
    long, brief = numbered(1), numbered(2)
    await real.add(long, 100)
    shortened = RedisStore(connect(redis_url), idle=60, session_max=1)
    await shortened.add(brief, 100)
    await shortened.close()
    async with Redis.from_url(redis_url) as client:
        (index,) = await client.keys("authgw:*:i")
        assert await client.pttl(index) > 500_000


async def test_connections_to_a_former_master_are_closed(real: RedisStore, redis_url: str) -> None:
    await real.add(numbered(1), 100)
    async with Redis.from_url(redis_url) as client:
        await client.replicaof("127.0.0.1", "1")
        try:
            with pytest.raises(StoreUnavailableError):
                await real.add(numbered(2), 100)
            (before,) = real._servers.known()
            pool = before.client.connection_pool
            assert not [link for link in pool._available_connections if link.is_connected]
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


async def test_replicas_with_the_same_keys_are_registered(real: RedisStore) -> None:
    assert await real.announce("one", "a1", ("a1",)) == (True, "")
    assert await real.announce("two", "a1", ("a1", "b2")) == (True, "")
    assert await real.announce("one", "a1", ("a1",)) == (True, "")


async def test_a_new_replica_with_conflicting_keys_is_refused(real: RedisStore) -> None:
    await real.announce("one", "a1", ("a1",))
    # It lacks the other's key; the other lacks its key; both.
    for signing, kids in (("b2", ("b2",)), ("b2", ("a1", "b2")), ("a1", ("xa1x",))):
        assert await real.announce("two", signing, kids) == (False, "a1")
    # A refusal leaves no trace, and a registered replica stays and is informed of the conflict.
    assert await real.announce("one", "c3", ("c3",)) == (True, "")
    await real.announce("two", "c3", ("c3",))
    assert await real.announce("one", "d4", ("c3", "d4")) == (True, "c3")


async def test_conflicting_new_keys_leave_a_replica_with_its_old_keys(real: RedisStore) -> None:
    await real.announce("one", "a1", ("a1",))
    await real.announce("two", "a1", ("a1",))
    for signing, kids in (("b2", ("a1", "b2")), ("a1", ("xa1x",))):
        assert await real.announce("two", signing, kids, new=True) == (False, "a1")
    assert await real.announce("two", "a1", ("a1", "b2"), new=True) == (True, "")
    assert await real.announce("one", "b2", ("a1", "b2"), new=True) == (True, "")
    assert await real.announce("two", "b2", ("a1", "b2")) == (True, "")
    # A single replica may adopt any key.
    await real.withdraw("two", "b2", ("a1", "b2"))
    assert await real.announce("one", "c3", ("c3",), new=True) == (True, "")


async def test_a_withdrawn_replica_does_not_bind_new_replicas(real: RedisStore) -> None:
    await real.announce("one", "a1", ("a1",))
    await real.withdraw("one", "a1", ("a1",))
    assert await real.announce("two", "b2", ("b2",)) == (True, "")


async def test_an_announcement_expires(real: RedisStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("authgw.storage.redis.counters.ANNOUNCEMENT_LIFETIME", 0.05)
    await real.announce("one", "a1", ("a1",))
    await asyncio.sleep(0.1)
    assert await real.announce("two", "b2", ("b2",)) == (True, "")


async def test_a_connection_that_uvloop_reports_as_closed_is_unavailable(
    real: RedisStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def write(link: object, commands: Sequence[Request]) -> list[object]:
        raise RuntimeError("unable to perform operation on <TCPTransport closed=True>")

    monkeypatch.setattr(node, "_exchange", write)
    with pytest.raises(StoreUnavailableError):
        await real.read(numbered(1).sid)


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


async def test_a_connection_with_an_unread_reply_is_not_used_again(
    real: RedisStore, redis_url: str
) -> None:
    (server,) = await real._servers.masters()
    client = server.client
    # redis-py has no types here.
    connection = await client.connection_pool.get_connection()  # type: ignore[no-untyped-call]  # see above
    await connection.send_command("ECHO", "another caller's")
    for _ in range(500):
        if await connection.can_read():
            break
        await asyncio.sleep(0.01)
    await client.connection_pool.release(connection)
    assert await client.echo("mine") == b"mine"
