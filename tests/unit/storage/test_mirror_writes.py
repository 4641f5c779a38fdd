"""The mirror's contract for writes of this replica, in virtual time."""

from dataclasses import replace
from unittest.mock import patch

import pytest

from authgw.core.errors import StoreUnavailableError
from authgw.core.session_codec import dump
from authgw.core.sessions import Snapshot
from tests.support.builders import NOW, numbered
from tests.support.mirror_scene import BOUND, ONE, MirrorScene, virtual


@virtual
async def test_a_new_session_is_visible_at_once(s: MirrorScene) -> None:
    third = numbered(3)
    assert (await s.mirror.get(third.sid)).session is None
    await s.mirror.add(third, 1)
    assert (await s.mirror.get(third.sid)).session == third


@virtual
async def test_a_written_session_is_cached_with_its_age(s: MirrorScene) -> None:
    seen = await s.mirror.get(ONE.sid)
    await s.at(0.5)
    s.store.delay = 0.2
    newer = replace(ONE, gen=1)
    assert await s.mirror.replace(seen, newer) is None
    assert s.mirror.peek(ONE.sid) == Snapshot(newer, NOW + 0.5, dump(newer))
    # And it can be replaced in turn.
    assert await s.mirror.replace(await s.mirror.get(ONE.sid), replace(ONE, gen=2)) is None
    await s.at(1.69)
    assert s.mirror._current(ONE.sid)
    await s.at(1.71)
    assert not s.mirror._current(ONE.sid)


@virtual
async def test_a_written_record_is_encoded_once(s: MirrorScene) -> None:
    # During a write, another replica may end the compact form of records.
    records = iter(["first", "second"])
    seen, third = await s.mirror.get(ONE.sid), numbered(3)
    with patch.object(s.store, "record", lambda session: next(records)):
        await s.mirror.replace(seen, replace(ONE, gen=1))
        assert s.mirror.peek(ONE.sid) == Snapshot(replace(ONE, gen=1), NOW, "first")
        await s.mirror.add(third, 9)
        assert s.mirror.peek(third.sid) == Snapshot(third, NOW, "second")
    assert s.store.written == ["first", "second"]


@virtual
async def test_a_pending_read_does_not_restore_a_replaced_session(s: MirrorScene) -> None:
    seen = await s.mirror.get(ONE.sid)
    newer = replace(ONE, gen=1)
    # A read sent before the write, with its reply after it; a read sent after and executed before.
    for first in ("read", "write"):
        s.mirrored(BOUND)
        s.store.sessions[ONE.sid] = ONE
        s.store.delay = 0.2
        if first == "read":
            reading = s.loop.create_task(s.mirror.read(ONE.sid))
            await s.loop.pause(0.05)
            s.store.delay = 0.05
            await s.mirror.replace(seen, newer)
        else:
            writing = s.loop.create_task(s.mirror.replace(seen, newer))
            await s.loop.pause(0.05)
            s.store.sessions[ONE.sid] = ONE
            reading = s.loop.create_task(s.mirror.read(ONE.sid))
            await s.loop.pause(0)
            s.store.sessions[ONE.sid] = newer
            await writing
        assert (await reading).session == ONE
        assert (await s.mirror.get(ONE.sid)).session == newer


@virtual
async def test_a_write_replaces_its_predecessor_that_was_read_later(s: MirrorScene) -> None:
    seen = await s.mirror.get(ONE.sid)
    newer = replace(ONE, gen=1)
    s.store.delay = 0.2
    writing = s.loop.create_task(s.mirror.replace(seen, newer))
    await s.at(0.05)
    s.store.delay, s.store.sessions[ONE.sid] = 0.05, ONE
    await s.mirror.read(ONE.sid)
    s.store.sessions[ONE.sid] = newer
    await writing
    assert (await s.mirror.get(ONE.sid)).session == newer


@virtual
async def test_a_write_does_not_replace_a_later_state(s: MirrorScene) -> None:
    for after in (replace(ONE, gen=2), None):
        s.store.sessions = {ONE.sid: ONE}
        s.mirrored(BOUND)
        seen = await s.mirror.get(ONE.sid)
        s.store.delay = 0.2
        writing = s.loop.create_task(s.mirror.replace(seen, replace(ONE, gen=1)))
        await s.loop.pause(0.05)
        s.store.delay = 0.05
        s.store.sessions = {ONE.sid: after} if after else {}
        await s.mirror.read(ONE.sid)
        assert await writing is None
        assert (await s.mirror.get(ONE.sid)).session == after


@pytest.mark.parametrize("absent_first", [True, False])
def test_a_late_reply_does_not_restore_an_absent_session(absent_first: bool) -> None:
    @virtual
    async def two_reads_at_once(s: MirrorScene) -> None:
        # The read that was sent first is executed last: it finds nothing, the other the session.
        before, s.store.sessions = s.store.sessions, {}
        s.store.delay = 0.1 if absent_first else 0.2
        first = s.loop.create_task(s.mirror.read(ONE.sid))
        await s.at(0.01)
        s.store.delay, s.store.sessions = 0.15, before
        second = s.loop.create_task(s.mirror.read(ONE.sid))
        assert (await first).session is None
        assert (await second).session == ONE
        known = s.mirror.peek(ONE.sid)
        assert known is not None
        assert known.session is None

    two_reads_at_once()


@virtual
async def test_a_lost_write_caches_the_stored_session(s: MirrorScene) -> None:
    seen = await s.mirror.get(ONE.sid)
    s.store.sessions[ONE.sid] = theirs = replace(ONE, gen=1)
    other = await s.mirror.replace(seen, replace(ONE, gen=2))
    assert other is not None
    assert other.session == theirs
    assert s.mirror.peek(ONE.sid) == other


@virtual
async def test_a_write_of_unknown_outcome_keeps_the_cached_session(s: MirrorScene) -> None:
    seen = await s.mirror.get(ONE.sid)
    s.store.down = True
    with pytest.raises(StoreUnavailableError):
        await s.mirror.replace(seen, replace(ONE, gen=1))
    assert s.mirror.peek(ONE.sid) == seen


@virtual
async def test_a_write_that_returns_after_a_revocation_is_not_cached(s: MirrorScene) -> None:
    seen = await s.mirror.get(ONE.sid)
    s.store.delay = 0.2
    writing = s.loop.create_task(s.mirror.replace(seen, replace(ONE, gen=1)))
    await s.at(0.1)
    s.mirror.mark_ended(ONE.sid)
    assert await writing is None
    assert (await s.mirror.get(ONE.sid)).session is None


def reads(s: MirrorScene, sid: str) -> int:
    return sum(sid in sids for _, sids in s.store.calls)


@virtual
async def test_an_added_session_is_cached_with_its_age(s: MirrorScene) -> None:
    third = numbered(3)
    s.store.delay = 0.2
    await s.mirror.add(third, 1)
    s.store.delay = 5
    assert s.mirror.peek(third.sid) == Snapshot(third, NOW + 0.2, dump(third))
    await s.at(0.99)
    assert s.mirror._current(third.sid)
    # Its age counts from the sending of the write.
    await s.at(1.0)
    assert not s.mirror._current(third.sid)


@virtual
async def test_an_added_session_that_nobody_asks_for_is_dropped_early(s: MirrorScene) -> None:
    third = numbered(3)
    await s.mirror.add(third, 1)
    await s.at(0.54)
    assert s.mirror._current(third.sid)
    await s.at(0.66)
    assert third.sid not in s.mirror._entries
    assert not reads(s, third.sid)


@virtual
async def test_a_session_that_was_asked_for_stays_to_the_bound(s: MirrorScene) -> None:
    await s.mirror.get(ONE.sid)
    await s.at(0.9)
    assert s.mirror._current(ONE.sid)
    assert reads(s, ONE.sid) == 1


@virtual
async def test_an_added_session_is_read_again_only_if_it_is_looked_up(s: MirrorScene) -> None:
    third = numbered(3)
    await s.mirror.add(third, 1)
    await s.at(5)
    assert not reads(s, third.sid)
    assert not s.mirror._entries


@virtual
async def test_an_added_session_can_be_replaced_without_a_read(s: MirrorScene) -> None:
    third = numbered(3)
    await s.mirror.add(third, 1)
    newer = replace(third, gen=1)
    assert await s.mirror.replace(await s.mirror.get(third.sid), newer) is None
    assert (await s.mirror.get(third.sid)).session == newer
    assert not reads(s, third.sid)


@virtual
async def test_a_session_that_ended_while_it_was_added_is_not_cached(s: MirrorScene) -> None:
    third = numbered(3)
    s.store.delay = 0.2
    adding = s.loop.create_task(s.mirror.add(third, 1))
    await s.at(0.1)
    s.mirror.mark_ended(third.sid)
    await adding
    assert s.mirror.peek(third.sid) == Snapshot(None, 0.0)


@virtual
async def test_a_state_that_was_read_during_an_addition_is_read_again(s: MirrorScene) -> None:
    third = numbered(3)
    s.store.delay = 0.2
    adding = s.loop.create_task(s.mirror.add(third, 1))
    await s.at(0.05)
    # It has ended elsewhere before this read, and before the reply to the addition.
    s.store.delay, s.store.sessions = 0.05, {}
    assert (await s.mirror.get(third.sid)).session is None
    await adding
    assert s.mirror.peek(third.sid) is None
    assert (await s.mirror.get(third.sid)).session is None


@virtual
async def test_additions_that_prove_nothing_are_not_cached(s: MirrorScene) -> None:
    third = numbered(3)
    s.store.is_clock_known = False
    await s.mirror.add(third, 1)
    assert s.mirror.peek(third.sid) is None
    s.store.is_clock_known, s.store.down = True, True
    with pytest.raises(StoreUnavailableError):
        await s.mirror.add(numbered(4), 1)
    assert s.mirror.peek(numbered(4).sid) is None
    s.store.down = False
    s.mirrored(0)
    await s.mirror.add(numbered(5), 1)
    assert s.mirror.peek(numbered(5).sid) is None
