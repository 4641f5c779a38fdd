"""The SQLite database of the embedded store: its tables, its holder, one operation at a time."""

import asyncio
import fcntl
import os
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import aiosqlite

from authgw.core.errors import StoreUnavailableError
from authgw.storage import StoreSetupError

_SCHEMA_VERSION = 1
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

DEADLINE = 1.0  # seconds for one operation, its turn included: a disk may have to sync

# What comes of a row whose values are not of their columns' types: SQLite takes any value.
_WRONG_ROW = (TypeError, AttributeError, OverflowError)

T = TypeVar("T")


class Database:
    """One connection; `rows`, `column` and `transaction` are called from within `in_turn`."""

    def __init__(self, connection: aiosqlite.Connection, lock_file: int | None) -> None:
        self._connection = connection
        self._lock_file = lock_file
        self._turn = asyncio.Lock()

    @classmethod
    async def open(cls, path: Path | None) -> "Database":
        """Open or make the database at `path` for this process alone, or one in memory for None.

        Raises:
            StoreSetupError: another process holds it, or it cannot be opened or read.
        """
        held = None if path is None else _hold(path)
        connection = await aiosqlite.connect(path or ":memory:", isolation_level=None)
        try:
            await _prepare(connection)
        except sqlite3.Error as error:
            await connection.close()
            if held is not None:
                os.close(held)
            raise StoreSetupError(f"{path}: {error}") from None
        return cls(connection, held)

    @classmethod
    async def open_beside(cls, path: Path) -> "Database":
        """Open a database that is there, beside the process that may hold it.

        In WAL mode others go on reading meanwhile, and a single statement is whole for them too
        (sqlite.org/wal.html, section 2.2).

        Raises:
            StoreSetupError: there is none, or it cannot be read.
        """
        existing = _existing(path)
        try:
            connection = await aiosqlite.connect(existing, isolation_level=None, uri=True)
        except sqlite3.Error as error:
            raise StoreSetupError(f"{path}: {error}") from None
        try:
            await connection.execute("PRAGMA synchronous = FULL")
            await _check_version(connection)
            await connection.execute("SELECT 1 FROM sessions LIMIT 1")
        except sqlite3.Error as error:
            await connection.close()
            raise StoreSetupError(f"{path}: {error}") from None
        return cls(connection, None)

    async def in_turn(self, operation: Callable[[], Awaitable[T]]) -> T:
        """Run an operation when no other one runs."""
        async with self._turn:
            return await operation()

    async def run(self, operation: Callable[[], Awaitable[T]]) -> T:
        """Run an operation in its turn and within DEADLINE, to its end even if its caller leaves.

        Raises:
            StoreUnavailableError: it failed, or was not done in time.
        """
        loop = asyncio.get_running_loop()
        until = loop.time() + DEADLINE

        async def in_time() -> T:
            # Its caller will hardly see it end: the next one in the line may.
            if loop.time() > until - DEADLINE / 2:
                raise TimeoutError
            return await operation()

        try:
            async with asyncio.timeout_at(until):
                turn = asyncio.create_task(self.in_turn(in_time))
                # Whoever left does not ask how it ended.
                turn.add_done_callback(lambda task: task.cancelled() or task.exception())
                return await asyncio.shield(turn)
        except (sqlite3.Error, ValueError, TimeoutError, *_WRONG_ROW) as error:
            # aiosqlite says ValueError for a connection that was closed.
            raise StoreUnavailableError(f"embedded store: {type(error).__name__}") from None

    async def rows(self, sql: str, *values: Any) -> list[Any]:
        """All rows that a statement returns."""
        return list(await self._connection.execute_fetchall(sql, values))

    async def column(self, sql: str, *values: Any) -> list[Any]:
        """The first value of each row."""
        return [row[0] for row in await self.rows(sql, *values)]

    async def each(self, sql: str, values: list[tuple[Any, ...]]) -> None:
        """Run a statement once for each of these values."""
        await self._connection.executemany(sql, values)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[None]:
        """All of what is done within it, or nothing."""
        await self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            await self._connection.execute("COMMIT")
        except Exception:
            # Whatever it is: a transaction left open would refuse every later one.
            if self._connection.in_transaction:
                await self._connection.execute("ROLLBACK")
            raise

    async def close(self) -> None:
        """Close the database and let go of it."""
        async with self._turn:
            await self._connection.close()
        if self._lock_file is not None:
            os.close(self._lock_file)


async def _prepare(connection: aiosqlite.Connection) -> None:
    await connection.execute("PRAGMA journal_mode = WAL")
    # A log-out that was answered with 200 must outlive a power cut.
    await connection.execute("PRAGMA synchronous = FULL")
    await _check_version(connection)
    await connection.executescript(_SCHEMA)
    await connection.execute(f"PRAGMA user_version = {_SCHEMA_VERSION}")


async def _check_version(connection: aiosqlite.Connection) -> None:
    (version,) = next(iter(await connection.execute_fetchall("PRAGMA user_version")))
    if version > _SCHEMA_VERSION:
        raise sqlite3.DatabaseError("made by a newer authgw: run that one")


def _existing(path: Path) -> str:
    if not path.exists():
        raise StoreSetupError(f"{path} is not there: no gateway has kept sessions in it")
    return f"{path.absolute().as_uri()}?mode=rw"


def _hold(path: Path) -> int:
    """Make this process the only one that uses the database; return the held descriptor."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # Beside the file itself: by another name it is the same one.
        held = os.open(f"{path.resolve()}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        # SQLite gives its other files the mode of this one.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    except OSError as error:
        raise StoreSetupError(f"{path}: {error.strerror}") from None
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        pid = os.read(held, 20).decode("ascii", "replace").strip() or "unknown"
        os.close(held)
        raise StoreSetupError(
            f"{path} is held by pid {pid}: stop that one, or use redis:// for several replicas"
        ) from None
    os.ftruncate(held, 0)
    os.write(held, f"{os.getpid()}\n".encode("ascii"))
    return held
