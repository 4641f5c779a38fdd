"""The contract of all stores for listing sessions and moving them to another store."""

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from authgw.core.export import ExportableStore, ExportedSession
from authgw.core.ports import SessionStore, Store
from authgw.core.session_codec import dump, load
from authgw.core.sessions import Session
from tests.support.builders import numbered
from tests.support.stores import opened


@pytest.fixture(params=["memory", "redis"])
async def other(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    """The target store; on Redis a database that no other test uses."""
    async with opened(request.param, request, tmp_path / "other", database=1) as store:
        yield store


async def everything(store: ExportableStore) -> list[ExportedSession]:
    return [exported async for batch in store.export() for exported in batch]


async def filled(store: SessionStore, subjects: int, each: int) -> list[Session]:
    # Not in the order of their sids, in which Redis would return sessions of the same age.
    made = [numbered(n, str(sub)) for n in range(each, 0, -1) for sub in range(subjects)]
    for session in made:
        await store.add(session, 1000)
    return made


async def test_an_empty_store_exports_no_sessions(store: Store) -> None:
    assert await everything(store) == []
    assert await store.import_batch([]) == 0


async def test_every_live_session_is_listed_oldest_first(store: Store) -> None:
    made = await filled(store, 150, 2)
    await store.revoke(made[0].sid)
    # Keys and tables of other kinds are not listed.
    await store.increment("a", 60)
    await store.claim("a", 60)
    listed = await everything(store)
    assert {entry.sid for entry in listed} == {session.sid for session in made[1:]}
    assert len(listed) == 299
    assert all(load(entry.record).sid == entry.sid for entry in listed)
    assert all(58 < entry.idle_left <= 60 for entry in listed)
    of_subject = [entry for entry in listed if load(entry.record).sub == "7"]
    assert [entry.sid for entry in of_subject] == [numbered(n, "7").sid for n in (2, 1)]
    assert of_subject[0].rank < of_subject[1].rank


async def test_all_sessions_of_a_subject_with_many_are_listed(store: Store) -> None:
    made = await filled(store, 1, 250)
    assert [entry.sid for entry in await everything(store)] == [session.sid for session in made]


async def test_sessions_move_unchanged(store: Store, other: Store) -> None:
    made = await filled(store, 3, 4)
    newer = json.loads(dump(made[0])) | {"field_of_a_newer_version": 2**53 + 1}
    seen = await store.read(made[0].sid)
    assert seen.session is not None
    moved = [
        replace(entry, record=json.dumps(newer)) if entry.sid == made[0].sid else entry
        for entry in await everything(store)
    ]
    early = [replace(entry, idle_left=entry.idle_left - 30) for entry in moved]
    assert await other.import_batch(early) == 12
    there = {entry.sid: entry for entry in await everything(other)}
    assert there[made[0].sid].record == json.dumps(newer)
    assert all(25 < entry.idle_left <= 30 for entry in there.values())
    for sub in range(3):
        mine = [session for session in made if session.sub == str(sub)]
        assert await other.sessions_of(str(sub)) == tuple(mine)
    # A later login there is the newest session, and the limit ends the oldest of all.
    assert await other.add(numbered(99, "1"), 4) == (made[1].sid,)
    assert (await other.sessions_of("1"))[-1].sid == numbered(99, "1").sid


async def test_import_keeps_existing_sessions(store: Store, other: Store) -> None:
    made = await filled(store, 1, 3)
    batch = await everything(store)
    assert await other.import_batch(batch[:2]) == 2
    changed = replace(made[0], gen=5)
    assert await other.replace(await other.read(made[0].sid), changed) is None
    assert await other.import_batch(batch) == 1
    assert await other.sessions_of("0") == (changed, *made[1:])
