"""The embedded store: its file, its lock, its clock, cancelled calls."""

import asyncio
import random
import sqlite3
import subprocess
import sys
from collections.abc import Awaitable
from dataclasses import replace
from pathlib import Path

import aiosqlite
import pytest

from authgw.core.errors import StoreUnavailableError
from authgw.core.sessions import Snapshot, new_sid
from authgw.storage import StoreSetupError
from authgw.storage.sqlite import counters, database
from authgw.storage.sqlite import store as sqlite_store
from authgw.storage.sqlite.store import EmbeddedStore
from tests.support.builders import a_session, numbered


def modes(folder: Path) -> set[int]:
    return {file.stat().st_mode & 0o777 for file in folder.iterdir()}


def contents(folder: Path) -> bytes:
    return b"".join(file.read_bytes() for file in folder.iterdir())


class Clock:
    now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


async def test_idleness_ends_and_use_extends() -> None:
    clock = Clock()
    store = await EmbeddedStore.open(None, idle=100, clock=clock)
    await store.add(numbered(1), 2)
    await store.add(numbered(2), 2)
    for _ in range(5):
        clock.now += 60
        assert (await store.read(numbered(1).sid)).session == numbered(1)
    assert (await store.read(numbered(2).sid)).session is None
    assert await store.sessions_of("1") == (numbered(1),)
    assert not await store.revoke(numbered(2).sid)
    # An idle session does not count towards the limit.
    assert await store.add(numbered(3), 2) == ()
    clock.now += 99.9
    assert (await store.read(numbered(3).sid)).session
    clock.now += 100.1
    assert (await store.read(numbered(3).sid)).session is None
    await store.close()


async def test_an_idle_session_is_not_reported_as_ended() -> None:
    clock = Clock()
    store = await EmbeddedStore.open(None, idle=100, clock=clock)
    await store.add(numbered(1), 100)
    clock.now += 60
    await store.add(numbered(2), 100)
    clock.now += 60
    ended = await store.revoke_all("1")
    await store.close()
    assert ended == (numbered(2).sid,)


async def test_sessions_survive_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "var" / "authgw.db"
    store = await EmbeddedStore.open(path, idle=60)
    await store.add(numbered(1), 10)
    await store.close()
    again = await EmbeddedStore.open(path, idle=60)
    assert await again.sessions_of("1") == (numbered(1),)
    await again.close()


async def test_files_are_readable_by_their_owner_only(tmp_path: Path) -> None:
    store = await EmbeddedStore.open(tmp_path / "authgw.db", idle=60)
    await store.add(numbered(1), 10)
    assert modes(tmp_path) == {0o600}
    await store.close()


def hold(path: Path) -> subprocess.Popen[bytes]:
    code = (
        "import asyncio, pathlib, sys; from authgw.storage.sqlite.store import EmbeddedStore\n"
        "async def hold():\n"
        "    await EmbeddedStore.open(pathlib.Path(sys.argv[1]), idle=1)\n"
        "    print('held', flush=True); sys.stdin.read()\n"
        "asyncio.run(hold())"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", code, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == b"held\n"
    return holder


async def test_a_symlink_to_the_file_leads_to_the_same_lock(tmp_path: Path) -> None:
    store = await EmbeddedStore.open(tmp_path / "authgw.db", idle=60)
    (tmp_path / "link.db").symlink_to("authgw.db")
    with pytest.raises(StoreSetupError, match="in use by process"):
        await EmbeddedStore.open(tmp_path / "link.db", idle=60)
    await store.close()


async def test_expired_sessions_are_purged_in_parts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_store, "_MAX_PURGED", 3)
    clock = Clock()
    store = await EmbeddedStore.open(tmp_path / "authgw.db", idle=60, clock=clock)
    for number in range(9):
        idle = replace(a_session(), sub=str(number), sid=new_sid(str(number), bytes(16)))
        await store.add(idle, 100)
    clock.now += 100
    left = []
    for number in range(4):
        mine = replace(a_session(), sub="me", sid=new_sid("me", number.to_bytes(16)))
        assert await store.add(mine, 100) == ()
        with sqlite3.connect(tmp_path / "authgw.db") as file:
            left += file.execute("SELECT count(*) FROM sessions").fetchone()
    assert left == [7, 5, 3, 4]
    await store.close()


async def test_a_second_process_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "authgw.db"
    holder = hold(path)
    with pytest.raises(
        StoreSetupError, match=rf"in use by process {holder.pid}: stop that process, or set"
    ):
        await EmbeddedStore.open(path, idle=60)
    holder.kill()
    holder.communicate()
    # After the process with the lock was killed, no manual clean-up is necessary.
    await (await EmbeddedStore.open(path, idle=60)).close()


@pytest.mark.parametrize("content", [b"not a database, but long enough to be read as one" * 40])
async def test_another_file_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "authgw.db").write_bytes(content)
    with pytest.raises(StoreSetupError, match="not a database"):
        await EmbeddedStore.open(tmp_path / "authgw.db", idle=60)
    with pytest.raises(StoreSetupError, match="is a directory"):
        await EmbeddedStore.open(tmp_path, idle=60)


async def test_a_newer_schema_is_refused(tmp_path: Path) -> None:
    async with aiosqlite.connect(tmp_path / "authgw.db") as database:
        await database.execute("PRAGMA user_version = 99")
    with pytest.raises(StoreSetupError, match="newer version of authgw: run"):
        await EmbeddedStore.open(tmp_path / "authgw.db", idle=60)


async def test_a_closed_store_is_unavailable() -> None:
    store = await EmbeddedStore.open(None, idle=60)
    await store.close()
    with pytest.raises(StoreUnavailableError):
        await store.read(numbered(1).sid)


async def test_a_stuck_store_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "OPERATION_TIMEOUT", 0.02)
    store = await EmbeddedStore.open(None, idle=60)
    async with store._db._lock:
        with pytest.raises(StoreUnavailableError):
            await store.read(numbered(1).sid)
    await store.ping()
    await store.close()


async def test_an_operation_that_timed_out_before_its_start_is_not_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(database, "OPERATION_TIMEOUT", 0.1)
    store = await EmbeddedStore.open(None, idle=60)
    busy = asyncio.create_task(store._db.serialised(lambda: asyncio.sleep(0.2)))
    await asyncio.sleep(0)
    with pytest.raises(StoreUnavailableError, match="TimeoutError"):
        await store.add(numbered(1), 100)
    await busy
    assert await store.sessions_of("1") == ()
    await store.close()


async def test_an_invalid_record_is_unavailable(tmp_path: Path) -> None:
    path = tmp_path / "authgw.db"
    store = await EmbeddedStore.open(path, idle=60)
    await store.add(numbered(1), 10)
    async with aiosqlite.connect(path) as other:
        await other.execute("UPDATE sessions SET record = '{}'")
        await other.commit()
    with pytest.raises(StoreUnavailableError, match="cannot be read"):
        await store.read(numbered(1).sid)
    await store.add(numbered(2), 10)
    bad, good = await store.read_many([numbered(1).sid, numbered(2).sid])
    assert isinstance(bad, StoreUnavailableError)
    assert isinstance(good, Snapshot)
    assert good.session == numbered(2)
    await store.close()


async def test_reading_many_extends_each() -> None:
    clock = Clock()
    store = await EmbeddedStore.open(None, idle=100, clock=clock)
    for number in (1, 2, 3):
        await store.add(numbered(number), 10)
    for _ in range(3):
        clock.now += 60
        await store.read_many([numbered(1).sid, numbered(2).sid])
    assert await store.sessions_of("1") == (numbered(1), numbered(2))
    await store.close()


async def test_a_refused_write_does_not_affect_reads(tmp_path: Path) -> None:
    clock = Clock()
    store = await EmbeddedStore.open(tmp_path / "authgw.db", idle=100, clock=clock)
    await store.add(numbered(1), 10)
    await store._db.rows("PRAGMA query_only = 1")
    clock.now += 50
    assert (await store.read(numbered(1).sid)).session == numbered(1)
    for write in (store.revoke(numbered(1).sid), store.add(numbered(2), 10)):
        with pytest.raises(StoreUnavailableError):
            await write
    await store._db.rows("PRAGMA query_only = 0")
    assert await store.add(numbered(2), 10) == ()
    await store.close()


async def test_cancelled_calls_leave_nothing_behind(tmp_path: Path) -> None:
    store = await EmbeddedStore.open(tmp_path / "authgw.db", idle=60)
    await store.add(numbered(0), 1000)
    for number in range(1, 300):
        task = asyncio.create_task(store.add(numbered(number), 1000))
        await asyncio.sleep(random.random() * 0.002)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert (await store.read(numbered(0).sid)).session == numbered(0)
    await store.close()


async def counters_kept(store: EmbeddedStore) -> int:
    (rows,) = await store._db.column("SELECT count(*) FROM counters")
    assert isinstance(rows, int)
    return rows


async def test_counters_are_bounded_and_the_last_to_expire_stay(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(counters, "MAX_COUNTERS", 50)
    monkeypatch.setattr(counters, "_CHECK_INTERVAL", 10)
    store = await EmbeddedStore.open(None, idle=60)
    await store.increment_all([("kept", 3600), ("kept", 3600)])
    assert await store.claim("kept", 1)
    for number in range(0, 300, 3):
        await store.increment_all([(f"{number + more}", 60 + number) for more in range(3)])
        assert await counters_kept(store) <= 50
    assert (await store.increment("kept", 60))[0] == 3
    assert (await store.increment("299", 60))[0] == 2
    assert (await store.increment("0", 60))[0] == 1
    assert not await store.claim("kept", 1)
    await store.close()


async def test_expired_counters_are_deleted() -> None:
    clock = Clock()
    store = await EmbeddedStore.open(None, idle=60, clock=clock)
    await store.increment_all([("a", 10), ("b", 20)])
    await store.claim("a", 10)
    clock.now += 10
    assert (await store.increment("c", 10))[0] == 1
    assert await counters_kept(store) == 2
    assert await store.claim("b", 10)
    assert await store._db.column("SELECT count(*) FROM claims") == [1]
    await store.close()


async def test_no_name_reaches_the_file(tmp_path: Path) -> None:
    path = tmp_path / "authgw.db"
    store = await EmbeddedStore.open(path, idle=60)
    await store.increment("alice from 203.0.113.7", 60)
    await store.claim("alice from 203.0.113.7", 60)
    assert b"alice" not in contents(tmp_path)
    await store.close()


async def test_counters_that_cannot_be_written_are_unavailable(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    store = await EmbeddedStore.open(None, idle=60)
    await store.increment("a", 60)
    await store._db.rows("PRAGMA query_only = 1")
    for call in counting(store):
        with pytest.raises(StoreUnavailableError):
            await call
    await store._db.rows("PRAGMA query_only = 0")
    assert (await store.increment("a", 60))[0] == 2
    monkeypatch.setattr(database, "OPERATION_TIMEOUT", 0.02)
    async with store._db._lock:
        for call in [*counting(store), store.last_used([numbered(1).sid])]:
            with pytest.raises(StoreUnavailableError):
                await call
    await store.close()


def counting(store: EmbeddedStore) -> list[Awaitable[object]]:
    return [store.increment_all([("b", 60)]), store.release(["a"], ["a"]), store.claim("a", 60)]


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("record", 5),
        ("record", b"\xff"),
        ("record", "{"),
        ("record", "[]"),
        ("idle_end", "soon"),
        ("idle_end", b"soon"),
    ],
)
async def test_a_row_of_another_type_is_unavailable(
    tmp_path: Path, column: str, value: object
) -> None:
    store = await EmbeddedStore.open(tmp_path / "authgw.db", idle=60)
    session = numbered(1)
    await store.add(session, 10)
    await store._db.rows(f"UPDATE sessions SET {column} = ?", value)  # noqa: S608  a column of ours
    with pytest.raises(StoreUnavailableError):
        await store.read(session.sid)
    if column == "record":
        with pytest.raises(StoreUnavailableError):
            await store.sessions_of(session.sub)
    else:
        with pytest.raises(StoreUnavailableError):
            await store.last_used([session.sid])
        with pytest.raises(StoreUnavailableError):
            await store.revoke_all(session.sub)
    # The next operation is not affected.
    await store._db.rows("DELETE FROM sessions")
    await store.add(session, 10)
    assert (await store.read(session.sid)).session == session
    await store.close()
