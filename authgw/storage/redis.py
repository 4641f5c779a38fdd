"""Sessions in one Redis node (6.2 or newer), shared by every replica.

Keys: `authgw:{h}:s:<sid>` is a record with idleness as its TTL, `authgw:{h}:i` the subject's
sids in order of creation; h, the subject's hash, keeps both in one slot. Scripts treat records
as opaque text (Lua's numbers would round 2^53+1) and publish every sid that they end.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import AuthenticationError, NoPermissionError, ResponseError

from authgw.core.errors import SessionEnded, StoreUnavailable
from authgw.core.kept import Kept
from authgw.core.sessions import Session, Snapshot, dump, hash_of_sid, load, subject_hash
from authgw.storage import StoreRefused
from authgw.storage.redis_calls import AWAY, bounded, milliseconds, on_each
from authgw.storage.redis_counters import RedisCounters
from authgw.storage.redis_kept import RedisKept
from authgw.storage.redis_keys import index as _index
from authgw.storage.redis_keys import prefix as _prefix
from authgw.storage.serverclock import ServerClock, boottime

_CHECK_DEADLINE = 2.0  # seconds for the questions at start
ENDED_CHANNEL = "authgw:ended"

# KEYS record, index; ARGV record, sid, idle ms, index ms, max sessions, key prefix, channel.
_ADD = """
for _, sid in ipairs(redis.call('ZRANGE', KEYS[2], 0, -1)) do
  if redis.call('EXISTS', ARGV[6] .. sid) == 0 then redis.call('ZREM', KEYS[2], sid) end
end
local time = redis.call('TIME')
local ended = {}
local over = redis.call('ZCARD', KEYS[2]) + 1 - tonumber(ARGV[5])
if over > 0 then ended = redis.call('ZRANGE', KEYS[2], 0, over - 1) end
for _, sid in ipairs(ended) do
  redis.call('DEL', ARGV[6] .. sid)
  redis.call('ZREM', KEYS[2], sid)
  redis.call('PUBLISH', ARGV[7], sid)
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[3])
redis.call('ZADD', KEYS[2], time[1] * 1000000 + time[2], ARGV[2])
redis.call('PEXPIRE', KEYS[2], ARGV[4])
return ended
"""
# KEYS record; ARGV version seen, new record, idle ms.
_REPLACE = """
local stored = redis.call('GET', KEYS[1])
if stored == ARGV[1] then
  redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
  return {1}
end
return {0, stored, redis.call('TIME')}
"""
# KEYS record, index; ARGV sid, channel.
_REVOKE = """
redis.call('ZREM', KEYS[2], ARGV[1])
redis.call('PUBLISH', ARGV[2], ARGV[1])
return redis.call('DEL', KEYS[1])
"""
# KEYS index; ARGV key prefix, channel.
_REVOKE_ALL = """
local ended = {}
for _, sid in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do
  if redis.call('DEL', ARGV[1] .. sid) == 1 then ended[#ended + 1] = sid end
  redis.call('PUBLISH', ARGV[2], sid)
end
redis.call('DEL', KEYS[1])
return ended
"""


class RedisStore(RedisCounters):
    """A SessionStore and Counters on one node; `idle` and `session_max` are in seconds."""

    def __init__(self, client: "Redis", *, idle: float, session_max: float) -> None:
        super().__init__(client)
        self._idle_ms = milliseconds(idle)
        self._index_ms = milliseconds(session_max)
        self._clock = ServerClock()
        self._all = RedisKept(client, self._index_ms)
        self._add = client.register_script(_ADD)
        self._replace = client.register_script(_REPLACE)
        self._revoke = client.register_script(_REVOKE)
        self._revoke_all = client.register_script(_REVOKE_ALL)

    async def add(self, session: Session, max_sessions: int) -> tuple[str, ...]:
        """Keep a new session; end its subject's oldest over `max_sessions`; return their sids."""
        h = subject_hash(session.sub)
        args: list[str | int] = [
            dump(session),
            session.sid,
            self._idle_ms,
            self._index_ms,
            max_sessions,
            _prefix(h),
            ENDED_CHANNEL,
        ]
        keys = [_prefix(h) + session.sid, _index(h)]
        return _texts(await bounded(lambda: self._add(keys=keys, args=args)))

    async def read(self, sid: str) -> Snapshot:
        """Return the session, or None in it, and count this as use of it."""
        (seen,) = await self.read_many((sid,))
        if isinstance(seen, StoreUnavailable):
            raise seen
        return seen

    async def read_many(self, sids: Sequence[str]) -> Sequence[Snapshot | StoreUnavailable]:
        """What `read` returns, or raises, for each sid in its order; one round trip for all."""
        keys = _keys(sids)
        replies = await bounded(lambda: self._read_many(list(keys.values())))
        now = self._clock.at(boottime())
        told = dict(zip(keys, replies, strict=True))
        return [_outcome(told.get(sid), now) for sid in sids]

    async def replace(self, seen: Snapshot, new: Session) -> Snapshot | None:
        """Compare-and-set: None if `new` took the place of what was seen, else what is there."""
        args: list[str | int] = [seen.version, dump(new), self._idle_ms]
        reply = await bounded(lambda: self._replace(keys=[_key(new.sid)], args=args))
        return None if reply[0] == 1 else _snapshot(reply[1], _seconds(reply[2]))

    async def replace_many(
        self, changes: Sequence[tuple[Snapshot, Session]]
    ) -> Sequence[Snapshot | StoreUnavailable | None]:
        """What `replace` returns, or raises, for each (seen, new) in its order; in one round trip.

        Raises:
            StoreUnavailable: the outcome of all is unknown.
        """
        calls = [(_key(new.sid), seen.version, dump(new), self._idle_ms) for seen, new in changes]
        replies = await bounded(lambda: on_each(self._client, self._replace, calls))
        return [
            None if reply[0] == 1 else _outcome(reply[1], _seconds(reply[2])) for reply in replies
        ]

    async def revoke(self, sid: str) -> bool:
        """End one session; say whether it was alive. Returns once the store has it."""
        try:
            keys = [_key(sid), _index(hash_of_sid(sid))]
        except SessionEnded:
            return False
        return bool(await bounded(lambda: self._revoke(keys=keys, args=[sid, ENDED_CHANNEL])))

    async def revoke_all(self, sub: str) -> tuple[str, ...]:
        """End every session of a subject; return their sids."""
        h = subject_hash(sub)
        args = [_prefix(h), ENDED_CHANNEL]
        return _texts(await bounded(lambda: self._revoke_all(keys=[_index(h)], args=args)))

    async def sessions_of(self, sub: str) -> tuple[Session, ...]:
        """The live sessions of a subject, oldest first."""
        h = subject_hash(sub)
        sids = _texts(await bounded(lambda: self._client.zrange(_index(h), 0, -1)))
        if not sids:
            return ()
        records: Any = await bounded(lambda: self._client.mget([_prefix(h) + sid for sid in sids]))
        return tuple(_record(text) for text in records if text is not None)

    async def last_used(self, sids: Sequence[str]) -> dict[str, float]:
        """When each live one of these was last used, in Unix seconds of the store's clock."""
        keys = _keys(sids)
        time, *left = await bounded(lambda: self._times(list(keys.values())))
        now, idle = _seconds(time), self._idle_ms / 1000
        # A store that was opened with a longer `idle` before may have left more than it.
        return {
            sid: now - max(0.0, idle - left_ms / 1000)
            for sid, left_ms in zip(keys, left, strict=True)
            if left_ms >= 0
        }

    def kept(self) -> AsyncIterator[Sequence[Kept]]:
        """Every live session in batches, a subject's oldest first; asking is no use of them."""
        return self._all.kept()

    async def keep(self, batch: Sequence[Kept]) -> int:
        """Take in sessions of another store as they are; return how many were not here yet."""
        return await self._all.keep(batch)

    async def check(self) -> None:
        """Refuse a server that would break the store's promises.

        Raises:
            StoreRefused: older than 6.2, may evict sessions, or its ACL lacks a right.
            StoreUnavailable: it cannot be asked now.
        """
        try:
            async with asyncio.timeout(_CHECK_DEADLINE):
                info: Any = await self._client.info()
                await self._revoke(keys=[_index("check")] * 2, args=["", ENDED_CHANNEL])
        except NoPermissionError as error:
            raise StoreRefused(f"Redis: {error}: grant it to authgw's user") from None
        except AuthenticationError:
            raise StoreRefused("Redis refuses authgw's password: see cache.password_file") from None
        except AWAY as error:
            raise StoreUnavailable(f"Redis: {type(error).__name__}") from None
        version = str(info["redis_version"])
        if tuple(int(part) for part in version.split(".")[:2]) < (6, 2):
            raise StoreRefused(f"Redis {version} is too old: authgw needs 6.2 or newer")
        if info.get("maxmemory_policy", "noeviction") != "noeviction":
            raise StoreRefused(
                f"Redis may evict sessions (maxmemory-policy {info['maxmemory_policy']}): "
                "set maxmemory-policy noeviction"
            )

    async def ping(self) -> None:
        """Raise StoreUnavailable unless the server answers."""
        await bounded(self._client.time)

    async def close(self) -> None:
        """Give the connections back."""
        await self._client.aclose()

    async def _read_many(self, keys: Sequence[str]) -> list[Any]:
        replies = await self._with_time([("GETEX", key, "PX", self._idle_ms) for key in keys])
        # A server that cannot save refuses the write inside GETEX, not the read.
        refused = [n for n, reply in enumerate(replies) if _is_misconf(reply)]
        if refused:
            again = await self._with_time([("GET", keys[n]) for n in refused])
            for n, reply in zip(refused, again, strict=True):
                replies[n] = reply
        return replies

    async def _with_time(self, commands: Sequence[tuple[str | int, ...]]) -> list[Any]:
        """The replies; the server's clock is read along with them when that is due."""
        sent = boottime()
        due = self._clock.is_due(sent)
        async with self._client.pipeline(transaction=False) as pipe:
            for command in commands:
                pipe.execute_command(*command)
            if due:
                pipe.execute_command("TIME")
            replies = list(await pipe.execute(raise_on_error=False))
        if due:
            now = replies.pop()
            if isinstance(now, ResponseError):
                raise now
            self._clock.set(_seconds(now), sent)
        return replies

    async def _times(self, keys: list[str]) -> list[Any]:
        async with self._client.pipeline(transaction=False) as pipe:
            pipe.execute_command("TIME")
            for key in keys:
                pipe.execute_command("PTTL", key)
            return list(await pipe.execute())


def _key(sid: str) -> str:
    return _prefix(hash_of_sid(sid)) + sid


def _keys(sids: Sequence[str]) -> dict[str, str]:
    """The key of every sid that is one."""
    keys = {}
    for sid in sids:
        with suppress(SessionEnded):
            keys[sid] = _key(sid)
    return keys


def _seconds(time: Any) -> float:
    return int(time[0]) + int(time[1]) / 1e6


def _is_misconf(reply: Any) -> bool:
    return isinstance(reply, ResponseError) and "MISCONF" in str(reply)


def _outcome(reply: Any, now: float) -> Snapshot | StoreUnavailable:
    if isinstance(reply, ResponseError):
        return StoreUnavailable(f"Redis: {type(reply).__name__}")
    try:
        return _snapshot(reply, now)
    except StoreUnavailable as error:
        return error


def _texts(replies: Any) -> tuple[str, ...]:
    return tuple(reply.decode("ascii") for reply in replies)


def _snapshot(text: bytes | None, now: float) -> Snapshot:
    if text is None:
        return Snapshot(None, now)
    return Snapshot(_record(text), now, text.decode("utf-8"))


def _record(text: bytes) -> Session:
    try:
        return load(text)
    except ValueError:
        # Neither "ended" nor "alive" would be true: the store holds something else.
        raise StoreUnavailable("a session record cannot be read") from None
