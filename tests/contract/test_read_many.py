"""What every store promises that a mirror can stand before."""

from dataclasses import replace

from authgw.core.errors import StoreUnavailableError
from authgw.core.ports import BatchStore
from authgw.core.session_codec import dump
from authgw.core.sessions import Session, Snapshot
from tests.support.builders import numbered


def sessions(outcomes: "list[Snapshot | StoreUnavailableError]") -> list[Session | None]:
    return [one.session for one in outcomes if isinstance(one, Snapshot)]


async def test_each_is_read_in_its_place(store: BatchStore) -> None:
    kept = [numbered(number, str(number % 3)) for number in range(256)]
    for session in kept:
        await store.add(session, 1000)
    await store.revoke(kept[7].sid)
    outcomes = list(await store.read_many([session.sid for session in kept]))
    assert sessions(outcomes) == [None if n == 7 else one for n, one in enumerate(kept)]
    one = outcomes[0]
    assert isinstance(one, Snapshot)
    assert one.version == dump(kept[0])
    assert one.now > 1_700_000_000
    # What was seen can be replaced.
    assert await store.replace(one, replace(kept[0], gen=1)) is None


async def test_malformed_sids_are_absent_and_spoil_no_other(store: BatchStore) -> None:
    kept = numbered(1, "1")
    await store.add(kept, 10)
    bad = ["", "*", "a\r\nFLUSHALL", kept.sid + "\0", kept.sid + "\n", "\ud800" * 44, "'", '"]']
    outcomes = list(await store.read_many([*bad, kept.sid, kept.sid]))
    assert sessions(outcomes) == [None] * len(bad) + [kept, kept]


async def test_none_or_only_malformed_ones(store: BatchStore) -> None:
    assert list(await store.read_many([])) == []
    (absent,) = await store.read_many(["*"])
    assert isinstance(absent, Snapshot)
    assert absent.session is None
    assert absent.now > 1_700_000_000
