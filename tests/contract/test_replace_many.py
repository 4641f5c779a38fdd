"""What every store promises about many compare-and-sets in one round trip."""

from dataclasses import replace

from authgw.core.errors import StoreUnavailableError
from authgw.core.ports import BatchStore
from authgw.core.session_codec import dump
from authgw.core.sessions import Session, Snapshot, new_sid
from tests.support.builders import a_session


async def kept(store: BatchStore, count: int) -> list[Snapshot]:
    """So many sessions of as many subjects, as the store has them."""
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


def told(outcome: Snapshot | StoreUnavailableError | None) -> Snapshot:
    assert isinstance(outcome, Snapshot)
    return outcome


async def test_each_takes_the_place_of_what_was_seen_and_of_nothing_else(
    store: BatchStore,
) -> None:
    seen = await kept(store, 4)
    sids = [confirmed(one).sid for one in seen]
    assert await store.replace(seen[1], rotated(seen[1])) is None
    await store.revoke(sids[2])
    first, lost, gone, last = await store.replace_many([(one, confirmed(one)) for one in seen])
    assert first is None
    assert last is None
    assert told(lost).session == rotated(seen[1])
    assert told(lost).version == dump(rotated(seen[1]))
    assert told(gone).session is None
    stored = [told(one).session for one in await store.read_many(sids)]
    assert stored == [confirmed(seen[0]), rotated(seen[1]), None, confirmed(seen[3])]
    # What lost can be decided again on what it was told.
    (outcome,) = await store.replace_many([(told(lost), confirmed(seen[1]))])
    assert outcome is None


async def test_of_two_for_one_session_the_first_wins(store: BatchStore) -> None:
    (seen,) = await kept(store, 1)
    first, second = await store.replace_many([(seen, rotated(seen)), (seen, confirmed(seen))])
    assert first is None
    assert told(second).session == rotated(seen)


async def test_many_at_once_and_none(store: BatchStore) -> None:
    seen = await kept(store, 128)
    changes = [(one, confirmed(one)) for one in seen]
    assert list(await store.replace_many(changes)) == [None] * len(seen)
    assert list(await store.replace_many([])) == []
