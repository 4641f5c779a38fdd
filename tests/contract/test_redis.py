"""What only the real server shows: races, lost scripts, faults, cancelled calls."""

import asyncio
import random
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from redis.exceptions import ResponseError

from authgw.core.errors import StoreUnavailable
from authgw.core.sessions import Session, Snapshot, new_sid
from authgw.storage.redis import ENDED_CHANNEL, RedisStore, _key, connect
from tests.contract.conftest import free_port
from tests.unit.builders import a_session


@pytest.fixture
async def real(redis_url: str) -> AsyncIterator[RedisStore]:
    client = connect(redis_url)
    await client.flushall()
    store = RedisStore(client, idle=60, session_max=600)
    yield store
    await store.close()


def numbered(number: int) -> Session:
    return replace(a_session(), sid=new_sid("1", number.to_bytes(16)))


async def test_idleness_ends_and_use_extends(real: RedisStore, redis_url: str) -> None:
    # On the real server only: fakeredis cuts the milliseconds of GETEX PX.
    store = RedisStore(connect(redis_url), idle=1, session_max=60)
    used, idle = numbered(1), numbered(2)
    await store.add(used, 100)
    await store.add(idle, 100)
    for _ in range(4):
        await asyncio.sleep(0.4)
        assert (await store.read(used.sid)).session == used
    assert (await store.read(idle.sid)).session is None
    # A session that idled away holds no place.
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


async def test_logout_racing_refresh_leaves_nothing_alive(real: RedisStore) -> None:
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
    client = connect(redis_url)
    await client.script_flush()
    assert await real.revoke(numbered(1).sid)
    await client.aclose()


async def test_every_ended_sid_is_published(real: RedisStore, redis_url: str) -> None:
    client = connect(redis_url)
    async with client.pubsub() as listener:
        await listener.subscribe(ENDED_CHANNEL)
        for number in (1, 2, 3):
            await real.add(numbered(number), 2)
        await real.revoke(numbered(2).sid)
        await real.revoke_all("1")
        heard: list[str] = []
        while len(heard) < 3:
            message = await listener.get_message(ignore_subscribe_messages=True, timeout=5)
            if message:
                heard.append(str(message["data"], "ascii"))
    await client.aclose()
    assert heard == [numbered(number).sid for number in (1, 2, 3)]


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
        except StoreUnavailable:
            return
        assert seen.session == mine

    for _ in range(100):
        await asyncio.gather(*(call() for _ in range(20) for call in (abort, check)))
    assert (await real.read(opened[0].sid)).session == opened[0]


async def test_a_server_that_is_away_is_unavailable() -> None:
    store = RedisStore(connect(f"redis://127.0.0.1:{free_port()}/0"), idle=60, session_max=60)
    for call in (store.read(numbered(1).sid), store.read("*"), store.revoke_all("1")):
        with pytest.raises(StoreUnavailable):
            await call


async def test_a_record_that_is_none_is_no_verdict(real: RedisStore, redis_url: str) -> None:
    await real.add(numbered(1), 10)
    client = connect(redis_url)
    (key,) = await client.keys("authgw:*:s:*")
    await client.set(key, "not json")
    await client.aclose()
    with pytest.raises(StoreUnavailable, match="cannot be read"):
        await real.read(numbered(1).sid)


async def test_one_record_that_is_none_spoils_no_other(real: RedisStore, redis_url: str) -> None:
    for number in (1, 2, 3):
        await real.add(numbered(number), 10)
    client = connect(redis_url)
    await client.set(_key(numbered(1).sid), "not json")
    await client.delete(_key(numbered(2).sid))
    await client.rpush(_key(numbered(2).sid), "a list")
    await client.aclose()
    bad, wrong, good = await real.read_many([numbered(number).sid for number in (1, 2, 3)])
    assert isinstance(bad, StoreUnavailable)
    assert isinstance(wrong, StoreUnavailable)
    assert wrong.detail == "Redis: ResponseError"
    assert isinstance(good, Snapshot)
    assert good.session == numbered(3)
    with pytest.raises(StoreUnavailable):
        await real.read(numbered(2).sid)


async def test_a_server_that_cannot_save_still_answers_reads(
    real: RedisStore, redis_url: str
) -> None:
    await real.add(numbered(1), 10)
    client = connect(redis_url)
    # A folder stands where the server wants to save.
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
        with pytest.raises(StoreUnavailable):
            await real.revoke(numbered(1).sid)
    finally:
        await client.config_set("save", "")
        obstacle.rmdir()
        await client.bgsave()
        await client.aclose()


async def test_a_refused_question_for_the_time_is_no_verdict(
    real: RedisStore, redis_url: str
) -> None:
    client = connect(redis_url)
    await client.acl_setuser(
        "mute", enabled=True, nopass=True, keys="*", commands=["+@all", "-time"]
    )
    mute = RedisStore(connect(redis_url.replace("//", "//mute:any@")), idle=60, session_max=60)
    with pytest.raises(StoreUnavailable, match="NoPermission"):
        await mute.read(numbered(1).sid)
    await mute.close()
    await client.acl_deluser("mute")
    await client.aclose()


async def test_replicas_with_the_same_keys_are_taken_in(real: RedisStore) -> None:
    assert await real.announce("one", "a1", ("a1",)) == (True, "")
    assert await real.announce("two", "a1", ("a1", "b2")) == (True, "")
    assert await real.announce("one", "a1", ("a1",)) == (True, "")


async def test_a_newcomer_that_clashes_is_not_taken_in(real: RedisStore) -> None:
    await real.announce("one", "a1", ("a1",))
    # It lacks theirs; they lack its own; it has another altogether.
    for signing, kids in (("b2", ("b2",)), ("b2", ("a1", "b2")), ("a1", ("xa1x",))):
        assert await real.announce("two", signing, kids) == (False, "a1")
    # It left nothing behind, and one that runs already stays and only learns of a clash.
    assert await real.announce("one", "c3", ("c3",)) == (True, "")
    await real.announce("two", "c3", ("c3",))
    assert await real.announce("one", "d4", ("c3", "d4")) == (True, "c3")


async def test_an_announcement_ends(real: RedisStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("authgw.storage.redis.ANNOUNCED_FOR", 0.05)
    await real.announce("one", "a1", ("a1",))
    await asyncio.sleep(0.1)
    assert await real.announce("two", "b2", ("b2",)) == (True, "")
