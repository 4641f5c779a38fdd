"""All sessions of a Redis, to list them or to move them; a subject's at a time."""

from collections.abc import AsyncIterator, Sequence
from typing import Any

from authgw.core.export import ExportedSession
from authgw.core.sessions import hash_of_sid
from authgw.storage.redis.commands import Calls, Script, Servers, milliseconds
from authgw.storage.redis.keys import hash_of_index, index, is_index, prefix
from authgw.storage.redis.replies import (
    Request,
    either,
    is_count,
    is_cursor,
    is_integer,
    is_nothing,
    is_score,
    is_sid,
    is_text,
    is_value,
    list_of,
    row,
)

_PATIENCE = 5.0  # seconds for one step; nobody's request waits for it
_SCANNED = 1000  # keys that the server looks through in one step
_SUBJECTS = 100  # in one batch, ...
_PAGE = 100  # ... with so many sessions of each

# KEYS index; ARGV key prefix, score to start from, how many. What is gone has no record.
_KEPT = Script(
    """
local kept = {}
local found = redis.call(
  'ZRANGEBYSCORE', KEYS[1], ARGV[2], '+inf', 'WITHSCORES', 'LIMIT', 0, ARGV[3])
for n = 1, #found, 2 do
  local key = ARGV[1] .. found[n]
  kept[#kept + 1] = {found[n], redis.call('GET', key), found[n + 1], redis.call('PTTL', key)}
end
return kept
""",
    list_of(row(is_sid, either(is_nothing, is_text), is_score, is_integer)),
    declares_all=False,
)
# KEYS index; ARGV key prefix, index ms, then for each: sid, record, score, idle ms.
_KEEP = Script(
    """
local taken = 0
for n = 3, #ARGV, 4 do
  if redis.call('SET', ARGV[1] .. ARGV[n], ARGV[n + 1], 'PX', ARGV[n + 3], 'NX') then
    redis.call('ZADD', KEYS[1], ARGV[n + 2], ARGV[n])
    taken = taken + 1
  end
end
if redis.call('PTTL', KEYS[1]) < tonumber(ARGV[2]) then
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
end
return taken
""",
    is_count,
    declares_all=False,
)


class RedisExport:
    """A KeepingStore; `index_ms` is how long a subject's index outlives its last change."""

    def __init__(self, servers: Servers, index_ms: int) -> None:
        self._calls = Calls(servers, _PATIENCE)
        self._index_ms = index_ms

    async def kept(self) -> AsyncIterator[Sequence[ExportedSession]]:
        """Every live session in batches, a subject's oldest first; asking is no use of them."""
        async for keys in self._indexes():
            # Each subject's from its lowest score; who has more than a page is asked again.
            wanted = [(key, "-inf") for key in keys]
            while wanted:
                pages = await self._pages(wanted)
                yield [_as_kept(row) for page in pages for row in page if row[1] is not None]
                wanted = [
                    (key, f"({page[-1][2].decode('ascii')}")
                    for (key, _), page in zip(wanted, pages, strict=True)
                    if len(page) == _PAGE
                ]

    async def keep(self, batch: Sequence[ExportedSession]) -> int:
        """Take in sessions of another store as they are; return how many were not here yet."""
        of: dict[str, list[str | int]] = {}
        for one in batch:
            left = milliseconds(one.idle_left)
            of.setdefault(hash_of_sid(one.sid), []).extend((one.sid, one.record, one.rank, left))
        commands = [
            _KEEP.on(index(h), args=[prefix(h), self._index_ms, *args]) for h, args in of.items()
        ]
        return sum(await self._calls.each(commands, confirmed=True))

    async def _indexes(self) -> AsyncIterator[Sequence[str]]:
        """The subjects' indexes on every master, a batch at a time; some may come twice."""
        for master in await self._calls.masters():
            cursor: bytes | None = b"0"
            while cursor:
                words = ("SCAN", cursor, "MATCH", index("*"), "COUNT", _SCANNED)
                scan = Request(words, row(is_cursor, list_of(is_value)))
                cursor, found = await self._calls.at(master, scan)
                keys = [key.decode("ascii") for key in found if is_index(key)]
                for start in range(0, len(keys), _SUBJECTS):
                    yield keys[start : start + _SUBJECTS]
                cursor = None if cursor == b"0" else cursor

    async def _pages(self, wanted: Sequence[tuple[str, str]]) -> list[Any]:
        return await self._calls.each(
            [
                _KEPT.on(key, args=[prefix(hash_of_index(key)), start, _PAGE])
                for key, start in wanted
            ]
        )


def _as_kept(row: Any) -> ExportedSession:
    sid, record, score, left_ms = row
    return ExportedSession(
        sid.decode("ascii"), record.decode("utf-8"), int(float(score)), left_ms / 1000
    )
