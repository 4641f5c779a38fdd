"""Refreshes decided on a mirrored record, which may be stale."""

import pytest

from authgw.core.errors import RefreshReusedError, SessionEndedError
from authgw.core.sessions import Snapshot
from tests.support.memory_store import MemoryStore
from tests.support.sessions import SHOP, SessionWorld


class OldStore(MemoryStore):
    """Returns remembered snapshots from `get`, and counts reads."""

    def __init__(self) -> None:
        super().__init__()
        self.old: dict[str, Snapshot] = {}
        self.reads = 0

    def remember(self, sid: str) -> None:
        self.old[sid] = self.snapshot(sid)

    async def get(self, sid: str) -> Snapshot:
        return self.old[sid] if sid in self.old else await self.read(sid)

    async def read(self, sid: str) -> Snapshot:
        self.reads += 1
        return await super().read(sid)


@pytest.fixture
def world() -> SessionWorld:
    return SessionWorld(store=OldStore())


def store_of(world: SessionWorld) -> OldStore:
    assert isinstance(world.store, OldStore)
    return world.store


async def test_a_rotation_reads_nothing(world: SessionWorld) -> None:
    pair, store = await world.gateway.log_in(SHOP), store_of(world)
    store.remember(pair.sid)
    await world.gateway.refresh(pair.refresh)
    assert store.reads == 0


async def test_a_stale_mirrored_record_is_not_taken_for_reuse(world: SessionWorld) -> None:
    first, store = await world.gateway.log_in(SHOP), store_of(world)
    second = await world.gateway.refresh(first.refresh)
    assert await world.alive(second)
    store.remember(first.sid)
    world.wait(100)
    # Another replica rotates, of which this replica is not informed.
    remembered = store.old.pop(first.sid)
    third = await world.gateway.refresh(second.refresh)
    store.old[first.sid] = remembered
    again = await world.gateway.refresh(second.refresh)
    assert await world.alive(again)
    fourth = await world.gateway.refresh(third.refresh)
    assert await world.alive(fourth)
    record = store.snapshot(first.sid).session
    assert record is not None
    assert record.gen == 3


async def test_reuse_is_decided_on_a_record_from_the_store(world: SessionWorld) -> None:
    first, store = await world.gateway.log_in(SHOP), store_of(world)
    second = await world.gateway.refresh(first.refresh)
    assert await world.alive(second)
    world.wait(11)
    store.remember(first.sid)
    with pytest.raises(RefreshReusedError):
        await world.gateway.refresh(first.refresh)
    assert first.sid not in store.records


async def test_the_end_of_a_session_is_decided_on_a_record_from_the_store(
    world: SessionWorld,
) -> None:
    pair, store = await world.gateway.log_in(SHOP), store_of(world)
    store.old[pair.sid] = Snapshot(None, world.now)
    assert (await world.gateway.refresh(pair.refresh)).sid == pair.sid
    del store.records[pair.sid]
    with pytest.raises(SessionEndedError):
        await world.gateway.refresh(pair.refresh)


async def test_a_stale_mirrored_session_does_not_survive_its_end(world: SessionWorld) -> None:
    pair, store = await world.gateway.log_in(SHOP), store_of(world)
    store.remember(pair.sid)
    del store.records[pair.sid]
    with pytest.raises(SessionEndedError):
        await world.gateway.refresh(pair.refresh)
    assert pair.sid not in store.records
