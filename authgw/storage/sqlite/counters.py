"""Counters and claims in SQLite: a row each, under the hash of its name, until it ends."""

from collections.abc import Callable, Sequence

from authgw.core.sessions import subject_hash
from authgw.storage.sqlite.database import Database

# Made-up names must not fill the disk: the counters that end soonest make room.
_MOST_COUNTERS = 100_000
_COUNTED_BETWEEN_CHECKS = 1000


class SqliteCounters:
    """Counters in the database that a store shares with them."""

    def __init__(self, database: Database, clock: Callable[[], float]) -> None:
        self._db = database
        self._clock = clock
        self._counted_since_check = _COUNTED_BETWEEN_CHECKS

    async def increment(self, name: str, window: float) -> tuple[int, float]:
        """Count one more under this name; return the count and the seconds until it ends."""
        return (await self.increment_all([(name, window)]))[0]

    async def increment_all(self, counted: Sequence[tuple[str, float]]) -> list[tuple[int, float]]:
        """Increment several (name, window) in one transaction; answers come in the same order."""
        hashed = [(subject_hash(name), window) for name, window in counted]
        return await self._db.run(lambda: self._increment_all(hashed))

    async def release(self, forget: Sequence[str], give_back: Sequence[str]) -> None:
        """End the counters in `forget` and count one less in `give_back`, in one transaction."""
        ended, less = [subject_hash(n) for n in forget], [subject_hash(n) for n in give_back]
        await self._db.run(lambda: self._release(ended, less))

    async def claim(self, name: str, seconds: float) -> bool:
        """Whether this is the first claim of this name; a claim ends after `seconds`."""
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

    async def _make_room(self, coming: int, now: float) -> None:
        await self._db.rows("DELETE FROM counters WHERE ends <= ?", now)
        self._counted_since_check += coming
        if self._counted_since_check < _COUNTED_BETWEEN_CHECKS:
            return
        self._counted_since_check = coming
        (rows,) = await self._db.column("SELECT count(*) FROM counters")
        over = max(0, rows + _COUNTED_BETWEEN_CHECKS - _MOST_COUNTERS)
        sql = "DELETE FROM counters WHERE name IN (SELECT name FROM counters ORDER BY ends LIMIT ?)"
        await self._db.rows(sql, over)

    async def _release(self, ended: list[str], less: list[str]) -> None:
        async with self._db.transaction():
            for name in ended:
                await self._db.rows("DELETE FROM counters WHERE name = ?", name)
            for name in less:
                await self._db.rows("UPDATE counters SET count = count - 1 WHERE name = ?", name)
                await self._db.rows("DELETE FROM counters WHERE name = ? AND count <= 0", name)

    async def _claim(self, name: str, seconds: float) -> bool:
        now = self._clock()
        sql = "INSERT INTO claims (name, ends) VALUES (?, ?) ON CONFLICT DO NOTHING RETURNING name"
        async with self._db.transaction():
            await self._db.rows("DELETE FROM claims WHERE ends <= ?", now)
            return bool(await self._db.rows(sql, name, now + seconds))
