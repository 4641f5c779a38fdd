"""Reads of the mirror: together, in parts, once for all waiting requests, in virtual time."""

import asyncio

import pytest

from authgw.core.errors import StoreUnavailableError
from authgw.storage.batch_reader import QUICK
from tests.support.builders import numbered
from tests.support.mirror_scene import (
    DEADLINE,
    ONE,
    TWO,
    Scene,
    virtual,
)


@virtual
async def test_reads_of_one_turn_go_together(s: Scene) -> None:
    sids = [numbered(number).sid for number in range(300)]
    tasks = [s.looking(sid) for sid in sids * 3]
    await asyncio.gather(*tasks)
    assert [len(sids) for _, sids in s.store.calls] == [256, 44]
    assert {sid for _, sids in s.store.calls for sid in sids} == set(sids)


@virtual
async def test_what_is_asked_during_a_quick_read_goes_together_after_it(s: Scene) -> None:
    s.store.delay = QUICK * 0.8
    first = s.looking(numbered(0).sid)
    for number in range(1, 7):
        await s.at(QUICK * number / 10)
        last = s.looking(numbered(number).sid)
    await asyncio.gather(first, last)
    assert [(when, len(sids)) for when, sids in s.store.calls] == [
        (0, 1),
        (pytest.approx(QUICK * 0.8), 6),
    ]


@virtual
async def test_a_slow_read_keeps_no_other_waiting(s: Scene) -> None:
    s.store.delay = 0.2
    first = s.looking(ONE.sid)
    await s.at(0.05)
    s.store.delay = 0.0
    await s.mirror.look(TWO.sid)
    assert s.loop.now == pytest.approx(0.05 + QUICK)
    assert not first.done()


@virtual
async def test_a_rush_is_read_a_part_at_a_time(s: Scene) -> None:
    s.store.delay = 0.2
    sids = [numbered(number).sid for number in range(3000)]
    rush = asyncio.gather(*(s.looking(sid) for sid in sids))
    await s.at(0.1)
    assert len(s.store.calls) == 4
    await rush
    assert s.loop.now < 0.7
    assert sorted(sid for _, sids in s.store.calls for sid in sids) == sorted(sids)


@virtual
async def test_nobody_waits_for_a_store_that_is_far_behind(s: Scene) -> None:
    s.store.delay = 100.0
    sids = [numbered(number).sid for number in range(2000)]
    rush = [s.looking(sid) for sid in sids]
    await s.at(4 * DEADLINE + 0.2)
    failed = [one for one in rush if one.done()]
    # Those of four reads wait for what was sent; all others have their answer.
    assert len(failed) == len(sids) - 4 * 256
    assert all(isinstance(one.exception(), StoreUnavailableError) for one in failed)
    s.store.delay = 0.0


@virtual
async def test_a_store_that_breaks_within_is_unavailable(s: Scene) -> None:
    s.store.sessions = {ONE.sid: None}  # type: ignore[dict-item]  # what fails
    s.store.snapshot = None  # type: ignore[assignment, method-assign]  # likewise
    with pytest.raises(StoreUnavailableError, match="did not end"):
        await s.mirror.look(ONE.sid)
    # The fault itself is the event loop's to report.
    assert "TypeError" in repr(s.loop.errors.pop())


@virtual
async def test_a_read_under_way_is_joined(s: Scene) -> None:
    s.store.delay = 0.2
    first = s.looking(ONE.sid)
    await s.at(0.1)
    second = s.looking(ONE.sid)
    await asyncio.gather(first, second)
    assert s.loop.now < 0.3
    assert len(s.store.calls) == 1


@virtual
async def test_a_read_older_than_the_bound_is_not_joined(s: Scene) -> None:
    s.mirrored(0.1)
    s.store.delay = 0.2
    first = s.looking(ONE.sid)
    await s.at(0.15)
    s.store.delay = 0.05
    assert (await s.mirror.look(ONE.sid)).session == ONE
    assert [when for when, _ in s.store.calls] == pytest.approx([0, 0.15 + QUICK])
    # The first was answered late, but knows by then what the other was told.
    assert (await first).session == ONE


@virtual
async def test_replies_older_than_the_bound_are_no_answer(s: Scene) -> None:
    s.mirrored(0.1)
    s.store.delay = 0.2
    with pytest.raises(StoreUnavailableError, match="longer than"):
        await s.mirror.look(ONE.sid)
    assert len(s.store.calls) == 2
    # One late reply, as after a machine slept, is asked for again.
    s.store.calls.clear()
    late = s.looking(ONE.sid)
    await s.loop.pause(0.1)
    s.store.delay = 0.0
    assert (await late).session == ONE


@virtual
async def test_those_who_give_up_cancel_no_read(s: Scene) -> None:
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
async def test_sessions_are_read_again_together(s: Scene) -> None:
    await asyncio.gather(s.mirror.look(ONE.sid), s.mirror.look(TWO.sid))
    for number in range(50):
        s.mirror.peek(ONE.sid)
        s.mirror.peek(TWO.sid)
        await s.at(number / 50)
    assert sum(len(sids) for _, sids in s.store.calls) == 4
    assert len(s.store.calls) <= 3


@virtual
async def test_one_unreadable_record_spoils_no_other(s: Scene) -> None:
    s.store.unreadable = {TWO.sid}
    one, two = s.looking(ONE.sid), s.looking(TWO.sid)
    assert (await one).session == ONE
    assert s.mirror.peek(ONE.sid)
    with pytest.raises(StoreUnavailableError, match="bad"):
        await two
    with pytest.raises(StoreUnavailableError, match="bad"):
        await s.mirror.read(TWO.sid)
