"""Reads of the mirror: together, in parts, once for all waiting requests, in virtual time."""

import asyncio
import gc

import pytest

from authgw.core.errors import StoreUnavailableError
from authgw.storage.batch_reader import MAX_COALESCING_WAIT, Batch
from tests.support.builders import numbered
from tests.support.mirror_scene import (
    DEADLINE,
    ONE,
    TWO,
    MirrorScene,
    virtual,
)


@virtual
async def test_reads_of_one_loop_turn_are_batched(s: MirrorScene) -> None:
    sids = [numbered(number).sid for number in range(300)]
    tasks = [s.looking(sid) for sid in sids * 3]
    await asyncio.gather(*tasks)
    assert [len(sids) for _, sids in s.store.calls] == [256, 44]
    assert {sid for _, sids in s.store.calls for sid in sids} == set(sids)


@virtual
async def test_requests_during_a_quick_read_share_the_next_batch(s: MirrorScene) -> None:
    s.store.delay = MAX_COALESCING_WAIT * 0.8
    first = s.looking(numbered(0).sid)
    for number in range(1, 7):
        await s.at(MAX_COALESCING_WAIT * number / 10)
        last = s.looking(numbered(number).sid)
    await asyncio.gather(first, last)
    assert [(when, len(sids)) for when, sids in s.store.calls] == [
        (0, 1),
        (pytest.approx(MAX_COALESCING_WAIT * 0.8), 6),
    ]


@virtual
async def test_a_slow_read_does_not_delay_the_next(s: MirrorScene) -> None:
    s.store.delay = 0.2
    first = s.looking(ONE.sid)
    await s.at(0.05)
    s.store.delay = 0.0
    await s.mirror.get(TWO.sid)
    assert s.loop.now == pytest.approx(0.05 + MAX_COALESCING_WAIT)
    assert not first.done()


@virtual
async def test_concurrent_reads_are_limited(s: MirrorScene) -> None:
    s.store.delay = 0.2
    sids = [numbered(number).sid for number in range(3000)]
    rush = asyncio.gather(*(s.looking(sid) for sid in sids))
    await s.at(0.1)
    assert len(s.store.calls) == 4
    await rush
    assert s.loop.now < 0.7
    assert sorted(sid for _, sids in s.store.calls for sid in sids) == sorted(sids)


@virtual
async def test_requests_fail_when_the_store_is_far_behind(s: MirrorScene) -> None:
    s.store.delay = 100.0
    sids = [numbered(number).sid for number in range(2000)]
    rush = [s.looking(sid) for sid in sids]
    await s.at(4 * DEADLINE + 0.2)
    failed = [task for task in rush if task.done()]
    # Look-ups of the four reads that were sent still wait; all others have failed.
    assert len(failed) == len(sids) - 4 * 256
    assert all(isinstance(task.exception(), StoreUnavailableError) for task in failed)
    s.store.delay = 0.0


@virtual
async def test_a_store_with_an_internal_error_is_unavailable(s: MirrorScene) -> None:
    s.store.sessions = {ONE.sid: None}  # type: ignore[dict-item]  # causes the error
    s.store.snapshot = None  # type: ignore[assignment, method-assign]  # causes the error
    with pytest.raises(StoreUnavailableError, match="did not end"):
        await s.mirror.get(ONE.sid)
    # The event loop reports the error itself.
    assert "TypeError" in repr(s.loop.errors.pop())


@virtual
async def test_a_pending_read_is_joined(s: MirrorScene) -> None:
    s.store.delay = 0.2
    first = s.looking(ONE.sid)
    await s.at(0.1)
    second = s.looking(ONE.sid)
    await asyncio.gather(first, second)
    assert s.loop.now < 0.3
    assert len(s.store.calls) == 1


@virtual
async def test_a_read_older_than_the_bound_is_not_joined(s: MirrorScene) -> None:
    s.mirrored(0.1)
    s.store.delay = 0.2
    first = s.looking(ONE.sid)
    await s.at(0.15)
    s.store.delay = 0.05
    assert (await s.mirror.get(ONE.sid)).session == ONE
    assert [when for when, _ in s.store.calls] == pytest.approx([0, 0.15 + MAX_COALESCING_WAIT])
    # The first reply was late, but by then the state of the other read is cached.
    assert (await first).session == ONE


@virtual
async def test_replies_older_than_the_bound_are_not_used(s: MirrorScene) -> None:
    s.mirrored(0.1)
    s.store.delay = 0.2
    with pytest.raises(StoreUnavailableError, match="longer than"):
        await s.mirror.get(ONE.sid)
    assert len(s.store.calls) == 2
    # After a single late reply, as after a suspend, the session is read again.
    s.store.calls.clear()
    late = s.looking(ONE.sid)
    await s.loop.pause(0.1)
    s.store.delay = 0.0
    assert (await late).session == ONE


@virtual
async def test_a_cancelled_caller_does_not_cancel_the_read(s: MirrorScene) -> None:
    s.store.delay = 0.2
    first, second, third = (s.looking(ONE.sid) for _ in range(3))
    await s.at(0.1)
    first.cancel()
    third.cancel()
    assert (await second).session == ONE
    await asyncio.gather(first, third, return_exceptions=True)
    alone = s.looking(TWO.sid)
    await s.at(0.3)
    alone.cancel()
    await s.at(0.6)
    assert s.mirror.peek(TWO.sid)
    assert [sids for _, sids in s.store.calls] == [[ONE.sid], [TWO.sid]]


@virtual
async def test_sessions_are_read_again_together(s: MirrorScene) -> None:
    await asyncio.gather(s.mirror.get(ONE.sid), s.mirror.get(TWO.sid))
    for number in range(50):
        s.mirror.peek(ONE.sid)
        s.mirror.peek(TWO.sid)
        await s.at(number / 50)
    assert sum(len(sids) for _, sids in s.store.calls) == 4
    assert len(s.store.calls) <= 3


@virtual
async def test_an_unreadable_record_affects_no_other_session(s: MirrorScene) -> None:
    s.store.unreadable = {TWO.sid}
    first, second = s.looking(ONE.sid), s.looking(TWO.sid)
    assert (await first).session == ONE
    assert s.mirror.peek(ONE.sid)
    with pytest.raises(StoreUnavailableError, match="bad"):
        await second
    with pytest.raises(StoreUnavailableError, match="bad"):
        await s.mirror.read(TWO.sid)


@virtual
async def test_a_failed_read_leaves_no_cycle(s: MirrorScene) -> None:
    s.store.down = True
    gc.collect()
    gc.disable()
    try:
        for number in range(3):
            with pytest.raises(StoreUnavailableError):
                await s.mirror.get(numbered(number).sid)
        await asyncio.sleep(0)
        kept = [each for each in gc.get_objects() if isinstance(each, Batch)]
    finally:
        gc.enable()
    assert not kept
