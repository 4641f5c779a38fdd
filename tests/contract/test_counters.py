"""The contract of all stores for counters and claims."""

import asyncio
from collections import Counter

from authgw.core.counters import Counters


def whole(counted: tuple[int, float]) -> tuple[int, int]:
    """Return the count and its remaining time in whole seconds."""
    return counted[0], round(counted[1])


async def test_increments_are_counted_by_name(store: Counters) -> None:
    assert [(await store.increment("a", 60))[0] for _ in range(3)] == [1, 2, 3]
    count, left = await store.increment("b\r\n*", 60)
    assert count == 1
    assert 59 < left <= 60


async def test_a_counter_ends_its_window_after_its_first_increment(
    store: Counters,
) -> None:
    await store.increment("a", 0.3)
    await asyncio.sleep(0.2)
    count, left = await store.increment("a", 60)
    assert count == 2
    assert left <= 0.1
    await asyncio.sleep(0.15)
    assert (await store.increment("a", 60))[0] == 1


async def test_a_hundred_concurrent_increments_are_all_counted(store: Counters) -> None:
    counted = await asyncio.gather(*(store.increment("a", 60) for _ in range(100)))
    assert sorted(count for count, _ in counted) == list(range(1, 101))


async def test_increment_all_keeps_the_order(store: Counters) -> None:
    await store.increment("b", 60)
    counted = await store.increment_all([("a", 60), ("b", 30), ("c", 0.2), ("a", 60)])
    assert [whole(entry) for entry in counted] == [(1, 60), (2, 60), (1, 0), (2, 60)]
    assert await store.increment_all([]) == []
    await asyncio.sleep(0.25)
    assert [count for count, _ in await store.increment_all([("c", 60), ("b", 60)])] == [1, 3]


async def test_a_hundred_concurrent_increment_all_are_all_counted(store: Counters) -> None:
    counted = [("a", 60), ("b", 60)]
    replies = await asyncio.gather(*(store.increment_all(counted) for _ in range(100)))
    for place in (0, 1):
        assert sorted(reply[place][0] for reply in replies) == list(range(1, 101))


async def test_a_deleted_counter_starts_again(store: Counters) -> None:
    await store.increment_all([("a", 20), ("a", 20), ("b", 20)])
    await store.release(["a", "never counted"], [])
    assert whole(await store.increment("b", 60)) == (2, 20)
    assert whole(await store.increment("a", 60)) == (1, 60)


async def test_a_decremented_counter_keeps_its_end(store: Counters) -> None:
    await store.increment_all([("a", 20)] * 3)
    await store.release([], ["a", "a"])
    assert whole(await store.increment("a", 60)) == (2, 20)


async def test_counters_never_go_below_zero_and_are_deleted_at_zero(store: Counters) -> None:
    await store.increment("a", 20)
    await store.release([], ["a", "a", "a", "never counted"])
    assert whole(await store.increment("a", 60)) == (1, 60)
    assert (await store.increment("never counted", 60))[0] == 1
    await store.release([], [])


async def test_concurrent_increments_and_releases_are_all_counted(store: Counters) -> None:
    await store.increment_all([("a", 60)] * 21)
    increments = (store.increment("a", 60) for _ in range(30))
    await asyncio.gather(*increments, *(store.release([], ["a"]) for _ in range(20)))
    assert (await store.increment("a", 60))[0] == 21 + 30 - 20 + 1


async def test_the_first_claim_wins_until_it_ends(store: Counters) -> None:
    assert await store.claim("a", 0.2)
    assert not await store.claim("a", 60)
    assert await store.claim("b\r\n*", 60)
    await asyncio.sleep(0.25)
    assert await store.claim("a", 60)
    assert not await store.claim("a", 60)


async def test_a_hundred_concurrent_claims_have_one_winner(store: Counters) -> None:
    claims = await asyncio.gather(*(store.claim("a", 60) for _ in range(100)))
    assert Counter(claims) == {True: 1, False: 99}


async def test_claims_and_counters_are_independent(store: Counters) -> None:
    assert await store.claim("a", 60)
    assert (await store.increment("a", 60))[0] == 1
    await store.release(["a"], ["a"])
    assert not await store.claim("a", 60)
