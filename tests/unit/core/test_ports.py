"""Protocols of the session stores."""

from authgw.core.ports import BatchStore, MirroringStore, SessionStore
from tests.support.memory_store import MemoryStore


def test_a_mirroring_store_has_all_methods_of_the_protocols() -> None:
    store: MirroringStore = MemoryStore()
    for protocol in (SessionStore, MirroringStore):
        methods = [name for name in vars(protocol) if not name.startswith("_")]
        assert [name for name in methods if not callable(getattr(store, name, None))] == []


def test_a_batch_store_reads_and_replaces_many_sessions() -> None:
    assert {"read_many", "replace_many"} <= vars(BatchStore).keys()
