"""Replicas announce their keys in a real Redis, and a clash keeps a newcomer out."""

import asyncio
import time
from dataclasses import replace

import pytest
from redis.asyncio import Redis

from authgw.core.errors import StoreUnavailableError
from authgw.core.session_codec import dump
from authgw.core.sessions import hash_of_sid
from authgw.storage.redis.connect import connect
from authgw.storage.redis.keys import prefix
from authgw.storage.redis.store import RedisStore
from tests.support.builders import numbered


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


async def announce_previous(redis_url: str, seconds: float) -> None:
    """Announce a replica of the version before compact forms, for this time."""
    async with Redis.from_url(redis_url) as client:
        expiry = int((time.time() + seconds) * 1000)
        await client.zadd("authgw:replicas", {"0123456789abcdef a1 ,a1,": expiry})


async def test_forms_are_compact_while_every_replica_reads_them(
    real: RedisStore, redis_url: str
) -> None:
    assert not real.compact
    await real.announce("one", "a1", ("a1",))
    assert real.compact
    other = RedisStore(connect(redis_url), idle=60, session_max=600)
    await other.announce("two", "a1", ("a1",))
    await real.announce("one", "a1", ("a1",))
    assert real.compact
    assert other.compact
    await announce_previous(redis_url, 30)
    assert await real.announce("one", "a1", ("a1",)) == (True, "")
    assert not real.compact
    # A refused replica does not mint, and leaves the others as they are.
    assert await other.announce("three", "b2", ("b2",)) == (False, "a1")
    assert not other.compact
    await announce_previous(redis_url, -1)
    await real.announce("one", "a1", ("a1",))
    assert real.compact
    await other.close()


async def test_without_an_announcement_forms_are_those_of_the_previous_version(
    real: RedisStore, redis_url: str
) -> None:
    await real.announce("one", "a1", ("a1",))
    session = numbered(1)
    assert real.record(session) == dump(session, compact=True)
    async with Redis.from_url(redis_url) as client:
        await client.set("authgw:replicas", "not a registry")
        with pytest.raises(StoreUnavailableError):
            await real.announce("one", "a1", ("a1",))
        assert real.record(session) == dump(session)
        await client.delete("authgw:replicas")
    await real.announce("one", "a1", ("a1",))
    assert real.record(session) == dump(session, compact=True)


async def test_sessions_change_between_both_forms(real: RedisStore) -> None:
    session = numbered(1)
    await real.add(session, 10)
    for gen, compact in enumerate([True, True, False, False, True], 1):
        real.compact = compact
        seen, new = await real.read(session.sid), replace(session, gen=gen)
        assert await real.replace(seen, new) is None
        found = await real.replace(seen, replace(session, gen=99))
        assert found is not None
        assert found.session == new
        assert found.version == dump(new, compact=compact)
    assert await real.sessions_of(session.sub) == (replace(session, gen=5),)


@pytest.mark.parametrize("compact", [False, True])
async def test_a_record_of_another_session_is_refused(
    real: RedisStore, redis_url: str, compact: bool
) -> None:
    real.compact = compact
    for other in (numbered(2), numbered(1, "another")):
        async with Redis.from_url(redis_url) as client:
            key = f"{prefix(hash_of_sid(numbered(1).sid))}{numbered(1).sid}"
            await client.set(key, real.record(other))
        with pytest.raises(StoreUnavailableError, match="that of another session"):
            await real.read(numbered(1).sid)
