"""Records and sets in SQLite: a row for each record and for each member of a set."""

from collections.abc import AsyncIterator, Callable, Sequence
from functools import partial
from itertools import groupby

from authgw.core.export import ExportedRecord, ExportedSet
from authgw.core.limits import MAX_RECORD_MEMBERS, MAX_RECORDS
from authgw.core.records import record_hash
from authgw.storage.sqlite.database import Database, text_in

_CHECK_INTERVAL = 1000  # writes between two checks of the number of rows
_PAGE_SIZE = 500  # records that an operation of an export reads
_SETS_PER_PAGE = 20
# For each table: delete what has expired; count the rows; delete those that expire soonest.
_ROOM = (
    (
        "DELETE FROM records WHERE ends <= ?",
        "SELECT count(*) FROM records",
        "DELETE FROM records WHERE rowid IN (SELECT rowid FROM records ORDER BY ends LIMIT ?)",
    ),
    (
        "DELETE FROM record_members WHERE ends <= ?",
        "SELECT count(*) FROM record_members",
        "DELETE FROM record_members WHERE rowid IN "
        "(SELECT rowid FROM record_members ORDER BY ends LIMIT ?)",
    ),
)


class SqliteRecords:
    """Implementation of `Records`; a class that inherits it has the database of a store."""

    _db: Database
    _clock: Callable[[], float]
    _writes_since_check = _CHECK_INTERVAL

    async def put(self, name: str, text: str, seconds: float) -> None:
        """See `Records.put`."""
        hashed = record_hash(name)
        await self._db.run(lambda: self._put(hashed, text, seconds))

    async def get(self, name: str) -> str | None:
        """See `Records.get`."""
        hashed = record_hash(name)
        return await self._db.run(lambda: self._get(hashed))

    async def take(self, name: str) -> str | None:
        """See `Records.take`."""
        hashed = record_hash(name)
        return await self._db.run(lambda: self._take(hashed))

    async def add_member(self, name: str, member: str, seconds: float) -> None:
        """See `Records.add_member`."""
        hashed = record_hash(name)
        await self._db.run(lambda: self._add_member(hashed, member, seconds))

    async def members(self, name: str) -> tuple[str, ...]:
        """See `Records.members`."""
        hashed = record_hash(name)
        return await self._db.run(lambda: self._members(hashed))

    async def export_records(self) -> AsyncIterator[Sequence[ExportedRecord | ExportedSet]]:
        """See `ExportableStore.export_records`."""
        last = ""
        while records := await self._db.run(partial(self._records_after, last)):
            yield records
            last = records[-1].hashed
        last = ""
        while sets := await self._db.run(partial(self._sets_after, last)):
            yield sets
            last = sets[-1].hashed

    async def import_records(self, batch: Sequence[ExportedRecord | ExportedSet]) -> int:
        """See `ExportableStore.import_records`."""
        return await self._db.run(lambda: self._import_records(batch))

    async def _put(self, hashed: str, text: str, seconds: float) -> None:
        now = self._clock()
        sql = "INSERT OR REPLACE INTO records (name, text, ends) VALUES (?, ?, ?)"
        async with self._db.transaction():
            await self._make_room_for_records(now)
            await self._db.rows(sql, hashed, text, now + seconds)

    async def _get(self, hashed: str) -> str | None:
        sql = "SELECT text FROM records WHERE name = ? AND ends > ?"
        return _only(await self._db.column(sql, hashed, self._clock()))

    async def _members(self, hashed: str) -> tuple[str, ...]:
        sql = "SELECT member FROM record_members WHERE name = ? AND ends > ? ORDER BY seq"
        return tuple(map(text_in, await self._db.column(sql, hashed, self._clock())))

    async def _take(self, hashed: str) -> str | None:
        sql = "DELETE FROM records WHERE name = ? RETURNING text, ends"
        rows = await self._db.rows(sql, hashed)
        return _only([text for text, ends in rows if ends > self._clock()])

    async def _add_member(self, hashed: str, member: str, seconds: float) -> None:
        now = self._clock()
        async with self._db.transaction():
            await self._make_room_for_records(now)
            ends = await self._extended(hashed, now + seconds)
            sql = "INSERT OR REPLACE INTO record_members (name, member, ends) VALUES (?, ?, ?)"
            await self._db.rows(sql, hashed, member, ends)
            sql = (
                "DELETE FROM record_members WHERE seq IN (SELECT seq FROM record_members "
                "WHERE name = ? ORDER BY seq DESC LIMIT -1 OFFSET ?)"
            )
            await self._db.rows(sql, hashed, MAX_RECORD_MEMBERS)

    async def _extended(self, hashed: str, ends: float) -> float:
        """Extend a set, which expires as a whole, to this time; return its end."""
        sql = "SELECT coalesce(max(ends), 0) FROM record_members WHERE name = ?"
        (before,) = await self._db.column(sql, hashed)
        if before < ends:
            sql = "UPDATE record_members SET ends = ? WHERE name = ?"
            await self._db.rows(sql, ends, hashed)
        return float(max(before, ends))

    async def _make_room_for_records(self, now: float) -> None:
        for expired, _, _ in _ROOM:
            await self._db.rows(expired, now)
        self._writes_since_check += 1
        if self._writes_since_check < _CHECK_INTERVAL:
            return
        self._writes_since_check = 0
        for _, count, soonest in _ROOM:
            (rows,) = await self._db.column(count)
            await self._db.rows(soonest, max(0, rows + _CHECK_INTERVAL - MAX_RECORDS))

    async def _records_after(self, last: str) -> list[ExportedRecord]:
        now = self._clock()
        sql = (
            "SELECT name, text, ends FROM records WHERE name > ? AND ends > ? ORDER BY name LIMIT ?"
        )
        rows = await self._db.rows(sql, last, now, _PAGE_SIZE)
        return [ExportedRecord(hashed, text_in(text), ends - now) for hashed, text, ends in rows]

    async def _sets_after(self, last: str) -> list[ExportedSet]:
        now = self._clock()
        sql = (
            "SELECT name, member, ends FROM record_members WHERE name IN "
            "(SELECT DISTINCT name FROM record_members WHERE name > ? AND ends > ? "
            "ORDER BY name LIMIT ?) ORDER BY name, seq"
        )
        rows = await self._db.rows(sql, last, now, _SETS_PER_PAGE)
        sets = [(hashed, [*group]) for hashed, group in groupby(rows, lambda row: row[0])]
        return [
            ExportedSet(hashed, tuple(text_in(member) for _, member, _ in group), group[0][2] - now)
            for hashed, group in sets
        ]

    async def _import_records(self, batch: Sequence[ExportedRecord | ExportedSet]) -> int:
        async with self._db.transaction():
            return sum([await self._import_entry(entry) for entry in batch])

    async def _import_entry(self, entry: ExportedRecord | ExportedSet) -> int:
        hashed, ends = entry.hashed, self._clock() + entry.left
        if isinstance(entry, ExportedRecord):
            sql = (
                "INSERT INTO records (name, text, ends) VALUES (?, ?, ?) "
                "ON CONFLICT DO NOTHING RETURNING name"
            )
            return len(await self._db.rows(sql, hashed, entry.text, ends))
        sql = "SELECT member FROM record_members WHERE name = ? ORDER BY seq"
        before = await self._db.column(sql, hashed)
        ends = await self._extended(hashed, ends)
        # Written anew, as the members of the other store are the oldest.
        await self._db.rows("DELETE FROM record_members WHERE name = ?", hashed)
        members = [*(member for member in entry.members if member not in {*before}), *before]
        sql = "INSERT INTO record_members (name, member, ends) VALUES (?, ?, ?)"
        await self._db.each(
            sql, [(hashed, member, ends) for member in members[-MAX_RECORD_MEMBERS:]]
        )
        return 0 if before else 1


def _only(texts: list[object]) -> str | None:
    return text_in(texts[0]) if texts else None
