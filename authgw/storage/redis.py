"""Sessions in one Redis node (6.2 or newer), shared by every replica.

Keys: `authgw:{h}:s:<sid>` is a record with idleness as its TTL, `authgw:{h}:i` the subject's
sids in order of creation; h, the subject's hash, keeps both in one slot. Scripts treat records
as opaque text (Lua's numbers would round 2^53+1) and publish every sid that they end.
`authgw:c:<hash>` is a counter, `authgw:o:<hash>` a claim; their end is their TTL.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any, TypeVar

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.commands.core import AsyncScript
from redis.exceptions import (
    AuthenticationError,
    NoPermissionError,
    NoScriptError,
    RedisError,
    ResponseError,
)

from authgw.core.errors import SessionEnded, StoreUnavailable
from authgw.core.sessions import Session, Snapshot, dump, hash_of_sid, load, subject_hash
from authgw.storage import StoreRefused
from authgw.storage.serverclock import ServerClock, boottime

DEADLINE = 0.25  # seconds for one operation, waiting for a connection included
ANNOUNCED_FOR = 30.0  # seconds that a replica counts as running without saying so again
_REGISTRY = "authgw:replicas"
_CHECK_DEADLINE = 2.0  # seconds for the questions at start
ENDED_CHANNEL = "authgw:ended"
_POOL = 64

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

# KEYS counter; ARGV window in ms.
_INCREMENT = """
local count = redis.call('INCR', KEYS[1])
if count == 1 then redis.call('PEXPIRE', KEYS[1], ARGV[1]) end
return {count, redis.call('PTTL', KEYS[1])}
"""
# KEYS counter; ARGV `all` or `one`: how much of it to take away.
_RELEASE = """
local count = tonumber(redis.call('GET', KEYS[1]) or 0)
if ARGV[1] == 'all' or count <= 1 then return redis.call('DEL', KEYS[1]) end
return redis.call('DECR', KEYS[1])
"""

# KEYS registry; ARGV replica, its signing kid, `,kid,kid,` of all it verifies, life in ms.
# A member is these three, its score the end of its life. A newcomer that clashes is not taken in.
_ANNOUNCE = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
local known, clash = 0, ''
for _, member in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do
  local replica, signing, kids = string.match(member, '^(%S+) (%S+) (%S+)$')
  if replica == ARGV[1] then
    known = 1
    redis.call('ZREM', KEYS[1], member)
  elseif not string.find(ARGV[3], ',' .. signing .. ',', 1, true)
      or not string.find(kids, ',' .. ARGV[2] .. ',', 1, true) then
    clash = signing
  end
end
if clash ~= '' and known == 0 then return {0, clash} end
redis.call('ZADD', KEYS[1], now + ARGV[4], ARGV[1] .. ' ' .. ARGV[2] .. ' ' .. ARGV[3])
redis.call('PEXPIRE', KEYS[1], ARGV[4])
return {1, clash}
"""

T = TypeVar("T")


def connect(url: str, password: str | None = None) -> "Redis":
    """A client of `redis://` or `rediss://` that never repeats a command by itself."""
    secret = {} if password is None else {"password": password}
    pool = BlockingConnectionPool.from_url(
        url, max_connections=_POOL, timeout=None, retry=Retry(NoBackoff(), 0), **secret
    )
    return Redis(connection_pool=pool)


class RedisStore:
    """A SessionStore and Counters on one node; `idle` and `session_max` are in seconds."""

    def __init__(self, client: "Redis", *, idle: float, session_max: float) -> None:
        self._client = client
        self._idle_ms = max(1, int(idle * 1000))
        self._index_ms = max(1, int(session_max * 1000))
        self._clock = ServerClock()
        self._add = client.register_script(_ADD)
        self._replace = client.register_script(_REPLACE)
        self._revoke = client.register_script(_REVOKE)
        self._revoke_all = client.register_script(_REVOKE_ALL)
        self._increment = client.register_script(_INCREMENT)
        self._release = client.register_script(_RELEASE)
        self._announce = client.register_script(_ANNOUNCE)

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
        return _texts(await _bounded(lambda: self._add(keys=keys, args=args)))

    async def read(self, sid: str) -> Snapshot:
        """Return the session, or None in it, and count this as use of it."""
        (seen,) = await self.read_many((sid,))
        if isinstance(seen, StoreUnavailable):
            raise seen
        return seen

    async def read_many(self, sids: Sequence[str]) -> Sequence[Snapshot | StoreUnavailable]:
        """What `read` returns, or raises, for each sid in its order; one round trip for all."""
        keys = _keys(sids)
        replies = await _bounded(lambda: self._read_many(list(keys.values())))
        now = self._clock.at(boottime())
        told = dict(zip(keys, replies, strict=True))
        return [_outcome(told.get(sid), now) for sid in sids]

    async def replace(self, seen: Snapshot, new: Session) -> Snapshot | None:
        """Compare-and-set: None if `new` took the place of what was seen, else what is there."""
        args: list[str | int] = [seen.version, dump(new), self._idle_ms]
        reply = await _bounded(lambda: self._replace(keys=[_key(new.sid)], args=args))
        return None if reply[0] == 1 else _snapshot(reply[1], _seconds(reply[2]))

    async def replace_many(
        self, changes: Sequence[tuple[Snapshot, Session]]
    ) -> Sequence[Snapshot | StoreUnavailable | None]:
        """What `replace` returns, or raises, for each (seen, new) in its order; in one round trip.

        Raises:
            StoreUnavailable: the outcome of all is unknown.
        """
        calls = [(_key(new.sid), seen.version, dump(new), self._idle_ms) for seen, new in changes]
        replies = await _bounded(lambda: self._on_each(self._replace, calls))
        return [
            None if reply[0] == 1 else _outcome(reply[1], _seconds(reply[2])) for reply in replies
        ]

    async def revoke(self, sid: str) -> bool:
        """End one session; say whether it was alive. Returns once the store has it."""
        try:
            keys = [_key(sid), _index(hash_of_sid(sid))]
        except SessionEnded:
            return False
        return bool(await _bounded(lambda: self._revoke(keys=keys, args=[sid, ENDED_CHANNEL])))

    async def revoke_all(self, sub: str) -> tuple[str, ...]:
        """End every session of a subject; return their sids."""
        h = subject_hash(sub)
        args = [_prefix(h), ENDED_CHANNEL]
        return _texts(await _bounded(lambda: self._revoke_all(keys=[_index(h)], args=args)))

    async def sessions_of(self, sub: str) -> tuple[Session, ...]:
        """The live sessions of a subject, oldest first."""
        h = subject_hash(sub)
        sids = _texts(await _bounded(lambda: self._client.zrange(_index(h), 0, -1)))
        if not sids:
            return ()
        records: Any = await _bounded(lambda: self._client.mget([_prefix(h) + sid for sid in sids]))
        return tuple(_record(text) for text in records if text is not None)

    async def last_used(self, sids: Sequence[str]) -> dict[str, float]:
        """When each live one of these was last used, in Unix seconds of the store's clock."""
        keys = _keys(sids)
        time, *left = await _bounded(lambda: self._times(list(keys.values())))
        now, idle = _seconds(time), self._idle_ms / 1000
        # A store that was opened with a longer `idle` before may have left more than it.
        return {
            sid: now - max(0.0, idle - left_ms / 1000)
            for sid, left_ms in zip(keys, left, strict=True)
            if left_ms >= 0
        }

    async def increment(self, name: str, window: float) -> tuple[int, float]:
        """Count one more under this name; return the count and the seconds until it ends."""
        return (await self.increment_all([(name, window)]))[0]

    async def increment_all(self, counted: Sequence[tuple[str, float]]) -> list[tuple[int, float]]:
        """Increment several (name, window) in one round trip; answers come in the same order."""
        calls = [(_counter(name), _milliseconds(window)) for name, window in counted]
        replies = await _bounded(lambda: self._on_each(self._increment, calls))
        return [(int(count), left_ms / 1000) for count, left_ms in replies]

    async def release(self, forget: Sequence[str], give_back: Sequence[str]) -> None:
        """End the counters in `forget` and count one less in `give_back`, in one round trip."""
        ended = [(_counter(name), "all") for name in forget]
        less = [(_counter(name), "one") for name in give_back]
        await _bounded(lambda: self._on_each(self._release, [*ended, *less]))

    async def claim(self, name: str, seconds: float) -> bool:
        """Whether this is the first claim of this name; a claim ends after `seconds`."""
        key, px = f"authgw:o:{subject_hash(name)}", _milliseconds(seconds)
        return bool(await _bounded(lambda: self._client.set(key, "", nx=True, px=px)))

    async def announce(self, replica: str, signing: str, kids: tuple[str, ...]) -> tuple[bool, str]:
        """Say which key this replica signs with and which ones it verifies.

        Returns whether it is one of the running replicas now (it is not if it is new and one of
        them lacks its signing key, or it lacks theirs), and the signing kid of such a replica.

        Raises:
            StoreUnavailable: nobody can say now.
        """
        args: list[str | int] = [replica, signing, f",{','.join(kids)},", int(ANNOUNCED_FOR * 1000)]
        taken, clash = await _bounded(lambda: self._announce(keys=[_REGISTRY], args=args))
        return bool(taken), clash.decode("ascii")

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
        except (RedisError, OSError, TimeoutError) as error:
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
        await _bounded(self._client.time)

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

    async def _on_each(self, script: AsyncScript, calls: Sequence[tuple[Any, ...]]) -> list[Any]:
        """Run a script on several keys, whatever their slots; `calls` are (key, arguments...)."""
        replies = await self._evaluate("EVALSHA", script.sha, calls)
        lost = [call for call, reply in zip(calls, replies, strict=True) if _is_lost(reply)]
        # A script that the server forgot did nothing: only these are sent again, as text.
        again = iter(await self._evaluate("EVAL", script.script, lost))
        replies = [next(again) if _is_lost(reply) else reply for reply in replies]
        for reply in replies:
            if isinstance(reply, Exception):
                raise reply
        return replies

    async def _evaluate(self, command: str, script: Any, calls: Sequence[Any]) -> list[Any]:
        async with self._client.pipeline(transaction=False) as pipe:
            for call in calls:
                pipe.execute_command(command, script, 1, *call)
            return list(await pipe.execute(raise_on_error=False))


async def _bounded(operation: Callable[[], Awaitable[T]]) -> T:
    try:
        async with asyncio.timeout(DEADLINE):
            return await operation()
    except (RedisError, OSError, TimeoutError) as error:
        raise StoreUnavailable(f"Redis: {type(error).__name__}") from None


def _prefix(h: str) -> str:
    return f"authgw:{{{h}}}:s:"


def _index(h: str) -> str:
    return f"authgw:{{{h}}}:i"


def _key(sid: str) -> str:
    return _prefix(hash_of_sid(sid)) + sid


def _keys(sids: Sequence[str]) -> dict[str, str]:
    """The key of every sid that is one."""
    keys = {}
    for sid in sids:
        with suppress(SessionEnded):
            keys[sid] = _key(sid)
    return keys


def _counter(name: str) -> str:
    return f"authgw:c:{subject_hash(name)}"


def _milliseconds(seconds: float) -> int:
    return max(1, int(seconds * 1000))


def _is_lost(reply: Any) -> bool:
    return isinstance(reply, NoScriptError)


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
