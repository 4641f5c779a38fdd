"""Sessions in SQLite, in a file or in memory, for a gateway that runs as one process.

Every statement runs behind one lock and to its end even if its caller is cancelled, so neither
a transaction nor a result is ever left for the next caller.
"""

import asyncio
import fcntl
import json
import os
import sqlite3
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import aiosqlite

from authgw.core.errors import StoreUnavailable
from authgw.core.sessions import Session, Snapshot, dump, load, subject_hash
from authgw.storage import StoreRefused

DEADLINE = 1.0  # seconds for one operation, its turn included: a disk may have to sync
_SCHEMA_VERSION = 1
# Moving the end of idleness at every read would make every check a write.
_WORTH_MOVING = 0.01
# Made-up names must not fill the disk: the counters that end soonest make room.
_MOST_COUNTERS = 100_000
_COUNTED_BETWEEN_CHECKS = 1000

_SCHEMA = """
CREATE TABLE IF NOT EXISTS sessions (
  seq INTEGER PRIMARY KEY AUTOINCREMENT,
  sid TEXT NOT NULL UNIQUE,
  h TEXT NOT NULL,
  record TEXT NOT NULL,
  idle_end REAL NOT NULL
);
CREATE INDEX IF NOT EXISTS sessions_h ON sessions (h);
CREATE INDEX IF NOT EXISTS sessions_idle_end ON sessions (idle_end);
CREATE TABLE IF NOT EXISTS counters (
  name TEXT PRIMARY KEY,
  count INTEGER NOT NULL,
  ends REAL NOT NULL
);
CREATE INDEX IF NOT EXISTS counters_ends ON counters (ends);
CREATE TABLE IF NOT EXISTS claims (
  name TEXT PRIMARY KEY,
  ends REAL NOT NULL
);
CREATE INDEX IF NOT EXISTS claims_ends ON claims (ends);
"""

T = TypeVar("T")


class EmbeddedStore:
    """A SessionStore and Counters in one SQLite database; `idle` is in seconds."""

    def __init__(
        self,
        database: aiosqlite.Connection,
        *,
        idle: float,
        clock: Callable[[], float],
        lock_file: int | None,
    ) -> None:
        self._database = database
        self._idle = idle
        self._clock = clock
        self._lock_file = lock_file
        self._turn = asyncio.Lock()
        self._counted_since_check = _COUNTED_BETWEEN_CHECKS

    @classmethod
    async def open(
        cls, path: Path | None, *, idle: float, clock: Callable[[], float] = time.time
    ) -> "EmbeddedStore":
        """Open or make the database at `path`, or one in memory for None.

        Raises:
            StoreRefused: another process holds it, or it cannot be opened or read.
        """
        held = None if path is None else _hold(path)
        database = await aiosqlite.connect(path or ":memory:", isolation_level=None)
        try:
            await _prepare(database)
        except sqlite3.Error as error:
            await database.close()
            raise StoreRefused(f"{path}: {error}") from None
        return cls(database, idle=idle, clock=clock, lock_file=held)

    async def add(self, session: Session, max_sessions: int) -> tuple[str, ...]:
        """Keep a new session; end its subject's oldest over `max_sessions`; return their sids."""
        return await self._run(lambda: self._add(session, max_sessions))

    async def read(self, sid: str) -> Snapshot:
        """Return the session, or None in it, and count this as use of it."""
        return await self._run(lambda: self._read(sid))

    async def read_many(self, sids: Sequence[str]) -> Sequence[Snapshot | StoreUnavailable]:
        """What `read` returns, or raises, for each sid in its order; at once for all."""
        return await self._run(lambda: self._read_many(sids))

    async def replace(self, seen: Snapshot, new: Session) -> Snapshot | None:
        """Compare-and-set: None if `new` took the place of what was seen, else what is there."""
        return await self._run(lambda: self._replace(seen, new))

    async def replace_many(
        self, changes: Sequence[tuple[Snapshot, Session]]
    ) -> Sequence[Snapshot | StoreUnavailable | None]:
        """What `replace` returns, or raises, for each (seen, new) in its order; all in one turn."""
        return await self._run(lambda: self._replace_many(changes))

    async def revoke(self, sid: str) -> bool:
        """End one session; say whether it was alive. Returns once the store has it."""
        sql = "DELETE FROM sessions WHERE sid = ? RETURNING idle_end"
        ends = await self._run(lambda: self._column(sql, sid))
        return any(end > self._clock() for end in ends)

    async def revoke_all(self, sub: str) -> tuple[str, ...]:
        """End every session of a subject; return their sids."""
        sql = "DELETE FROM sessions WHERE h = ? RETURNING sid"
        return tuple(await self._run(lambda: self._column(sql, subject_hash(sub))))

    async def sessions_of(self, sub: str) -> tuple[Session, ...]:
        """The live sessions of a subject, oldest first."""
        sql = "SELECT record FROM sessions WHERE h = ? AND idle_end > ? ORDER BY seq"
        records = await self._run(lambda: self._column(sql, subject_hash(sub), self._clock()))
        return tuple(_record(text) for text in records)

    async def last_used(self, sids: Sequence[str]) -> dict[str, float]:
        """When each live one of these was last used, in Unix seconds of this clock."""
        sql = (
            "SELECT sid, idle_end FROM sessions "
            "WHERE sid IN (SELECT value FROM json_each(?)) AND idle_end > ?"
        )
        rows = await self._run(lambda: self._rows(sql, json.dumps(list(sids)), self._clock()))
        return {sid: idle_end - self._idle for sid, idle_end in rows}

    async def increment(self, name: str, window: float) -> tuple[int, float]:
        """Count one more under this name; return the count and the seconds until it ends."""
        return (await self.increment_all([(name, window)]))[0]

    async def increment_all(self, counted: Sequence[tuple[str, float]]) -> list[tuple[int, float]]:
        """Increment several (name, window) in one transaction; answers come in the same order."""
        hashed = [(subject_hash(name), window) for name, window in counted]
        return await self._run(lambda: self._increment_all(hashed))

    async def release(self, forget: Sequence[str], give_back: Sequence[str]) -> None:
        """End the counters in `forget` and count one less in `give_back`, in one transaction."""
        ended, less = [subject_hash(n) for n in forget], [subject_hash(n) for n in give_back]
        await self._run(lambda: self._release(ended, less))

    async def claim(self, name: str, seconds: float) -> bool:
        """Whether this is the first claim of this name; a claim ends after `seconds`."""
        hashed = subject_hash(name)
        return await self._run(lambda: self._claim(hashed, seconds))

    async def ping(self) -> None:
        """Raise StoreUnavailable unless the database answers."""
        await self._run(lambda: self._column("SELECT 1"))

    async def close(self) -> None:
        """Close the database and let go of it."""
        async with self._turn:
            await self._database.close()
        if self._lock_file is not None:
            os.close(self._lock_file)

    async def _run(self, operation: Callable[[], Awaitable[T]]) -> T:
        try:
            async with asyncio.timeout(DEADLINE):
                return await asyncio.shield(asyncio.create_task(self._in_turn(operation)))
        except (sqlite3.Error, ValueError, TimeoutError) as error:
            # aiosqlite says ValueError for a connection that was closed.
            raise StoreUnavailable(f"embedded store: {type(error).__name__}") from None

    async def _in_turn(self, operation: Callable[[], Awaitable[T]]) -> T:
        async with self._turn:
            return await operation()

    async def _add(self, session: Session, max_sessions: int) -> tuple[str, ...]:
        now, h = self._clock(), subject_hash(session.sub)
        async with self._transaction():
            await self._database.execute("DELETE FROM sessions WHERE idle_end <= ?", (now,))
            sids = await self._column("SELECT sid FROM sessions WHERE h = ? ORDER BY seq", h)
            ended = sids[: max(0, len(sids) + 1 - max_sessions)]
            await self._database.executemany(
                "DELETE FROM sessions WHERE sid = ?", [(sid,) for sid in ended]
            )
            await self._database.execute(
                "INSERT INTO sessions (sid, h, record, idle_end) VALUES (?, ?, ?, ?)",
                (session.sid, h, dump(session), now + self._idle),
            )
        return tuple(ended)

    async def _read(self, sid: str) -> Snapshot:
        (seen,) = await self._read_many((sid,))
        if isinstance(seen, StoreUnavailable):
            raise seen
        return seen

    async def _read_many(self, sids: Sequence[str]) -> list[Snapshot | StoreUnavailable]:
        now, wanted = self._clock(), json.dumps(sids)
        sql = (
            "SELECT sid, record, idle_end FROM sessions "
            "WHERE sid IN (SELECT value FROM json_each(?)) AND idle_end > ?"
        )
        found = {sid: (record, end) for sid, record, end in await self._rows(sql, wanted, now)}
        worth_moving = now + self._idle * (1 - _WORTH_MOVING)
        await self._move_idle_end([sid for sid in found if found[sid][1] < worth_moving], now)
        return [_outcome(found[sid][0] if sid in found else None, now) for sid in sids]

    async def _move_idle_end(self, sids: list[str], now: float) -> None:
        if not sids:
            return
        sql = "UPDATE sessions SET idle_end = ? WHERE sid IN (SELECT value FROM json_each(?))"
        try:
            await self._rows(sql, now + self._idle, json.dumps(sids))
        except sqlite3.Error:
            # A full disk refuses the write; what was read is still true.
            return

    async def _replace(self, seen: Snapshot, new: Session) -> Snapshot | None:
        now = self._clock()
        sql = (
            "UPDATE sessions SET record = ?, idle_end = ? "
            "WHERE sid = ? AND record = ? AND idle_end > ? RETURNING sid"
        )
        if await self._rows(sql, dump(new), now + self._idle, new.sid, seen.version, now):
            return None
        return await self._read(new.sid)

    async def _replace_many(
        self, changes: Sequence[tuple[Snapshot, Session]]
    ) -> list[Snapshot | StoreUnavailable | None]:
        found: list[Snapshot | StoreUnavailable | None] = []
        async with self._transaction():
            for seen, new in changes:
                try:
                    found.append(await self._replace(seen, new))
                except StoreUnavailable as error:
                    found.append(error)
        return found

    async def _increment_all(self, counted: list[tuple[str, float]]) -> list[tuple[int, float]]:
        now = self._clock()
        sql = (
            "INSERT INTO counters (name, count, ends) VALUES (?, 1, ?) "
            "ON CONFLICT (name) DO UPDATE SET count = count + 1 RETURNING count, ends"
        )
        async with self._transaction():
            await self._make_room(len(counted), now)
            rows = [(await self._rows(sql, name, now + window))[0] for name, window in counted]
        return [(count, ends - now) for count, ends in rows]

    async def _make_room(self, coming: int, now: float) -> None:
        await self._rows("DELETE FROM counters WHERE ends <= ?", now)
        self._counted_since_check += coming
        if self._counted_since_check < _COUNTED_BETWEEN_CHECKS:
            return
        self._counted_since_check = coming
        (rows,) = await self._column("SELECT count(*) FROM counters")
        over = max(0, rows + _COUNTED_BETWEEN_CHECKS - _MOST_COUNTERS)
        sql = "DELETE FROM counters WHERE name IN (SELECT name FROM counters ORDER BY ends LIMIT ?)"
        await self._rows(sql, over)

    async def _release(self, ended: list[str], less: list[str]) -> None:
        async with self._transaction():
            for name in ended:
                await self._rows("DELETE FROM counters WHERE name = ?", name)
            for name in less:
                await self._rows("UPDATE counters SET count = count - 1 WHERE name = ?", name)
                await self._rows("DELETE FROM counters WHERE name = ? AND count <= 0", name)

    async def _claim(self, name: str, seconds: float) -> bool:
        now = self._clock()
        sql = "INSERT INTO claims (name, ends) VALUES (?, ?) ON CONFLICT DO NOTHING RETURNING name"
        async with self._transaction():
            await self._rows("DELETE FROM claims WHERE ends <= ?", now)
            return bool(await self._rows(sql, name, now + seconds))

    @asynccontextmanager
    async def _transaction(self) -> AsyncIterator[None]:
        await self._database.execute("BEGIN IMMEDIATE")
        try:
            yield
            await self._database.execute("COMMIT")
        except sqlite3.Error:
            if self._database.in_transaction:
                await self._database.execute("ROLLBACK")
            raise

    async def _rows(self, sql: str, *values: Any) -> list[Any]:
        return list(await self._database.execute_fetchall(sql, values))

    async def _column(self, sql: str, *values: Any) -> list[Any]:
        return [row[0] for row in await self._rows(sql, *values)]


async def _prepare(database: aiosqlite.Connection) -> None:
    await database.execute("PRAGMA journal_mode = WAL")
    # A log-out that was answered with 200 must outlive a power cut.
    await database.execute("PRAGMA synchronous = FULL")
    (version,) = next(iter(await database.execute_fetchall("PRAGMA user_version")))
    if version > _SCHEMA_VERSION:
        raise sqlite3.DatabaseError("made by a newer authgw: run that one")
    await database.executescript(_SCHEMA)
    await database.execute(f"PRAGMA user_version = {_SCHEMA_VERSION}")


def _hold(path: Path) -> int:
    """Make this process the only one that uses the database; return the held descriptor."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        held = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        # SQLite gives its other files the mode of this one.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    except OSError as error:
        raise StoreRefused(f"{path}: {error.strerror}") from None
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        pid = os.read(held, 20).decode("ascii", "replace").strip() or "unknown"
        os.close(held)
        raise StoreRefused(
            f"{path} is held by pid {pid}; use redis:// for more than one replica"
        ) from None
    os.ftruncate(held, 0)
    os.write(held, f"{os.getpid()}\n".encode("ascii"))
    return held


def _outcome(record: str | None, now: float) -> Snapshot | StoreUnavailable:
    if record is None:
        return Snapshot(None, now)
    try:
        return Snapshot(_record(record), now, record)
    except StoreUnavailable as error:
        return error


def _record(text: str) -> Session:
    try:
        return load(text)
    except ValueError:
        # Neither "ended" nor "alive" would be true: the store holds something else.
        raise StoreUnavailable("a session record cannot be read") from None
