"""Replicas announce their keys in a real Redis, and a clash keeps a newcomer out."""

import asyncio

import pytest

from authgw.storage.redis.store import RedisStore


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


async def test_new_keys_that_clash_leave_a_replica_with_its_old_ones(real: RedisStore) -> None:
    await real.announce("one", "a1", ("a1",))
    await real.announce("two", "a1", ("a1",))
    for signing, kids in (("b2", ("a1", "b2")), ("a1", ("xa1x",))):
        assert await real.announce("two", signing, kids, new=True) == (False, "a1")
    assert await real.announce("two", "a1", ("a1", "b2"), new=True) == (True, "")
    assert await real.announce("one", "b2", ("a1", "b2"), new=True) == (True, "")
    assert await real.announce("two", "b2", ("a1", "b2")) == (True, "")
    # Alone, a replica may take whatever it likes.
    await real.withdraw("two", "b2", ("a1", "b2"))
    assert await real.announce("one", "c3", ("c3",), new=True) == (True, "")


async def test_who_has_left_binds_no_newcomer(real: RedisStore) -> None:
    await real.announce("one", "a1", ("a1",))
    await real.withdraw("one", "a1", ("a1",))
    assert await real.announce("two", "b2", ("b2",)) == (True, "")


async def test_an_announcement_ends(real: RedisStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("authgw.storage.redis.counters.ANNOUNCED_FOR", 0.05)
    await real.announce("one", "a1", ("a1",))
    await asyncio.sleep(0.1)
    assert await real.announce("two", "b2", ("b2",)) == (True, "")
