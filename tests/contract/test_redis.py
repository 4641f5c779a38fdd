"""Behaviour that only a real server shows: races, lost scripts, faults, cancelled calls."""

import asyncio
import random
from collections.abc import Sequence
from dataclasses import replace

import pytest
from redis.asyncio import Redis

from authgw.core.errors import StoreUnavailableError
from authgw.storage.redis.connect import connect
from authgw.storage.redis.keys import ENDED_CHANNEL
from authgw.storage.redis.link import RedisLink
from authgw.storage.redis.replies import Request
from authgw.storage.redis.store import RedisStore, _key
from tests.support.builders import numbered


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
    send, trips = RedisLink.send, 0

    def counting(
        link: RedisLink, requests: Sequence[Request], deadline: float
    ) -> asyncio.Future[list[object]]:
        nonlocal trips
        trips += 1
        return send(link, requests, deadline)

    monkeypatch.setattr(RedisLink, "send", counting)
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


async def test_expired_sessions_leave_the_index_once_it_is_full(
    real: RedisStore, redis_url: str
) -> None:
    async with Redis.from_url(redis_url) as client:
        for number in (1, 2, 3):
            await real.add(numbered(number), 3)
            assert await client.exists(_key(numbered(number).sid))
        (index,) = await client.keys("authgw:*:i")
        await client.delete(_key(numbered(1).sid), _key(numbered(3).sid))
        assert await real.add(numbered(4), 4) == ()
        assert await client.zcard(index) == 4
        # The oldest member has expired: no session is ended for the new session.
        assert await real.add(numbered(5), 4) == ()
        assert set(await client.zrange(index, 0, -1)) == {
            numbered(number).sid.encode() for number in (2, 4, 5)
        }
        assert await real.add(numbered(6), 2) == (numbered(2).sid, numbered(4).sid)
        assert await real.sessions_of("1") == (numbered(5), numbered(6))


async def test_an_index_expires_with_its_last_session(real: RedisStore, redis_url: str) -> None:
    async with Redis.from_url(redis_url) as client:
        for number, most in ((1, 1), (2, 1), (3, 2)):
            await real.add(numbered(number), most)
            (index,) = await client.keys("authgw:*:i")
            assert 599_000 < await client.pttl(index) <= 600_000
            await client.pexpire(index, 1000)


async def test_a_new_session_is_not_the_oldest_after_a_clock_was_set_back(
    real: RedisStore, redis_url: str
) -> None:
    async with Redis.from_url(redis_url) as client:
        await real.add(numbered(1), 1)
        (index,) = await client.keys("authgw:*:i")
        await client.zadd(index, {numbered(1).sid: 2**52})
        assert await real.add(numbered(2), 1) == (numbered(1).sid,)
        assert (await real.read(numbered(2).sid)).session == numbered(2)


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
