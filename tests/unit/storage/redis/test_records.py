"""Replies to commands for records that Redis never sends."""

from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from authgw.core.errors import StoreUnavailableError
from authgw.core.export import ExportedRecord, ExportedSet
from authgw.storage.redis.connect import connect
from authgw.storage.redis.store import RedisStore
from tests.support.scripted_redis import ScriptedServer, bulk

INTEGER, TEXT, NO_UTF8, LIST = b":-1\r\n", bulk(b"x"), bulk(b"\xff"), b"*1\r\n:1\r\n"


@pytest.fixture
async def store(server: ScriptedServer) -> AsyncIterator[RedisStore]:
    store = RedisStore(connect(f"redis://127.0.0.1:{server.port}"), idle=60, session_max=60)
    yield store
    await store.close()


async def _export(store: RedisStore) -> None:
    async for _ in store.export_records():
        pass


Call = Callable[[RedisStore], Awaitable[object]]
CASES: list[tuple[bytes, Call, list[bytes]]] = [
    (b"SET", lambda store: store.put("a", "1", 60), [INTEGER, TEXT, LIST, b"_\r\n"]),
    (b"GET", lambda store: store.get("a"), [INTEGER, NO_UTF8, LIST]),
    (b"EVALSHA", lambda store: store.take("a"), [INTEGER, NO_UTF8, LIST]),
    (b"EVALSHA", lambda store: store.add_member("a", "1", 60), [INTEGER, TEXT, LIST, b"_\r\n"]),
    (b"ZRANGE", lambda store: store.members("a"), [INTEGER, TEXT, LIST, b"*1\r\n" + NO_UTF8]),
    (
        b"EVALSHA",
        lambda store: store.import_records([ExportedRecord("h", "x", 1)]),
        [INTEGER, b":2\r\n", TEXT, b"_\r\n"],
    ),
    (b"EVALSHA", lambda store: store.import_records([ExportedSet("h", ("x",), 1)]), [b":2\r\n"]),
    (b"SCAN", _export, [INTEGER, TEXT, LIST]),
]


@pytest.mark.parametrize(("command", "call", "replies"), CASES)
async def test_a_reply_of_another_type_is_unavailable(
    server: ScriptedServer, store: RedisStore, command: bytes, call: Call, replies: list[bytes]
) -> None:
    for reply in replies:
        server.replies[command] = reply
        with pytest.raises(StoreUnavailableError):
            await call(store)
    assert server.count(command) == len(replies)


@pytest.mark.parametrize(
    "reply",
    [LIST, b"*2\r\n:1\r\n:1\r\n", b"*2\r\n$1\r\nx\r\n$1\r\nx\r\n", b"*2\r\n*1\r\n:1\r\n:1\r\n"],
)
async def test_an_exported_record_of_another_type_is_unavailable(
    server: ScriptedServer, store: RedisStore, reply: bytes
) -> None:
    key = b"authgw:r:" + b"x" * 43
    server.replies[b"SCAN"] = b"*2\r\n" + bulk(b"0") + b"*1\r\n" + bulk(key)
    server.replies[b"EVALSHA"] = reply
    with pytest.raises(StoreUnavailableError):
        await _export(store)


async def test_keys_of_other_kinds_are_left_aside(
    server: ScriptedServer, store: RedisStore
) -> None:
    server.replies[b"SCAN"] = b"*2\r\n" + bulk(b"0") + b"*1\r\n" + bulk(b"authgw:r:short")
    await _export(store)
    assert server.count(b"EVALSHA") == 0
