"""Replicas announce their keys in a real Redis, and a clash keeps a newcomer out."""

import asyncio

import pytest

from authgw.storage.redis.store import RedisStore


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
