"""Protocols of the session stores."""

from authgw.core.ports import BatchStore, MirroringStore, SessionStore
from tests.support.memory_store import MemoryStore


def test_a_mirroring_store_has_all_members_of_the_protocols() -> None:
    store: MirroringStore = MemoryStore()
    for protocol in (SessionStore, MirroringStore):
        members = {name for name in vars(protocol) if not name.startswith("_")}
        assert members - {"max_staleness"} <= {
            name for name in dir(store) if callable(getattr(store, name))
        }
    assert store.max_staleness == 0.0


def test_a_batch_store_reads_and_replaces_many_sessions() -> None:
    assert {"read_many", "replace_many"} <= vars(BatchStore).keys()
