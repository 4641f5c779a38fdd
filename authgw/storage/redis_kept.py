"""All sessions of a Redis, to list them or to move them; a subject's at a time."""

from collections.abc import AsyncIterator, Sequence
from functools import partial
from typing import Any

from redis.asyncio import Redis

from authgw.core.kept import Kept
from authgw.core.sessions import hash_of_sid
from authgw.storage.redis_calls import bounded, milliseconds, on_each
from authgw.storage.redis_keys import hash_of_index, index, prefix

_PATIENCE = 5.0  # seconds for one step; nobody's request waits for it
_SCANNED = 1000  # keys that the server looks through in one step
_SUBJECTS = 100  # in one batch, ...
_PAGE = 100  # ... with so many sessions of each

# KEYS index; ARGV key prefix, score to start from, how many. What is gone has no record.
_KEPT = """
local kept = {}
local found = redis.call(
  'ZRANGEBYSCORE', KEYS[1], ARGV[2], '+inf', 'WITHSCORES', 'LIMIT', 0, ARGV[3])
for n = 1, #found, 2 do
  local key = ARGV[1] .. found[n]
  kept[#kept + 1] = {found[n], redis.call('GET', key), found[n + 1], redis.call('PTTL', key)}
end
return kept
"""
# KEYS index; ARGV key prefix, index ms, then for each: sid, record, score, idle ms.
_KEEP = """
local taken = 0
for n = 3, #ARGV, 4 do
  if redis.call('SET', ARGV[1] .. ARGV[n], ARGV[n + 1], 'PX', ARGV[n + 3], 'NX') then
    redis.call('ZADD', KEYS[1], ARGV[n + 2], ARGV[n])
    taken = taken + 1
  end
end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return taken
"""


class RedisKept:
    """A KeepingStore; `index_ms` is how long a subject's index outlives its last change."""

    def __init__(self, client: "Redis", index_ms: int) -> None:
        self._client = client
        self._index_ms = index_ms
        self._kept = client.register_script(_KEPT)
        self._keep = client.register_script(_KEEP)

    async def kept(self) -> AsyncIterator[Sequence[Kept]]:
        """Every live session in batches, a subject's oldest first; asking is no use of them."""
        indexes = aiter(self._client.scan_iter(match=index("*"), count=_SCANNED))
        while keys := await bounded(lambda: _some(indexes), _PATIENCE):
            # Each subject's from its lowest score; who has more than a page is asked again.
            wanted = [(key, "-inf") for key in keys]
            while wanted:
                pages = await bounded(partial(self._pages, wanted), _PATIENCE)
                yield [_as_kept(row) for page in pages for row in page if row[1] is not None]
                wanted = [
                    (key, f"({page[-1][2].decode('ascii')}")
                    for (key, _), page in zip(wanted, pages, strict=True)
                    if len(page) == _PAGE
                ]

    async def keep(self, batch: Sequence[Kept]) -> int:
        """Take in sessions of another store as they are; return how many were not here yet."""
        of: dict[str, list[str | int]] = {}
        for one in batch:
            left = milliseconds(one.idle_left)
            of.setdefault(hash_of_sid(one.sid), []).extend((one.sid, one.record, one.rank, left))
        calls = [(index(h), prefix(h), self._index_ms, *args) for h, args in of.items()]
        taken = await bounded(lambda: on_each(self._client, self._keep, calls), _PATIENCE)
        return sum(taken)

    async def _pages(self, wanted: Sequence[tuple[bytes, str]]) -> list[Any]:
        calls = [(key, prefix(hash_of_index(key)), start, _PAGE) for key, start in wanted]
        return await on_each(self._client, self._kept, calls)


async def _some(indexes: AsyncIterator[bytes]) -> list[bytes]:
    """The next ones, at most a batch; none at the end."""
    found: list[bytes] = []
    async for key in indexes:
        found.append(key)
        if len(found) == _SUBJECTS:
            break
    return found


def _as_kept(row: Any) -> Kept:
    sid, record, score, left_ms = row
    return Kept(sid.decode("ascii"), record.decode("utf-8"), int(float(score)), left_ms / 1000)
