"""The contract of all stores for `read_many`, which a mirror uses."""

from dataclasses import replace

from authgw.core.errors import StoreUnavailableError
from authgw.core.ports import BatchStore
from authgw.core.sessions import Session, Snapshot
from tests.support.builders import numbered


def sessions(outcomes: "list[Snapshot | StoreUnavailableError]") -> list[Session | None]:
    return [outcome.session for outcome in outcomes if isinstance(outcome, Snapshot)]


async def test_read_many_keeps_the_order(store: BatchStore) -> None:
    added = [numbered(number, str(number % 3)) for number in range(256)]
    for session in added:
        await store.add(session, 1000)
    await store.revoke(added[7].sid)
    outcomes = list(await store.read_many([session.sid for session in added]))
    assert sessions(outcomes) == [None if n == 7 else session for n, session in enumerate(added)]
    first = outcomes[0]
    assert isinstance(first, Snapshot)
    assert first.version == store.record(added[0])
    assert first.now > 1_700_000_000
    # The snapshot can be replaced.
    assert await store.replace(first, replace(added[0], gen=1)) is None


async def test_malformed_sids_are_absent_and_affect_no_other(store: BatchStore) -> None:
    added = numbered(1, "1")
    await store.add(added, 10)
    bad = ["", "*", "a\r\nFLUSHALL", added.sid + "\0", added.sid + "\n", "\ud800" * 44, "'", '"]']
    outcomes = list(await store.read_many([*bad, added.sid, added.sid]))
    assert sessions(outcomes) == [None] * len(bad) + [added, added]


async def test_read_many_of_no_or_only_malformed_sids(store: BatchStore) -> None:
    assert list(await store.read_many([])) == []
    (absent,) = await store.read_many(["*"])
    assert isinstance(absent, Snapshot)
    assert absent.session is None
    assert absent.now > 1_700_000_000


async def test_the_clock_is_that_of_snapshots(store: BatchStore) -> None:
    sid = numbered(1, "1").sid
    # A server's clock is read with sessions.
    (seen,) = await store.read_many([sid])
    assert isinstance(seen, Snapshot)
    now = store.now(sid)
    assert now is not None
    assert 0 <= now - seen.now < 5
