"""Counters and claims in SQLite: a row each, with the hash of the name as its key."""

from collections.abc import Callable, Sequence

from authgw.core.limits import MAX_COUNTERS
from authgw.core.sessions import subject_hash
from authgw.storage.sqlite.database import Database

_CHECK_INTERVAL = 1000  # increments between two checks of the number of counters


class SqliteCounters:
    """Implementation of `Counters` in the database of a session store."""

    def __init__(self, database: Database, clock: Callable[[], float]) -> None:
        self._db = database
        self._clock = clock
        self._increments_since_check = _CHECK_INTERVAL

    async def increment(self, name: str, window: float) -> tuple[int, float]:
        """See `Counters.increment`."""
        return (await self.increment_all([(name, window)]))[0]

    async def increment_all(self, counted: Sequence[tuple[str, float]]) -> list[tuple[int, float]]:
        """See `Counters.increment_all`; all increments share a transaction."""
        hashed = [(subject_hash(name), window) for name, window in counted]
        return await self._db.run(lambda: self._increment_all(hashed))

    async def release(self, forget: Sequence[str], give_back: Sequence[str]) -> None:
        """See `Counters.release`; all changes share a transaction."""
        deleted = [subject_hash(name) for name in forget]
        decremented = [subject_hash(name) for name in give_back]
        await self._db.run(lambda: self._release(deleted, decremented))

    async def claim(self, name: str, seconds: float) -> bool:
        """See `Counters.claim`."""
        hashed = subject_hash(name)
        return await self._db.run(lambda: self._claim(hashed, seconds))

    async def _increment_all(self, counted: list[tuple[str, float]]) -> list[tuple[int, float]]:
        now = self._clock()
        sql = (
            "INSERT INTO counters (name, count, ends) VALUES (?, 1, ?) "
            "ON CONFLICT (name) DO UPDATE SET count = count + 1 RETURNING count, ends"
        )
        async with self._db.transaction():
            await self._make_room(len(counted), now)
            rows = [(await self._db.rows(sql, name, now + window))[0] for name, window in counted]
        return [(count, ends - now) for count, ends in rows]

    async def _make_room(self, increments: int, now: float) -> None:
        await self._db.rows("DELETE FROM counters WHERE ends <= ?", now)
        self._increments_since_check += increments
        if self._increments_since_check < _CHECK_INTERVAL:
            return
        self._increments_since_check = increments
        (rows,) = await self._db.column("SELECT count(*) FROM counters")
        excess = max(0, rows + _CHECK_INTERVAL - MAX_COUNTERS)
        sql = "DELETE FROM counters WHERE name IN (SELECT name FROM counters ORDER BY ends LIMIT ?)"
        await self._db.rows(sql, excess)

    async def _release(self, deleted: list[str], decremented: list[str]) -> None:
        async with self._db.transaction():
            for name in deleted:
                await self._db.rows("DELETE FROM counters WHERE name = ?", name)
            for name in decremented:
                await self._db.rows("UPDATE counters SET count = count - 1 WHERE name = ?", name)
                await self._db.rows("DELETE FROM counters WHERE name = ? AND count <= 0", name)

    async def _claim(self, name: str, seconds: float) -> bool:
        now = self._clock()
        sql = "INSERT INTO claims (name, ends) VALUES (?, ?) ON CONFLICT DO NOTHING RETURNING name"
        async with self._db.transaction():
            await self._db.rows("DELETE FROM claims WHERE ends <= ?", now)
            return bool(await self._db.rows(sql, name, now + seconds))
