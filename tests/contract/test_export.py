"""The contract of all stores for listing sessions and moving them to another store."""

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from authgw.core.export import ExportableStore, ExportedRecord, ExportedSession, ExportedSet
from authgw.core.ports import SessionStore, Store
from authgw.core.records import Records, record_hash
from authgw.core.session_codec import dump, load
from authgw.core.sessions import Session
from authgw.storage.redis import record_export
from authgw.storage.sqlite import records as sqlite_records
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


async def all_records(store: ExportableStore) -> list[ExportedRecord | ExportedSet]:
    return [entry async for batch in store.export_records() for entry in batch]


async def with_records(store: Records, count: int) -> None:
    for number in range(count):
        await store.put(f"r{number}", f"text {number}", 60)
        for member in ("c", "a", "b"):
            await store.add_member(f"s{number}", f"{member}{number}", 60)


async def test_an_empty_store_exports_no_records(store: Store) -> None:
    await filled(store, 2, 2)
    await store.increment("a", 60)
    await store.claim("a", 60)
    assert await all_records(store) == []
    assert await store.import_records([]) == 0


async def test_every_record_and_set_is_listed(store: Store) -> None:
    await with_records(store, 110)
    await store.put("", "", 60)
    await store.take("r0")
    listed = await all_records(store)
    assert len(listed) == 110 + 110
    texts = {entry.hashed: entry.text for entry in listed if isinstance(entry, ExportedRecord)}
    expected = {record_hash(f"r{n}"): f"text {n}" for n in range(1, 110)}
    assert texts == expected | {record_hash(""): ""}
    sets = {entry.hashed: entry.members for entry in listed if isinstance(entry, ExportedSet)}
    assert sets == {record_hash(f"s{n}"): (f"c{n}", f"a{n}", f"b{n}") for n in range(110)}
    assert all(50 < entry.left <= 60 for entry in listed)


async def test_records_move_unchanged(store: Store, other: Store) -> None:
    await with_records(store, 3)
    early = [replace(entry, left=entry.left - 30) for entry in await all_records(store)]
    assert await other.import_records(early) == 6
    assert [await other.get(f"r{n}") for n in range(3)] == [f"text {n}" for n in range(3)]
    assert await other.members("s1") == ("c1", "a1", "b1")
    assert all(20 < entry.left <= 30 for entry in await all_records(other))
    # A later member there is the newest.
    await other.add_member("s1", "a0", 60)
    assert await other.members("s1") == ("c1", "a1", "b1", "a0")


async def test_import_keeps_existing_records_and_completes_sets(store: Store, other: Store) -> None:
    await with_records(store, 2)
    await other.put("r0", "another text", 60)
    await other.add_member("s0", "a0", 60)
    await other.add_member("s0", "d0", 60)
    batch = await all_records(store)
    assert await other.import_records(batch) == 2
    assert await other.get("r0") == "another text"
    assert await other.members("s0") == ("c0", "b0", "a0", "d0")
    assert await other.import_records(batch) == 0
    assert await other.members("s0") == ("c0", "b0", "a0", "d0")


async def test_an_imported_set_has_the_newest_members_within_the_limit(
    store: Store, other: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (record_export, sqlite_records):
        monkeypatch.setattr(module, "MAX_RECORD_MEMBERS", 4)
    await with_records(store, 1)
    await other.add_member("s0", "x", 60)
    await other.add_member("s0", "y", 60)
    await other.import_records(await all_records(store))
    assert await other.members("s0") == ("a0", "b0", "x", "y")
