"""Session store on SQLite, in a file or in memory, for a gateway that runs as a single process.

All statements are serialised by a lock and run to completion even if the caller is cancelled, so
that no open transaction and no result is left for the next caller.
"""

import json
import sqlite3
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

from authgw.core.errors import StoreUnavailableError
from authgw.core.export import ExportedSession
from authgw.core.keys import KeyRing
from authgw.core.measurements import Measurement
from authgw.core.session_codec import dump
from authgw.core.sessions import Session, Snapshot, hash_of_sid, subject_hash
from authgw.storage.records import session_in, snapshot_in
from authgw.storage.sqlite import database
from authgw.storage.sqlite.counters import SqliteCounters
from authgw.storage.sqlite.database import Database, text_in
from authgw.storage.sqlite.records import SqliteRecords

# A fraction of `idle`: extending the idle timeout at each read would make each check a write.
_MIN_IDLE_EXTENSION = 0.01
_MAX_PURGED = 1000  # expired sessions of other subjects that an operation deletes, as others wait
_PURGE = "DELETE FROM sessions WHERE seq IN (SELECT seq FROM sessions WHERE idle_end <= ? LIMIT ?)"
_PAGE_SIZE = 500  # sessions that an operation of an export reads
_INSERT = "INSERT INTO sessions (sid, h, record, idle_end) VALUES (?, ?, ?, ?)"


class EmbeddedStore(SqliteCounters, SqliteRecords):
    """A Store for a single replica, in an SQLite database; `idle` is in seconds."""

    def __init__(
        self, database: Database, *, idle: float, clock: Callable[[], float] = time.time
    ) -> None:
        super().__init__(database, clock)
        self._idle = idle

    @classmethod
    async def open(
        cls, path: Path | None, *, idle: float, clock: Callable[[], float] = time.time
    ) -> "EmbeddedStore":
        """Open or create the database at `path`, or in memory for None.

        Raises:
            StoreSetupError: another process has locked it, or it cannot be opened or read.
        """
        return cls(await Database.open(path), idle=idle, clock=clock)

    @classmethod
    async def open_shared(cls, path: Path, *, idle: float) -> "EmbeddedStore":
        """Open the database of a gateway that may be running, to list or revoke its sessions.

        Raises:
            StoreSetupError: the database at `path` is missing or cannot be read.
        """
        return cls(await Database.open_shared(path), idle=idle)

    async def add(
        self, session: Session, max_sessions: int, record: str | None = None
    ) -> tuple[str, ...]:
        """See `BatchStore.add`."""
        record = record or self.record(session)
        return await self._db.run(lambda: self._add(session, max_sessions, record))

    def now(self, sid: str) -> float | None:
        """See `BatchStore.now`."""
        return self._clock()

    async def read(self, sid: str) -> Snapshot:
        """See `SessionStore.read`."""
        return await self._db.run(lambda: self._read(sid))

    async def read_many(self, sids: Sequence[str]) -> Sequence[Snapshot | StoreUnavailableError]:
        """See `BatchStore.read_many`; all reads share an operation."""
        return await self._db.run(lambda: self._read_many(sids))

    async def replace(
        self, seen: Snapshot, new: Session, record: str | None = None
    ) -> Snapshot | None:
        """See `BatchStore.replace`."""
        record = record or self.record(new)
        return await self._db.run(lambda: self._replace(seen, new, record))

    async def replace_many(
        self, changes: Sequence[tuple[Snapshot, Session]]
    ) -> Sequence[Snapshot | StoreUnavailableError | None]:
        """See `BatchStore.replace_many`; all changes share a transaction."""
        return await self._db.run(lambda: self._replace_many(changes))

    async def revoke(self, sid: str) -> bool:
        """See `SessionStore.revoke`."""
        sql = "DELETE FROM sessions WHERE sid = ? RETURNING sid, idle_end"
        rows = await self._db.run(lambda: self._delete(sql, sid))
        return bool(rows)

    async def revoke_all(self, sub: str) -> tuple[str, ...]:
        """See `SessionStore.revoke_all`."""
        sql = "DELETE FROM sessions WHERE h = ? RETURNING sid, idle_end"
        return await self._db.run(lambda: self._delete(sql, subject_hash(sub)))

    async def sessions_of(self, sub: str) -> tuple[Session, ...]:
        """See `SessionStore.sessions_of`."""
        sql = "SELECT sid, record FROM sessions WHERE h = ? AND idle_end > ? ORDER BY seq"
        rows = await self._db.run(lambda: self._db.rows(sql, subject_hash(sub), self._clock()))
        return tuple(session_in(record, sid) for sid, record in rows)

    async def last_used(self, sids: Sequence[str]) -> dict[str, float]:
        """See `SessionStore.last_used`."""
        sql = (
            "SELECT sid, idle_end FROM sessions "
            "WHERE sid IN (SELECT value FROM json_each(?)) AND idle_end > ?"
        )

        async def read_last_used() -> dict[str, float]:
            rows = await self._db.rows(sql, json.dumps(list(sids)), self._clock())
            return {sid: idle_end - self._idle for sid, idle_end in rows}

        return await self._db.run(read_last_used)

    async def export(self) -> AsyncIterator[Sequence[ExportedSession]]:
        """See `ExportableStore.export`."""
        sql = (
            "SELECT sid, record, seq, idle_end FROM sessions "
            "WHERE seq > ? AND idle_end > ? ORDER BY seq LIMIT ?"
        )

        async def page(after: int) -> list[ExportedSession]:
            now = self._clock()
            rows = await self._db.rows(sql, after, now, _PAGE_SIZE)
            return [
                ExportedSession(sid, text_in(record), seq, end - now)
                for sid, record, seq, end in rows
            ]

        last = 0
        while batch := await self._db.run(partial(page, last)):
            yield batch
            last = batch[-1].rank

    async def import_batch(self, batch: Sequence[ExportedSession]) -> int:
        """See `ExportableStore.import_batch`."""
        return await self._db.run(lambda: self._import(batch))

    @property
    def compact(self) -> bool:
        """See `Store.compact`; no other replica reads this database."""
        return True

    def record(self, session: Session) -> str:
        """See `BatchStore.record`; the previous version can read it, after a rollback."""
        return dump(session)

    @property
    def deadline(self) -> float:
        """See `Store.deadline`."""
        return database.OPERATION_TIMEOUT

    def revocation_feed(self, ended: Callable[[str], None]) -> None:
        """See `Store.revocation_feed`."""

    def key_registry(self, keys: KeyRing) -> None:
        """See `Store.key_registry`."""

    def collect(self) -> Iterator[Measurement]:
        """See `MeasuredPart.collect`."""
        return iter(())

    async def ping(self) -> None:
        """Check that the database responds.

        Raises:
            StoreUnavailableError: it does not.
        """
        await self._db.run(lambda: self._db.column("SELECT 1"))

    async def close(self) -> None:
        """Close the database and release its lock."""
        await self._db.close()

    async def _add(self, session: Session, max_sessions: int, record: str) -> tuple[str, ...]:
        now, h = self._clock(), subject_hash(session.sub)
        async with self._db.transaction():
            await self._db.rows("DELETE FROM sessions WHERE h = ? AND idle_end <= ?", h, now)
            await self._db.rows(_PURGE, now, _MAX_PURGED)
            sids = await self._db.column("SELECT sid FROM sessions WHERE h = ? ORDER BY seq", h)
            ended = sids[: max(0, len(sids) + 1 - max_sessions)]
            await self._db.each("DELETE FROM sessions WHERE sid = ?", [(sid,) for sid in ended])
            await self._db.rows(_INSERT, session.sid, h, record, now + self._idle)
        return tuple(ended)

    async def _delete(self, sql: str, value: str) -> tuple[str, ...]:
        """Run a DELETE statement; return the sids of the deleted sessions that were not idle."""
        now = self._clock()
        return tuple(sid for sid, idle_end in await self._db.rows(sql, value) if idle_end > now)

    async def _read(self, sid: str) -> Snapshot:
        (seen,) = await self._read_many((sid,))
        if isinstance(seen, StoreUnavailableError):
            raise seen
        return seen

    async def _read_many(self, sids: Sequence[str]) -> list[Snapshot | StoreUnavailableError]:
        now, wanted = self._clock(), json.dumps(sids)
        sql = (
            "SELECT sid, record, idle_end FROM sessions "
            "WHERE sid IN (SELECT value FROM json_each(?)) AND idle_end > ?"
        )
        rows = await self._db.rows(sql, wanted, now)
        records = {sid: record for sid, record, _ in rows}
        latest = now + self._idle * (1 - _MIN_IDLE_EXTENSION)
        await self._extend_idle_end([sid for sid, _, idle_end in rows if idle_end < latest], now)
        return [snapshot_in(records.get(sid), sid, now) for sid in sids]

    async def _extend_idle_end(self, sids: list[str], now: float) -> None:
        if not sids:
            return
        sql = "UPDATE sessions SET idle_end = ? WHERE sid IN (SELECT value FROM json_each(?))"
        try:
            await self._db.rows(sql, now + self._idle, json.dumps(sids))
        except sqlite3.Error:
            # A full disk refuses the write; the read is still valid.
            return

    async def _replace(self, seen: Snapshot, new: Session, record: str) -> Snapshot | None:
        now = self._clock()
        sql = (
            "UPDATE sessions SET record = ?, idle_end = ? "
            "WHERE sid = ? AND record = ? AND idle_end > ? RETURNING sid"
        )
        if await self._db.rows(sql, record, now + self._idle, new.sid, seen.version, now):
            return None
        return await self._read(new.sid)

    async def _replace_many(
        self, changes: Sequence[tuple[Snapshot, Session]]
    ) -> list[Snapshot | StoreUnavailableError | None]:
        outcomes: list[Snapshot | StoreUnavailableError | None] = []
        async with self._db.transaction():
            for seen, new in changes:
                try:
                    outcomes.append(await self._replace(seen, new, self.record(new)))
                except StoreUnavailableError as error:
                    outcomes.append(error)
        return outcomes

    async def _import(self, batch: Sequence[ExportedSession]) -> int:
        now, inserted = self._clock(), 0
        sql = f"{_INSERT} ON CONFLICT (sid) DO NOTHING RETURNING sid"
        async with self._db.transaction():
            for exported in batch:
                sid, idle_end = exported.sid, now + exported.idle_left
                rows = await self._db.rows(sql, sid, hash_of_sid(sid), exported.record, idle_end)
                inserted += len(rows)
        return inserted
