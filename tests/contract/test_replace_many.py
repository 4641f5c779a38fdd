"""The contract of all stores for `replace_many`: several compare-and-sets in a round trip."""

from dataclasses import replace

from authgw.core.errors import StoreUnavailableError
from authgw.core.ports import BatchStore
from authgw.core.sessions import Session, Snapshot, new_sid
from tests.support.builders import a_session


async def added(store: BatchStore, count: int) -> list[Snapshot]:
    """Add `count` sessions of different subjects; return their snapshots."""
    sids = []
    for number in range(count):
        session = replace(a_session(str(number)), sid=new_sid(str(number), bytes(16)))
        sids.append(session.sid)
        await store.add(session, 10)
    return [seen for seen in await store.read_many(sids) if isinstance(seen, Snapshot)]


def confirmed(seen: Snapshot) -> Session:
    assert seen.session is not None
    return replace(seen.session, confirmed=True)


def rotated(seen: Snapshot) -> Session:
    return replace(confirmed(seen), gen=7)


def snapshot_of(outcome: Snapshot | StoreUnavailableError | None) -> Snapshot:
    assert isinstance(outcome, Snapshot)
    return outcome


async def test_each_replaces_only_the_version_that_was_seen(
    store: BatchStore,
) -> None:
    seen = await added(store, 4)
    sids = [confirmed(snapshot).sid for snapshot in seen]
    assert await store.replace(seen[1], rotated(seen[1])) is None
    await store.revoke(sids[2])
    changes = [(snapshot, confirmed(snapshot)) for snapshot in seen]
    first, lost, absent, last = await store.replace_many(changes)
    assert first is None
    assert last is None
    assert snapshot_of(lost).session == rotated(seen[1])
    assert snapshot_of(lost).version == store.record(rotated(seen[1]))
    assert snapshot_of(absent).session is None
    stored = [snapshot_of(outcome).session for outcome in await store.read_many(sids)]
    assert stored == [confirmed(seen[0]), rotated(seen[1]), None, confirmed(seen[3])]
    # A lost change can be repeated on the snapshot that was returned.
    (outcome,) = await store.replace_many([(snapshot_of(lost), confirmed(seen[1]))])
    assert outcome is None


async def test_the_first_of_two_changes_of_a_session_wins(store: BatchStore) -> None:
    (seen,) = await added(store, 1)
    first, second = await store.replace_many([(seen, rotated(seen)), (seen, confirmed(seen))])
    assert first is None
    assert snapshot_of(second).session == rotated(seen)


async def test_replace_many_of_many_and_of_no_sessions(store: BatchStore) -> None:
    seen = await added(store, 128)
    changes = [(snapshot, confirmed(snapshot)) for snapshot in seen]
    assert list(await store.replace_many(changes)) == [None] * len(seen)
    assert list(await store.replace_many([])) == []
