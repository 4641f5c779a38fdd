"""Sessions in SQLite, in a file or in memory, for a gateway that runs as one process.

Every statement runs behind one lock and to its end even if its caller is cancelled, so neither
a transaction nor a result is ever left for the next caller.
"""

import json
import sqlite3
import time
from collections.abc import AsyncIterator, Callable, Sequence
from functools import partial
from pathlib import Path

from authgw.core.errors import StoreUnavailableError
from authgw.core.export import ExportedSession
from authgw.core.session_codec import dump, load
from authgw.core.sessions import Session, Snapshot, hash_of_sid, subject_hash
from authgw.storage.sqlite.counters import SqliteCounters
from authgw.storage.sqlite.database import Database

# Moving the end of idleness at every read would make every check a write.
_WORTH_MOVING = 0.01
# Of those that ended long ago, while others wait.
_PURGED_AT_ONCE = 1000
_PURGE = "DELETE FROM sessions WHERE seq IN (SELECT seq FROM sessions WHERE idle_end <= ? LIMIT ?)"
_PAGE = 500  # sessions that are looked at in one turn
_INSERT = "INSERT INTO sessions (sid, h, record, idle_end) VALUES (?, ?, ?, ?)"


class EmbeddedStore(SqliteCounters):
    """A SessionStore and Counters in one SQLite database; `idle` is in seconds."""

    def __init__(
        self, database: Database, *, idle: float, clock: Callable[[], float] = time.time
    ) -> None:
        super().__init__(database, clock)
        self._idle = idle

    @classmethod
    async def open(
        cls, path: Path | None, *, idle: float, clock: Callable[[], float] = time.time
    ) -> "EmbeddedStore":
        """Open or make the database at `path`, or one in memory for None.

        Raises:
            StoreSetupError: another process holds it, or it cannot be opened or read.
        """
        return cls(await Database.open(path), idle=idle, clock=clock)

    @classmethod
    async def open_beside(cls, path: Path, *, idle: float) -> "EmbeddedStore":
        """The store of a gateway that may be running: for looking at it and for revoking.

        Raises:
            StoreSetupError: there is no database at `path`, or it cannot be read.
        """
        return cls(await Database.open_beside(path), idle=idle)

    async def add(self, session: Session, max_sessions: int) -> tuple[str, ...]:
        """Keep a new session; end its subject's oldest over `max_sessions`; return their sids."""
        return await self._db.run(lambda: self._add(session, max_sessions))

    async def read(self, sid: str) -> Snapshot:
        """Return the session, or None in it, and count this as use of it."""
        return await self._db.run(lambda: self._read(sid))

    async def read_many(self, sids: Sequence[str]) -> Sequence[Snapshot | StoreUnavailableError]:
        """What `read` returns, or raises, for each sid in its order; at once for all."""
        return await self._db.run(lambda: self._read_many(sids))

    async def replace(self, seen: Snapshot, new: Session) -> Snapshot | None:
        """Compare-and-set: None if `new` took the place of what was seen, else what is there."""
        return await self._db.run(lambda: self._replace(seen, new))

    async def replace_many(
        self, changes: Sequence[tuple[Snapshot, Session]]
    ) -> Sequence[Snapshot | StoreUnavailableError | None]:
        """What `replace` returns, or raises, for each (seen, new) in its order; all in one turn."""
        return await self._db.run(lambda: self._replace_many(changes))

    async def revoke(self, sid: str) -> bool:
        """End one session; say whether it was alive. Returns once the store has it."""
        sql = "DELETE FROM sessions WHERE sid = ? RETURNING sid, idle_end"
        rows = await self._db.run(lambda: self._ended(sql, sid))
        return bool(rows)

    async def revoke_all(self, sub: str) -> tuple[str, ...]:
        """End every session of a subject; return their sids."""
        sql = "DELETE FROM sessions WHERE h = ? RETURNING sid, idle_end"
        return await self._db.run(lambda: self._ended(sql, subject_hash(sub)))

    async def sessions_of(self, sub: str) -> tuple[Session, ...]:
        """The live sessions of a subject, oldest first."""
        sql = "SELECT sid, record FROM sessions WHERE h = ? AND idle_end > ? ORDER BY seq"
        rows = await self._db.run(lambda: self._db.rows(sql, subject_hash(sub), self._clock()))
        return tuple(_record(sid, text) for sid, text in rows)

    async def last_used(self, sids: Sequence[str]) -> dict[str, float]:
        """When each live one of these was last used, in Unix seconds of this clock."""
        sql = (
            "SELECT sid, idle_end FROM sessions "
            "WHERE sid IN (SELECT value FROM json_each(?)) AND idle_end > ?"
        )

        async def used() -> dict[str, float]:
            rows = await self._db.rows(sql, json.dumps(list(sids)), self._clock())
            return {sid: idle_end - self._idle for sid, idle_end in rows}

        return await self._db.run(used)

    async def kept(self) -> AsyncIterator[Sequence[ExportedSession]]:
        """Every live session in batches, a subject's oldest first; asking is no use of them."""
        sql = (
            "SELECT sid, record, seq, idle_end FROM sessions "
            "WHERE seq > ? AND idle_end > ? ORDER BY seq LIMIT ?"
        )

        async def page(after: int) -> list[ExportedSession]:
            now = self._clock()
            rows = await self._db.rows(sql, after, now, _PAGE)
            return [
                ExportedSession(sid, _text(record), seq, end - now)
                for sid, record, seq, end in rows
            ]

        last = 0
        while batch := await self._db.run(partial(page, last)):
            yield batch
            last = batch[-1].rank

    async def keep(self, batch: Sequence[ExportedSession]) -> int:
        """Take in sessions of another store as they are; return how many were not here yet."""
        return await self._db.run(lambda: self._keep(batch))

    async def ping(self) -> None:
        """Raise StoreUnavailableError unless the database answers."""
        await self._db.run(lambda: self._db.column("SELECT 1"))

    async def close(self) -> None:
        """Close the database and let go of it."""
        await self._db.close()

    async def _add(self, session: Session, max_sessions: int) -> tuple[str, ...]:
        now, h = self._clock(), subject_hash(session.sub)
        async with self._db.transaction():
            await self._db.rows("DELETE FROM sessions WHERE h = ? AND idle_end <= ?", h, now)
            await self._db.rows(_PURGE, now, _PURGED_AT_ONCE)
            sids = await self._db.column("SELECT sid FROM sessions WHERE h = ? ORDER BY seq", h)
            ended = sids[: max(0, len(sids) + 1 - max_sessions)]
            await self._db.each("DELETE FROM sessions WHERE sid = ?", [(sid,) for sid in ended])
            await self._db.rows(_INSERT, session.sid, h, dump(session), now + self._idle)
        return tuple(ended)

    async def _ended(self, sql: str, value: str) -> tuple[str, ...]:
        """Delete by this statement; return the sids of what was alive."""
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
        found = {sid: (record, end) for sid, record, end in await self._db.rows(sql, wanted, now)}
        worth_moving = now + self._idle * (1 - _WORTH_MOVING)
        await self._move_idle_end([sid for sid in found if found[sid][1] < worth_moving], now)
        return [_outcome(sid, found[sid][0] if sid in found else None, now) for sid in sids]

    async def _move_idle_end(self, sids: list[str], now: float) -> None:
        if not sids:
            return
        sql = "UPDATE sessions SET idle_end = ? WHERE sid IN (SELECT value FROM json_each(?))"
        try:
            await self._db.rows(sql, now + self._idle, json.dumps(sids))
        except sqlite3.Error:
            # A full disk refuses the write; what was read is still true.
            return

    async def _replace(self, seen: Snapshot, new: Session) -> Snapshot | None:
        now = self._clock()
        sql = (
            "UPDATE sessions SET record = ?, idle_end = ? "
            "WHERE sid = ? AND record = ? AND idle_end > ? RETURNING sid"
        )
        if await self._db.rows(sql, dump(new), now + self._idle, new.sid, seen.version, now):
            return None
        return await self._read(new.sid)

    async def _replace_many(
        self, changes: Sequence[tuple[Snapshot, Session]]
    ) -> list[Snapshot | StoreUnavailableError | None]:
        found: list[Snapshot | StoreUnavailableError | None] = []
        async with self._db.transaction():
            for seen, new in changes:
                try:
                    found.append(await self._replace(seen, new))
                except StoreUnavailableError as error:
                    found.append(error)
        return found

    async def _keep(self, batch: Sequence[ExportedSession]) -> int:
        now, taken = self._clock(), 0
        sql = f"{_INSERT} ON CONFLICT (sid) DO NOTHING RETURNING sid"
        async with self._db.transaction():
            for one in batch:
                h = hash_of_sid(one.sid)
                rows = await self._db.rows(sql, one.sid, h, one.record, now + one.idle_left)
                taken += len(rows)
        return taken


def _outcome(sid: str, record: str | None, now: float) -> Snapshot | StoreUnavailableError:
    if record is None:
        return Snapshot(None, now)
    try:
        return Snapshot(_record(sid, record), now, record)
    except StoreUnavailableError as error:
        return error


def _record(sid: str, record: object) -> Session:
    try:
        session = load(_text(record))
    except ValueError:
        # Neither "ended" nor "alive" would be true: the store holds something else.
        raise StoreUnavailableError("a session record cannot be read") from None
    if session.sid != sid:
        raise StoreUnavailableError("a session record is that of another session")
    return session


def _text(value: object) -> str:
    """The text of a column, which SQLite lets hold anything.

    Raises:
        ValueError: it holds something else.
    """
    if not isinstance(value, str):
        raise ValueError("not text")  # noqa: TRY004  the row is wrong, not the caller
    return value
