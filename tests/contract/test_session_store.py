"""The contract of all session stores, with and without a mirror in front of them."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from authgw.core.ports import SessionStore
from authgw.core.sessions import new_sid
from authgw.storage.mirror import Mirror
from tests.support.builders import numbered
from tests.support.stores import KINDS, opened


@pytest.fixture(params=[*KINDS, "mirrored memory", "mirrored redis"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[SessionStore]:
    kind = request.param.removeprefix("mirrored ")
    async with opened(kind, request, tmp_path) as store:
        if kind == request.param:
            yield store
            return
        mirror = Mirror(store, max_staleness=1, deadline=1, capacity=100)
        yield mirror
        mirror.close()


async def test_an_added_session_is_read_unchanged(store: SessionStore) -> None:
    session = replace(numbered(1), user_id=2**53 + 1, name="Zoë", groups=("a", "b"))
    assert await store.add(session, 100) == ()
    seen = await store.read(session.sid)
    assert seen.session == session
    assert seen.now > 1_700_000_000


@pytest.mark.parametrize("sid", ["", "*", "a" * 44, "a\r\nFLUSHALL", new_sid("1", b"z" * 16)])
async def test_unknown_and_malformed_sids_are_absent(store: SessionStore, sid: str) -> None:
    assert (await store.read(sid)).session is None
    assert not await store.revoke(sid)


async def test_replace_replaces_only_the_version_that_was_seen(store: SessionStore) -> None:
    session = numbered(1)
    await store.add(session, 100)
    seen = await store.read(session.sid)
    first, second = replace(session, gen=1), replace(session, gen=2)
    assert await store.replace(seen, first) is None
    lost = await store.replace(seen, second)
    assert lost is not None
    assert lost.session == first
    assert await store.replace(lost, second) is None


async def test_a_revoked_session_cannot_be_restored(store: SessionStore) -> None:
    session = numbered(1)
    await store.add(session, 100)
    seen = await store.read(session.sid)
    assert await store.revoke(session.sid)
    assert not await store.revoke(session.sid)
    absent = await store.replace(seen, replace(session, gen=1))
    assert absent is not None
    assert absent.session is None
    assert (await store.read(session.sid)).session is None
    assert await store.sessions_of("1") == ()


async def test_revoke_all_ends_one_subject_and_no_other(store: SessionStore) -> None:
    mine = [numbered(n) for n in range(3)]
    other = numbered(1, "2")
    for session in [*mine, other]:
        await store.add(session, 100)
    assert set(await store.revoke_all("1")) == {session.sid for session in mine}
    assert await store.sessions_of("1") == ()
    assert await store.sessions_of("2") == (other,)


@pytest.mark.parametrize("most", [1, 3])
async def test_add_ends_the_oldest_sessions_over_the_limit(store: SessionStore, most: int) -> None:
    opened = [numbered(n) for n in range(5)]
    ended = [await store.add(session, most) for session in opened]
    assert [sid for sids in ended for sid in sids] == [s.sid for s in opened[: 5 - most]]
    assert await store.sessions_of("1") == tuple(opened[5 - most :])


@pytest.mark.parametrize("sub", [":", "*", "{x}", "a\r\nb", "é" * 50, "authgw:{h}:i"])
async def test_subjects_never_reach_keys(store: SessionStore, sub: str) -> None:
    session = numbered(1, sub)
    await store.add(session, 100)
    assert await store.sessions_of(sub) == (session,)
    assert await store.sessions_of("1") == ()


async def test_last_used_contains_each_active_session(store: SessionStore) -> None:
    used, idle, ended = numbered(1), numbered(2), numbered(1, "2")
    for session in (used, idle, ended):
        await store.add(session, 100)
    await store.revoke(ended.sid)
    # More than the 1 % of `idle` that may not show; fakeredis also truncates milliseconds.
    await asyncio.sleep(2.1)
    now = (await store.read(used.sid)).now
    sids = [ended.sid, used.sid, "*", idle.sid, new_sid("1", b"z" * 16)]
    for _ in range(2):
        seen = await store.last_used(sids)
        assert set(seen) == {used.sid, idle.sid}
        assert seen[used.sid] == pytest.approx(now, abs=1.1)
        assert seen[used.sid] - seen[idle.sid] > 0.9
        # `last_used` itself does not count as use.
        await asyncio.sleep(0.3)
    assert await store.last_used([]) == {}
