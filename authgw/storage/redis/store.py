"""Session store on Redis (6.2 or newer), shared by all replicas.

Keys: `authgw:{h}:s:<sid>` is a record with the idle timeout as its TTL, `authgw:{h}:i` the
subject's sids in order of creation; h, the subject's hash, keeps both in the same slot. Scripts
treat records as opaque text (Lua's numbers would round 2^53+1) and publish each sid that they end.
A script that ends no session, because another call did, writes `authgw:{h}:w`, since WAIT covers
only the writes of its own connection.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from typing import Any

from authgw.core.errors import SessionEndedError, StoreUnavailableError
from authgw.core.export import ExportedRecord, ExportedSession, ExportedSet
from authgw.core.keys import KeyRing
from authgw.core.measurements import Measurement, gauge
from authgw.core.session_codec import dump
from authgw.core.sessions import Session, Snapshot, hash_of_sid, subject_hash
from authgw.storage.clock import boottime
from authgw.storage.records import session_in, snapshot_in
from authgw.storage.redis import commands
from authgw.storage.redis.commands import (
    Command,
    Script,
    Servers,
    StoreReply,
    milliseconds,
    unavailable,
)
from authgw.storage.redis.counters import RedisCounters
from authgw.storage.redis.errors import RedisError, ResponseError
from authgw.storage.redis.export import RedisExport
from authgw.storage.redis.health import Health, health
from authgw.storage.redis.key_registry import RedisKeyRegistry
from authgw.storage.redis.keys import ENDED_CHANNEL, index, note, prefix
from authgw.storage.redis.node import seconds
from authgw.storage.redis.record_export import RedisRecordExport
from authgw.storage.redis.records import RedisRecords
from authgw.storage.redis.replies import (
    Request,
    either,
    exactly,
    is_flag,
    is_integer,
    is_sid,
    is_time,
    is_value,
    list_of,
    row,
)
from authgw.storage.redis.revocation_feed import RedisRevocationFeed
from authgw.storage.redis.startup_checks import check

# KEYS record, index; ARGV record, sid, idle ms, index ms, max sessions, key prefix, channel.
# Members whose record has expired stay in the index until it is full: few logins look for them.
_ADD = Script(
    """
local time = redis.call('TIME')
local members, ended = redis.call('ZCARD', KEYS[2]), {}
if members >= tonumber(ARGV[5]) then
  for _, sid in ipairs(redis.call('ZRANGE', KEYS[2], 0, -1)) do
    if redis.call('EXISTS', ARGV[6] .. sid) == 0 then redis.call('ZREM', KEYS[2], sid) end
  end
  local over = redis.call('ZCARD', KEYS[2]) + 1 - tonumber(ARGV[5])
  if over > 0 then ended = redis.call('ZRANGE', KEYS[2], 0, over - 1) end
  for _, sid in ipairs(ended) do
    redis.call('DEL', ARGV[6] .. sid)
    redis.call('ZREM', KEYS[2], sid)
    redis.call('PUBLISH', ARGV[7], sid)
  end
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[3])
redis.call('ZADD', KEYS[2], time[1] * 1000000 + time[2], ARGV[2])
if members == 0 or redis.call('PTTL', KEYS[2]) < tonumber(ARGV[4]) then
  redis.call('PEXPIRE', KEYS[2], ARGV[4])
end
return ended
""",
    list_of(is_sid),
    declares_all=False,
)
# KEYS record; ARGV expected version, new record, idle ms.
_REPLACE = Script(
    """
local stored = redis.call('GET', KEYS[1])
if stored == ARGV[1] then
  redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
  return {1}
end
return {0, stored, redis.call('TIME')}
""",
    either(row(exactly(1)), row(exactly(0), is_value, is_time)),
)
# KEYS record, index; ARGV sid, channel, key of the note.
_REVOKE = Script(
    """
redis.call('ZREM', KEYS[2], ARGV[1])
redis.call('PUBLISH', ARGV[2], ARGV[1])
local alive = redis.call('DEL', KEYS[1])
if alive == 0 then redis.call('SET', ARGV[3], '', 'PX', 1000) end
return alive
""",
    is_flag,
)
# KEYS index; ARGV key prefix, channel, key of the note.
_REVOKE_ALL = Script(
    """
local ended = {}
for _, sid in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do
  if redis.call('DEL', ARGV[1] .. sid) == 1 then ended[#ended + 1] = sid end
  redis.call('PUBLISH', ARGV[2], sid)
end
redis.call('DEL', KEYS[1])
if #ended == 0 then redis.call('SET', ARGV[3], '', 'PX', 1000) end
return ended
""",
    list_of(is_sid),
    declares_all=False,
)


class RedisStore(RedisCounters, RedisRecords):
    """A Store for several replicas; `idle` and `session_max` are in seconds.

    With Sentinels or a Cluster, `add`, `replace`, `revoke` and `revoke_all` return once a replica
    has their writes, unless the master has no replica.
    """

    def __init__(self, servers: Servers, *, idle: float, session_max: float) -> None:
        super().__init__(servers)
        self._idle_ms = milliseconds(idle)
        self._idle_argument = str(self._idle_ms).encode()
        self._index_ms = milliseconds(session_max)
        self._export = RedisExport(servers, self._index_ms)
        self._record_export = RedisRecordExport(servers)

    async def add(
        self, session: Session, max_sessions: int, record: str | None = None
    ) -> tuple[str, ...]:
        """See `BatchStore.add`."""
        h = subject_hash(session.sub)
        args: list[str | int] = [
            record or self.record(session),
            session.sid,
            self._idle_ms,
            self._index_ms,
            max_sessions,
            prefix(h),
            ENDED_CHANNEL,
        ]
        command = _ADD.on(prefix(h) + session.sid, index(h), args=args)
        return _texts(await self._commands.execute(command, confirmed=True))

    def now(self, sid: str) -> float | None:
        """See `BatchStore.now`; the servers' clocks are read with sessions."""
        try:
            clock = self._servers.holder(_key(sid)).clock
        except RedisError:
            return None
        here = boottime()
        return None if clock.is_due(here) else clock.at(here)

    async def read(self, sid: str) -> Snapshot:
        """See `SessionStore.read`."""
        (seen,) = await self.read_many((sid,))
        return _raised(seen)

    async def read_many(self, sids: Sequence[str]) -> Sequence[Snapshot | StoreUnavailableError]:
        """See `BatchStore.read_many`; all reads share a round trip."""
        keys = [_key_or_none(sid) for sid in sids]
        results = await self._commands.replies(
            [Command(key, (b"GETEX", key, b"PX", self._idle_argument), is_value) for key in keys],
            timed=True,
        )
        # A server that cannot save to disk refuses GETEX as a write, but not GET.
        refused = [n for n, result in enumerate(results) if _is_misconf(result.reply)]
        if refused:
            plain = [Command(keys[n], ("GET", keys[n]), is_value) for n in refused]
            for n, result in zip(
                refused, await self._commands.replies(plain, timed=True), strict=True
            ):
                results[n] = result
        here = boottime()
        return [_outcome(sid, result, here) for sid, result in zip(sids, results, strict=True)]

    async def replace(
        self, seen: Snapshot, new: Session, record: str | None = None
    ) -> Snapshot | None:
        """See `BatchStore.replace`."""
        command = self._replacing(seen, new, record or self.record(new))
        reply = await self._commands.execute(command, confirmed=True)
        if reply[0] == 1:
            return None
        return _raised(snapshot_in(_text(reply[1]), new.sid, seconds(reply[2])))

    async def replace_many(
        self, changes: Sequence[tuple[Snapshot, Session]]
    ) -> Sequence[Snapshot | StoreUnavailableError | None]:
        """See `BatchStore.replace_many`; all changes share a round trip.

        Unlike `replace`, this does not wait for a replica.
        """
        commands = [self._replacing(seen, new, self.record(new)) for seen, new in changes]
        results = await self._commands.replies(commands)
        return [
            _replaced(new.sid, result) for (_, new), result in zip(changes, results, strict=True)
        ]

    async def revoke(self, sid: str) -> bool:
        """See `SessionStore.revoke`."""
        try:
            h = hash_of_sid(sid)
        except SessionEndedError:
            return False
        command = _REVOKE.on(prefix(h) + sid, index(h), args=[sid, ENDED_CHANNEL, note(h)])
        return bool(await self._commands.execute(command, confirmed=True))

    async def revoke_all(self, sub: str) -> tuple[str, ...]:
        """See `SessionStore.revoke_all`."""
        h = subject_hash(sub)
        command = _REVOKE_ALL.on(index(h), args=[prefix(h), ENDED_CHANNEL, note(h)])
        return _texts(await self._commands.execute(command, confirmed=True))

    async def sessions_of(self, sub: str) -> tuple[Session, ...]:
        """See `SessionStore.sessions_of`."""
        h = subject_hash(sub)
        key = index(h)
        members = Command(key, ("ZRANGE", key, 0, -1), list_of(is_sid))
        sids = _texts(await self._commands.execute(members))
        if not sids:
            return ()
        words = ("MGET", *(prefix(h) + sid for sid in sids))
        records = await self._commands.execute(Command(key, words, row(*(is_value for _ in sids))))
        pairs = zip(sids, records, strict=True)
        return tuple(session_in(_text(record), sid) for sid, record in pairs if record is not None)

    async def last_used(self, sids: Sequence[str]) -> dict[str, float]:
        """See `SessionStore.last_used`."""
        reads = [Command(key, ("PTTL", key), is_integer) for key in map(_key_or_none, sids)]
        results = dict(zip(sids, await self._commands.replies(reads, timed=True), strict=True))
        ttls = {sid: result.value() / 1000 for sid, result in results.items()}
        idle, here = self._idle_ms / 1000, boottime()
        # A TTL exceeds `idle` if the store was opened with a longer `idle` before.
        return {
            sid: results[sid].now(here) - max(0.0, idle - ttl)
            for sid, ttl in ttls.items()
            if ttl >= 0
        }

    def export(self) -> AsyncIterator[Sequence[ExportedSession]]:
        """See `ExportableStore.export`."""
        return self._export.export()

    async def import_batch(self, batch: Sequence[ExportedSession]) -> int:
        """See `ExportableStore.import_batch`."""
        return await self._export.import_batch(batch)

    def export_records(self) -> AsyncIterator[Sequence[ExportedRecord | ExportedSet]]:
        """See `ExportableStore.export_records`."""
        return self._record_export.export_records()

    async def import_records(self, batch: Sequence[ExportedRecord | ExportedSet]) -> int:
        """See `ExportableStore.import_records`."""
        return await self._record_export.import_records(batch)

    @property
    def deadline(self) -> float:
        """See `Store.deadline`."""
        return commands.OPERATION_TIMEOUT

    def revocation_feed(self, ended: Callable[[str], None]) -> RedisRevocationFeed:
        """See `Store.revocation_feed`."""
        return RedisRevocationFeed(self._servers.subscribe, ended)

    def key_registry(self, keys: KeyRing) -> RedisKeyRegistry:
        """See `Store.key_registry`."""
        return RedisKeyRegistry(self, keys)

    def collect(self) -> Iterator[Measurement]:
        """See `MeasuredPart.collect`."""
        yield gauge(
            "authgw_redis_masters_alone",
            "With Sentinels or a Cluster: masters without a connected replica at the last write "
            "that a replica had to confirm",
            self.masters_without_replica,
        )

    async def check(self) -> None:
        """Refuse servers that would break the store's guarantees.

        Raises:
            StoreSetupError: as `startup_checks.check`.
            StoreUnavailableError: as `startup_checks.check`.
        """
        args = ["", ENDED_CHANNEL, note("check")]
        await check(self._servers, _REVOKE.on(prefix("check"), index("check"), args=args))

    @property
    def masters_without_replica(self) -> int:
        """The number of masters without a replica at their last write that was to be confirmed."""
        return sum(master.without_replica for master in self._servers.known())

    async def health(self) -> tuple[Health, ...]:
        """Return the state of each master.

        Raises:
            StoreUnavailableError: a master cannot be reached.
        """
        return await health(self._servers)

    @property
    def replicated(self) -> bool:
        """True if other servers have copies of the masters' writes."""
        return self._servers.replicated

    def record(self, session: Session) -> str:
        """See `BatchStore.record`."""
        return dump(session, compact=self.compact)

    async def ping(self) -> None:
        """Check that any master responds.

        Raises:
            StoreUnavailableError: no master does.
        """
        masters = await self._commands.masters()
        reads = (
            self._commands.execute_on(master, Request(("TIME",), is_time)) for master in masters
        )
        replies = await asyncio.gather(*reads, return_exceptions=True)
        failures = [reply for reply in replies if isinstance(reply, StoreUnavailableError)]
        if len(failures) == len(masters):
            raise failures[0]

    async def close(self) -> None:
        """Close all connections."""
        await self._servers.close()

    def _replacing(self, seen: Snapshot, new: Session, record: str) -> Command:
        return _REPLACE.on(_key(new.sid), args=[seen.version, record, self._idle_ms])


def _key(sid: str) -> str:
    return prefix(hash_of_sid(sid)) + sid


def _key_or_none(sid: str) -> str:
    """Return the key of a sid; that of a malformed sid never exists."""
    try:
        return _key(sid)
    except SessionEndedError:
        return "authgw:none"


def _is_misconf(reply: Any) -> bool:
    return isinstance(reply, ResponseError) and "MISCONF" in str(reply)


def _outcome(sid: str, result: StoreReply, here: float) -> Snapshot | StoreUnavailableError:
    if isinstance(result.reply, Exception):
        return unavailable(result.reply)
    return snapshot_in(_text(result.reply), sid, result.now(here))


def _replaced(sid: str, result: StoreReply) -> Snapshot | StoreUnavailableError | None:
    if isinstance(result.reply, Exception):
        return unavailable(result.reply)
    replaced, *stored = result.reply
    return None if replaced else snapshot_in(_text(stored[0]), sid, seconds(stored[1]))


def _texts(replies: Any) -> tuple[str, ...]:
    return tuple(reply.decode("ascii") for reply in replies)


def _text(record: bytes | None) -> str | bytes | None:
    """Return the text of a record; bytes that are not UTF-8 stay as they are, as not a record."""
    try:
        return record and record.decode("utf-8")
    except UnicodeDecodeError:
        return record


def _raised(outcome: Snapshot | StoreUnavailableError) -> Snapshot:
    if isinstance(outcome, StoreUnavailableError):
        raise outcome
    return outcome
