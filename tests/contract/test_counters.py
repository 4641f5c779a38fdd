"""What every store of counters promises."""

import asyncio

from authgw.core.counters import Counters


async def test_counts_by_name(store: Counters) -> None:
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


async def test_a_hundred_at_once_are_a_hundred(store: Counters) -> None:
    counted = await asyncio.gather(*(store.increment("a", 60) for _ in range(100)))
    assert sorted(count for count, _ in counted) == list(range(1, 101))
