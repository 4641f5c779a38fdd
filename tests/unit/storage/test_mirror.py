"""The mirror's contract, clause by clause, in virtual time."""

import asyncio
import time
from dataclasses import replace

import pytest

from authgw.core.errors import StoreUnavailableError
from authgw.core.session_codec import dump
from authgw.core.sessions import Snapshot, check_valid
from authgw.storage.clock import boottime
from tests.support.builders import NOW, numbered
from tests.support.mirror_scene import (
    BOUND,
    DEADLINE,
    ONE,
    TWO,
    MirrorScene,
    gaps,
    virtual,
)


@virtual
async def test_a_read_session_is_cached_until_the_bound(s: MirrorScene) -> None:
    assert s.mirror.peek(ONE.sid) is None
    seen = await s.mirror.get(ONE.sid)
    assert seen.session == ONE
    assert seen.version == dump(ONE)
    await s.at(0.99)
    assert s.mirror.peek(ONE.sid) == seen
    assert len(s.store.calls) == 1


@virtual
async def test_age_counts_from_the_sending_of_a_read(s: MirrorScene) -> None:
    s.store.delay = 0.2
    await s.mirror.get(ONE.sid)
    await s.at(0.99)
    assert s.mirror._current(ONE.sid)
    await s.at(1.0)
    assert s.mirror.peek(ONE.sid) is None


@virtual
async def test_absence_is_cached_too(s: MirrorScene) -> None:
    unknown = numbered(9).sid
    for _ in range(3):
        seen = s.mirror.peek(unknown) or await s.mirror.get(unknown)
        assert seen.session is None
    assert len(s.store.calls) == 1
    await s.ask_until(5, unknown)
    assert len(s.store.calls) <= 11
    await s.at(7)
    assert s.mirror.peek(unknown) is None


@virtual
async def test_bound_zero_reads_the_store_every_time(s: MirrorScene) -> None:
    s.mirrored(0)
    s.store.delay = 0.2
    first = s.looking(ONE.sid)
    await s.at(0.1)
    s.store.sessions[ONE.sid] = newer = replace(ONE, gen=1)
    together = [s.looking(ONE.sid) for _ in range(5)]
    assert (await first).session == ONE
    assert [seen.session for seen in await asyncio.gather(*together)] == [newer] * 5
    assert len(s.store.calls) == 2
    assert s.mirror.peek(ONE.sid) is None
    assert not s.mirror._entries


@virtual
async def test_a_hot_session_never_waits(s: MirrorScene) -> None:
    await s.mirror.get(ONE.sid)
    s.store.delay = 0.2
    await s.ask_until(60)
    assert all(0.5 <= gap <= 0.71 for gap in gaps(s.store))
    # Jitter keeps sessions and replicas apart.
    assert len({round(gap, 2) for gap in gaps(s.store)}) > 1
    assert 60 / 0.72 <= len(s.store.calls) <= 60 / 0.5


@virtual
async def test_unused_sessions_are_not_read_again(s: MirrorScene) -> None:
    await s.mirror.get(ONE.sid)
    await s.at(20)
    assert len(s.store.calls) == 1
    assert not s.mirror._entries
    await s.mirror.get(ONE.sid)
    s.loop.call_later(0.3, s.mirror.peek, ONE.sid)
    await s.at(40)
    assert len(s.store.calls) == 3


@virtual
async def test_a_late_look_up_triggers_a_read_in_time(s: MirrorScene) -> None:
    # Looked up only after the time of the next read: it is read at once, and no look-up waits.
    await s.mirror.get(ONE.sid)
    for turn in range(1, 6):
        await s.at(turn * 0.85)
        assert s.mirror.peek(ONE.sid)
    assert len(s.store.calls) == 5


@virtual
async def test_a_pushed_revocation_outlasts_every_reply(s: MirrorScene) -> None:
    await s.mirror.get(TWO.sid)
    s.store.delay = 0.2
    task = s.looking(ONE.sid)
    await s.at(0.1)
    for sid in (ONE.sid, TWO.sid):
        s.mirror.mark_ended(sid)
        assert s.mirror.peek(sid) == await s.mirror.get(sid) == Snapshot(None, 0.0)
    assert (await task).session is None
    await s.at(0.1 + BOUND + DEADLINE - 0.01)
    assert s.mirror.peek(ONE.sid) == Snapshot(None, 0.0)
    assert len(s.store.calls) == 2
    await s.at(2)
    assert not s.mirror._tombstones


@virtual
async def test_a_revocation_between_reply_and_result_takes_effect(s: MirrorScene) -> None:
    async def receive_push() -> None:
        await s.mirror.get(ONE.sid)
        s.mirror.mark_ended(ONE.sid)

    push = s.loop.create_task(receive_push())
    # Both wait for the same reply; this look-up resumes after the push.
    assert (await s.looking(ONE.sid)).session is None
    await push


@virtual
async def test_the_revoking_replica_refuses_the_session_at_once(s: MirrorScene) -> None:
    third = numbered(3)
    for end in (
        lambda: s.mirror.revoke(ONE.sid),
        lambda: s.mirror.revoke_all("1"),
        lambda: s.mirror.add(third, 1),
    ):
        s.mirrored(BOUND)
        s.store.sessions = {ONE.sid: ONE}
        s.store.delay = 0.0
        await s.mirror.get(ONE.sid)
        s.store.delay = 0.2
        reading = s.loop.create_task(s.mirror.read(ONE.sid))
        await s.loop.pause(0.05)
        s.store.delay = 0.05
        await end()
        known = s.mirror.peek(ONE.sid)
        assert known is not None
        assert known.session is None
        assert (await reading).session is None
    assert (await s.mirror.get(third.sid)).session == third
    assert await s.mirror.sessions_of("1") == (third,)


@virtual
async def test_a_revocation_of_unknown_outcome_does_not_end_the_session(s: MirrorScene) -> None:
    await s.mirror.get(ONE.sid)
    s.store.down = True
    for end in (s.mirror.revoke(ONE.sid), s.mirror.revoke_all("1")):
        with pytest.raises(StoreUnavailableError):
            await end
    assert (await s.mirror.get(ONE.sid)).session == ONE


@virtual
async def test_the_number_of_cached_sessions_is_bounded(s: MirrorScene) -> None:
    s.mirrored(BOUND, capacity=3)
    sids = [numbered(number).sid for number in range(5)]
    for sid in sids:
        await s.mirror.get(sid)
    assert list(s.mirror._entries) == sids[2:]
    # A session that was read again is evicted last.
    await s.mirror.read(sids[2])
    await s.mirror.get(numbered(9).sid)
    assert list(s.mirror._entries) == [sids[4], sids[2], numbered(9).sid]


@virtual
async def test_an_unreachable_store_is_unavailable_after_the_bound(s: MirrorScene) -> None:
    await s.mirror.get(ONE.sid)
    s.store.down, s.store.delay = True, 0.1
    await s.ask_until(0.99)
    await s.at(1.0)
    assert s.mirror.peek(ONE.sid) is None
    for _ in range(2):
        with pytest.raises(StoreUnavailableError):
            await s.mirror.get(ONE.sid)
    s.store.down = False
    assert (await s.mirror.get(ONE.sid)).session == ONE


@virtual
async def test_a_short_outage_fails_no_look_up(s: MirrorScene) -> None:
    await s.mirror.get(ONE.sid)
    s.store.down = True
    s.loop.call_later(0.75, setattr, s.store, "down", False)
    await s.ask_until(5)
    # Every sweep tries again until a read succeeds.
    assert len(s.store.calls) <= 5 / 0.5 + 5


@virtual
async def test_an_absolute_end_is_respected_while_cached(s: MirrorScene) -> None:
    ending = replace(ONE, expires_at=NOW + 0.5)
    s.store.sessions[ONE.sid] = ending
    s.store.delay = 0.01
    check_valid((await s.mirror.get(ONE.sid)).session, NOW)
    await s.at(0.49)
    assert s.mirror.peek(ONE.sid)
    await s.at(0.5)
    assert s.mirror.peek(ONE.sid) is None
    seen = await s.mirror.get(ONE.sid)
    assert seen.now >= ending.expires_at
    # From then on this state is cached as any other.
    await s.at(1.4)
    known = s.mirror.peek(ONE.sid)
    assert known is not None
    assert known.now >= ending.expires_at


@virtual
async def test_now_of_a_snapshot_advances(s: MirrorScene) -> None:
    s.store.delay = 0.1
    assert (await s.mirror.get(ONE.sid)).now == pytest.approx(NOW + 0.1, rel=0, abs=1e-6)
    await s.at(0.5)
    assert (await s.mirror.get(ONE.sid)).now == pytest.approx(NOW + 0.5, rel=0, abs=1e-6)


@virtual
async def test_an_unchanged_session_remains_the_same_object(s: MirrorScene) -> None:
    first = (await s.mirror.get(ONE.sid)).session
    s.store.sessions[ONE.sid] = replace(ONE)
    await s.ask_until(3)
    again = s.mirror.peek(ONE.sid)
    assert again is not None
    assert again.session is first
    assert again.now > NOW + 2


@virtual
async def test_a_read_bypasses_the_cache(s: MirrorScene) -> None:
    await s.mirror.get(ONE.sid)
    s.store.sessions[ONE.sid] = newer = replace(ONE, gen=1)
    assert (await s.mirror.read(ONE.sid)).session == newer
    assert (await s.mirror.get(ONE.sid)).session == newer
    s.store.down = True
    with pytest.raises(StoreUnavailableError):
        await s.mirror.read(ONE.sid)


@virtual
async def test_closing_fails_pending_look_ups(s: MirrorScene) -> None:
    await s.mirror.get(TWO.sid)
    s.store.delay = 0.2
    under_way = s.looking(ONE.sid)
    await s.at(0.1)
    unsent = s.looking(numbered(3).sid)
    await s.loop.pause(0)
    s.mirror.mark_ended(TWO.sid)
    s.mirror.close()
    for task in (under_way, unsent):
        with pytest.raises(StoreUnavailableError):
            await task
    s.mirror.close()
    assert s.mirror._timer is None


def test_boottime_reads_clock_boottime() -> None:
    assert abs(boottime() - time.clock_gettime(time.CLOCK_BOOTTIME)) < 1
