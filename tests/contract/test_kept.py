"""What every store promises to who lists its sessions or moves them to another one."""

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from authgw.core.export import ExportableStore, ExportedSession
from authgw.core.ports import SessionStore
from authgw.core.session_codec import dump, load
from authgw.core.sessions import Session
from authgw.storage.redis.store import RedisStore
from authgw.storage.sqlite.store import EmbeddedStore
from tests.support.builders import numbered
from tests.support.stores import opened

Store = EmbeddedStore | RedisStore


@pytest.fixture(params=["memory", "redis"])
async def other(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    """Where sessions are moved to; a database of Redis that no other test uses."""
    async with opened(request.param, request, tmp_path / "other", database=1) as kept:
        yield kept


async def everything(store: ExportableStore) -> list[ExportedSession]:
    return [one async for batch in store.kept() for one in batch]


async def filled(store: SessionStore, subjects: int, each: int) -> list[Session]:
    # Not in the order of their sids, by which Redis would put sessions of the same age.
    made = [numbered(n, str(sub)) for n in range(each, 0, -1) for sub in range(subjects)]
    for session in made:
        await store.add(session, 1000)
    return made


async def test_an_empty_store_keeps_nothing(store: Store) -> None:
    assert await everything(store) == []
    assert await store.keep([]) == 0


async def test_every_live_session_is_listed_oldest_first(store: Store) -> None:
    made = await filled(store, 150, 2)
    await store.revoke(made[0].sid)
    # No key or table of another kind is taken for sessions.
    await store.increment("a", 60)
    await store.claim("a", 60)
    found = await everything(store)
    assert {one.sid for one in found} == {session.sid for session in made[1:]}
    assert len(found) == 299
    assert all(load(one.record).sid == one.sid for one in found)
    assert all(58 < one.idle_left <= 60 for one in found)
    of_one = [one for one in found if load(one.record).sub == "7"]
    assert [one.sid for one in of_one] == [numbered(n, "7").sid for n in (2, 1)]
    assert of_one[0].rank < of_one[1].rank


async def test_a_subject_of_many_sessions_is_listed_whole(store: Store) -> None:
    made = await filled(store, 1, 250)
    assert [one.sid for one in await everything(store)] == [session.sid for session in made]


async def test_sessions_move_as_they_are(store: Store, other: Store) -> None:
    made = await filled(store, 3, 4)
    newer = json.loads(dump(made[0])) | {"field_of_a_newer_version": 2**53 + 1}
    seen = await store.read(made[0].sid)
    assert seen.session is not None
    moved = [
        replace(one, record=json.dumps(newer)) if one.sid == made[0].sid else one
        for one in await everything(store)
    ]
    early = [replace(one, idle_left=one.idle_left - 30) for one in moved]
    assert await other.keep(early) == 12
    there = {one.sid: one for one in await everything(other)}
    assert there[made[0].sid].record == json.dumps(newer)
    assert all(25 < one.idle_left <= 30 for one in there.values())
    for sub in range(3):
        mine = [session for session in made if session.sub == str(sub)]
        assert await other.sessions_of(str(sub)) == tuple(mine)
    # Whoever logs in there is the newest, and the limit ends the oldest of all.
    assert await other.add(numbered(99, "1"), 4) == (made[1].sid,)
    assert (await other.sessions_of("1"))[-1].sid == numbered(99, "1").sid


async def test_what_is_there_already_stays(store: Store, other: Store) -> None:
    made = await filled(store, 1, 3)
    batch = await everything(store)
    assert await other.keep(batch[:2]) == 2
    changed = replace(made[0], gen=5)
    assert await other.replace(await other.read(made[0].sid), changed) is None
    assert await other.keep(batch) == 1
    assert await other.sessions_of("0") == (changed, *made[1:])
