"""The SQLite database of the embedded store: schema, file lock, serialised operations."""

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
from authgw.files.file_errors import file_error
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
CREATE TABLE IF NOT EXISTS records (
  name TEXT PRIMARY KEY,
  text TEXT NOT NULL,
  ends REAL NOT NULL
);
CREATE INDEX IF NOT EXISTS records_ends ON records (ends);
CREATE TABLE IF NOT EXISTS record_members (
  seq INTEGER PRIMARY KEY AUTOINCREMENT,
  name TEXT NOT NULL,
  member TEXT NOT NULL,
  ends REAL NOT NULL,
  UNIQUE (name, member)
);
CREATE INDEX IF NOT EXISTS record_members_ends ON record_members (ends);
"""

OPERATION_TIMEOUT = 1.0  # seconds, including the wait for the lock; a disk may have to sync

# Raised by rows whose values do not have their columns' types: SQLite accepts any value.
_ROW_TYPE_ERRORS = (TypeError, AttributeError, OverflowError)

T = TypeVar("T")


class Database:
    """A connection; call `rows`, `column`, `each` and `transaction` only within `serialised`."""

    def __init__(self, connection: aiosqlite.Connection, lock_file: int | None) -> None:
        self._connection = connection
        self._lock_file = lock_file
        self._lock = asyncio.Lock()

    @classmethod
    async def open(cls, path: Path | None) -> "Database":
        """Open or create the database at `path` and lock it for this process.

        For None, create a database in memory.

        Raises:
            StoreSetupError: another process has locked it, or it cannot be opened or read.
        """
        lock_file = None if path is None else _lock(path)
        connection = await aiosqlite.connect(path or ":memory:", isolation_level=None)
        try:
            await _prepare(connection)
        except sqlite3.Error as error:
            await connection.close()
            if lock_file is not None:
                os.close(lock_file)
            raise StoreSetupError(_unusable(path, error)) from None
        return cls(connection, lock_file)

    @classmethod
    async def open_shared(cls, path: Path) -> "Database":
        """Open an existing database without the lock, which another process may have.

        In WAL mode other connections can read meanwhile, and each statement is atomic for them
        (sqlite.org/wal.html, section 2.2).

        Raises:
            StoreSetupError: the file does not exist, or it cannot be read.
        """
        existing = _existing(path)
        try:
            connection = await aiosqlite.connect(existing, isolation_level=None, uri=True)
        except sqlite3.Error as error:
            raise StoreSetupError(_unusable(path, error)) from None
        try:
            await connection.execute("PRAGMA synchronous = FULL")
            await _check_version(connection)
            await connection.execute("SELECT 1 FROM sessions LIMIT 1")
        except sqlite3.Error as error:
            await connection.close()
            raise StoreSetupError(_unusable(path, error)) from None
        return cls(connection, None)

    async def serialised(self, operation: Callable[[], Awaitable[T]]) -> T:
        """Run an operation while no other operation runs."""
        async with self._lock:
            return await operation()

    async def run(self, operation: Callable[[], Awaitable[T]]) -> T:
        """Run a serialised operation within OPERATION_TIMEOUT.

        A cancelled caller does not cancel the operation.

        Raises:
            StoreUnavailableError: the operation failed or timed out.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + OPERATION_TIMEOUT

        async def in_time() -> T:
            # It would probably end too late for its caller: the next operation can be in time.
            if loop.time() > deadline - OPERATION_TIMEOUT / 2:
                raise TimeoutError
            return await operation()

        try:
            async with asyncio.timeout_at(deadline):
                task = asyncio.create_task(self.serialised(in_time))
                # Retrieve the exception, which a cancelled caller does not.
                task.add_done_callback(lambda task: task.cancelled() or task.exception())
                return await asyncio.shield(task)
        except (sqlite3.Error, ValueError, TimeoutError, *_ROW_TYPE_ERRORS) as error:
            # aiosqlite raises ValueError for a closed connection.
            raise StoreUnavailableError(f"embedded store: {type(error).__name__}") from None

    async def rows(self, sql: str, *values: Any) -> list[Any]:
        """Run a statement and return all its rows."""
        return list(await self._connection.execute_fetchall(sql, values))

    async def column(self, sql: str, *values: Any) -> list[Any]:
        """Run a statement and return the first value of each row."""
        return [row[0] for row in await self.rows(sql, *values)]

    async def each(self, sql: str, values: list[tuple[Any, ...]]) -> None:
        """Run a statement for each of these tuples of values."""
        await self._connection.executemany(sql, values)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[None]:
        """Commit the enclosed statements together; roll them back after an exception."""
        await self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            await self._connection.execute("COMMIT")
        except Exception:
            # After any exception: an open transaction would make all later transactions fail.
            if self._connection.in_transaction:
                await self._connection.execute("ROLLBACK")
            raise

    async def close(self) -> None:
        """Close the database and release its lock."""
        async with self._lock:
            await self._connection.close()
        if self._lock_file is not None:
            os.close(self._lock_file)


def text_in(value: object) -> str:
    """Return a value that must be text; an SQLite column can contain any type.

    Raises:
        ValueError: it is not text.
    """
    if not isinstance(value, str):
        raise ValueError("not text")  # noqa: TRY004  the row is wrong, not the caller
    return value


class _NewerSchemaError(sqlite3.DatabaseError):
    """Raised for a database with a schema of a later version."""


def _unusable(path: Path | None, error: sqlite3.Error) -> str:
    if isinstance(error, _NewerSchemaError):
        return f"{path} was written by a newer version of authgw: run that version"
    return f"{path} cannot be used ({error}): check the file and its disk, or correct cache.url"


async def _prepare(connection: aiosqlite.Connection) -> None:
    await connection.execute("PRAGMA journal_mode = WAL")
    # A logout that was confirmed with 200 must survive a power cut.
    await connection.execute("PRAGMA synchronous = FULL")
    await _check_version(connection)
    await connection.executescript(_SCHEMA)
    await connection.execute(f"PRAGMA user_version = {_SCHEMA_VERSION}")


async def _check_version(connection: aiosqlite.Connection) -> None:
    (version,) = next(iter(await connection.execute_fetchall("PRAGMA user_version")))
    if version > _SCHEMA_VERSION:
        raise _NewerSchemaError


def _existing(path: Path) -> str:
    if not path.exists():
        raise StoreSetupError(
            f"{path} does not exist, since no gateway has stored sessions yet: run `authgw serve`, "
            "or correct cache.url"
        )
    return f"{path.absolute().as_uri()}?mode=rw"


def _lock(path: Path) -> int:
    """Lock the database for this process; return the descriptor of the lock file."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # Next to the resolved path: a symlink leads to the same lock.
        lock_file = os.open(f"{path.resolve()}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        # SQLite creates its other files with the mode of the database.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    except OSError as error:
        raise StoreSetupError(file_error(path, error)) from None
    try:
        fcntl.flock(lock_file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        pid = os.read(lock_file, 20).decode("ascii", "replace").strip() or "unknown"
        os.close(lock_file)
        raise StoreSetupError(
            f"{path} is in use by process {pid}: stop that process, or set cache.url to a Redis, "
            "which several replicas can share"
        ) from None
    try:
        os.ftruncate(lock_file, 0)
        os.write(lock_file, f"{os.getpid()}\n".encode("ascii"))
    except OSError as error:
        os.close(lock_file)
        raise StoreSetupError(file_error(path, error)) from None
    return lock_file
