"""Export and import of all sessions of a Redis, in batches of subjects."""

from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

from authgw.core.export import ExportedSession
from authgw.core.sessions import hash_of_sid
from authgw.storage.redis.commands import CommandRunner, Script, Servers, milliseconds
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

STEP_TIMEOUT = 5.0  # seconds; no request waits for an export
_SCAN_COUNT = 1000  # keys that the server examines in a step
_MAX_SUBJECTS = 100  # in a batch
_PAGE_SIZE = 100  # sessions of each subject in a batch

# KEYS index; ARGV key prefix, minimum score, limit. Sessions that have ended have no record.
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
# KEYS index; ARGV key prefix, index ms, then for each session: sid, record, score, idle ms.
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
    """An ExportableStore; `index_ms` is the lifetime of a subject's index after its last change."""

    def __init__(self, servers: Servers, index_ms: int) -> None:
        self._commands = CommandRunner(servers, STEP_TIMEOUT)
        self._index_ms = index_ms

    async def export(self) -> AsyncIterator[Sequence[ExportedSession]]:
        """See `ExportableStore.export`."""
        async for keys in scanned(self._commands, index("*"), is_index, _MAX_SUBJECTS):
            # Each subject's sessions in the order of their scores, a page at a time.
            starts = [(key, "-inf") for key in keys]
            while starts:
                pages = await self._pages(starts)
                yield [_exported(row) for page in pages for row in page if row[1] is not None]
                starts = [
                    (key, f"({page[-1][2].decode('ascii')}")
                    for (key, _), page in zip(starts, pages, strict=True)
                    if len(page) == _PAGE_SIZE
                ]

    async def import_batch(self, batch: Sequence[ExportedSession]) -> int:
        """See `ExportableStore.import_batch`."""
        by_subject: dict[str, list[str | int]] = {}
        for exported in batch:
            sid, idle_ms = exported.sid, milliseconds(exported.idle_left)
            args = by_subject.setdefault(hash_of_sid(sid), [])
            args.extend((sid, exported.record, exported.rank, idle_ms))
        commands = [
            _KEEP.on(index(h), args=[prefix(h), self._index_ms, *args])
            for h, args in by_subject.items()
        ]
        return sum(await self._commands.execute_all(commands, confirmed=True))

    async def _pages(self, starts: Sequence[tuple[str, str]]) -> list[Any]:
        return await self._commands.execute_all(
            [
                _KEPT.on(key, args=[prefix(hash_of_index(key)), start, _PAGE_SIZE])
                for key, start in starts
            ]
        )


async def scanned(
    commands: CommandRunner, pattern: str, is_key: Callable[[bytes], bool], most: int
) -> AsyncIterator[Sequence[str]]:
    """Yield the keys on all masters in batches of at most `most`, some keys repeatedly."""
    for master in await commands.masters():
        cursor: bytes | None = b"0"
        while cursor:
            words = ("SCAN", cursor, "MATCH", pattern, "COUNT", _SCAN_COUNT)
            scan = Request(words, row(is_cursor, list_of(is_value)))
            cursor, matches = await commands.execute_on(master, scan)
            keys = [key.decode("ascii") for key in matches if is_key(key)]
            for start in range(0, len(keys), most):
                yield keys[start : start + most]
            cursor = None if cursor == b"0" else cursor


def _exported(row: Any) -> ExportedSession:
    sid, record, score, left_ms = row
    return ExportedSession(
        sid.decode("ascii"), record.decode("utf-8"), int(float(score)), left_ms / 1000
    )
