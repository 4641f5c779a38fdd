"""Counters, claims and the registry of running replicas in Redis.

`authgw:c:<hash>` is a counter, `authgw:o:<hash>` a claim; both expire by their TTL.
`authgw:replicas` is the registry.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from authgw.core.errors import StoreUnavailableError
from authgw.core.sessions import subject_hash
from authgw.storage.redis.commands import Command, CommandRunner, Script, Servers, milliseconds
from authgw.storage.redis.replies import (
    is_count,
    is_flag,
    is_integer,
    is_member,
    is_nothing_or_ok,
    is_visible,
    list_of,
    row,
)

ANNOUNCEMENT_LIFETIME = 30.0  # seconds; a replica counts as running so long without a renewal
_REGISTRY = "authgw:replicas"
# The end of a replica's name if it can read compact forms. The previous version compares a name
# only with its own, and could not read an announcement of more than three words.
_COMPACT_MARK = "+compact"

# KEYS counter; ARGV window in ms.
_INCREMENT = Script(
    """
local count = redis.call('INCR', KEYS[1])
if count == 1 then redis.call('PEXPIRE', KEYS[1], ARGV[1]) end
return {count, redis.call('PTTL', KEYS[1])}
""",
    row(is_integer, is_integer),
)
# KEYS counter; ARGV `all` or `one`: the amount to subtract.
_RELEASE = Script(
    """
local count = tonumber(redis.call('GET', KEYS[1]) or 0)
if ARGV[1] == 'all' or count <= 1 then return redis.call('DEL', KEYS[1]) end
return redis.call('DECR', KEYS[1])
""",
    is_integer,
)

# KEYS registry; ARGV replica, its signing kid, `,kid,kid,` of all keys that it verifies, lifetime
# in ms, `new`, mark. A member consists of the first three; its score is its expiry. A replica whose
# keys conflict is refused if it is not registered yet or announces new keys. The last value of the
# reply is 1 if every other replica has the mark in its name.
_ANNOUNCE = Script(
    """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
local known, clash, marked = false, '', 1
for _, member in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do
  local replica, signing, kids = string.match(member, '^(%S+) (%S+) (%S+)$')
  if replica == ARGV[1] then
    known = member
  else
    if not string.find(ARGV[3], ',' .. signing .. ',', 1, true)
        or not string.find(kids, ',' .. ARGV[2] .. ',', 1, true) then
      clash = signing
    end
    if not string.find(replica, ARGV[6], 1, true) then marked = 0 end
  end
end
if clash ~= '' and (not known or ARGV[5] == 'new') then return {0, clash, marked} end
if known then redis.call('ZREM', KEYS[1], known) end
redis.call('ZADD', KEYS[1], now + ARGV[4], ARGV[1] .. ' ' .. ARGV[2] .. ' ' .. ARGV[3])
redis.call('PEXPIRE', KEYS[1], ARGV[4])
return {1, clash, marked}
""",
    row(is_flag, is_visible, is_flag),
)
# KEYS registry. Replicas with an expired announcement are not running.
_REPLICAS = Script(
    """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
return redis.call('ZRANGEBYSCORE', KEYS[1], '(' .. string.format('%.0f', now), '+inf')
""",
    list_of(is_member),
)


@dataclass(frozen=True, slots=True)
class ReplicaAnnouncement:
    """A running replica: the kid that it signs with and the kids that it verifies."""

    name: str
    signing: str
    kids: tuple[str, ...]


class RedisCounters:
    """Implementation of `Counters`, and the registry of replicas.

    `compact` is True if every replica could read compact forms at the last announcement. It is
    False after a failed announcement, as other replicas may have joined since.
    """

    def __init__(self, servers: Servers) -> None:
        self._servers = servers
        self._commands = CommandRunner(servers)
        self.compact = False

    async def increment(self, name: str, window: float) -> tuple[int, float]:
        """See `Counters.increment`."""
        return (await self.increment_all([(name, window)]))[0]

    async def increment_all(self, counted: Sequence[tuple[str, float]]) -> list[tuple[int, float]]:
        """See `Counters.increment_all`."""
        replies = await self._commands.execute_all(
            [_INCREMENT.on(_counter(name), args=[milliseconds(window)]) for name, window in counted]
        )
        return [(count, left_ms / 1000) for count, left_ms in replies]

    async def release(self, forget: Sequence[str], give_back: Sequence[str]) -> None:
        """See `Counters.release`."""
        deleted = [_RELEASE.on(_counter(name), args=["all"]) for name in forget]
        decremented = [_RELEASE.on(_counter(name), args=["one"]) for name in give_back]
        await self._commands.execute_all([*deleted, *decremented])

    async def claim(self, name: str, seconds: float) -> bool:
        """See `Counters.claim`."""
        key = f"authgw:o:{subject_hash(name)}"
        words = ("SET", key, "", "NX", "PX", milliseconds(seconds))
        return bool(await self._commands.execute(Command(key, words, is_nothing_or_ok)))

    async def announce(
        self, replica: str, signing: str, kids: tuple[str, ...], *, new: bool = False
    ) -> tuple[bool, str]:
        """Register this replica with the kids that it signs with and that it verifies.

        Return whether it is registered with these keys, and the signing kid of a conflicting
        replica or "". Two replicas conflict if either lacks the signing key of the other. A
        replica with a conflict is refused, without any change, if it was not registered or its
        keys are `new`.

        Raises:
            StoreUnavailableError: the registry cannot be reached.
        """
        lifetime = int(ANNOUNCEMENT_LIFETIME * 1000)
        name, word = f"{replica}{_COMPACT_MARK}", "new" if new else ""
        args: list[str | int] = [name, signing, _listed(kids), lifetime, word, _COMPACT_MARK]
        try:
            # Timed: a wrong clock is logged at the start, and later with the next announcement.
            (result,) = await self._commands.replies(
                [_ANNOUNCE.on(_REGISTRY, args=args)], timed=True
            )
            registered, conflict, marked = result.value()
        except StoreUnavailableError:
            self.compact = False
            raise
        self.compact = bool(registered and marked)
        return bool(registered), conflict.decode("ascii")

    async def withdraw(self, replica: str, signing: str, kids: tuple[str, ...]) -> None:
        """Remove the last announcement of this replica, which ends.

        Raises:
            StoreUnavailableError: the replica counts as running until its announcement expires.
        """
        member = f"{replica}{_COMPACT_MARK} {signing} {_listed(kids)}"
        await self._commands.execute(Command(_REGISTRY, ("ZREM", _REGISTRY, member), is_count))

    async def replicas(self) -> tuple[ReplicaAnnouncement, ...]:
        """Return the replicas whose announcements have not expired.

        Raises:
            StoreUnavailableError: the registry cannot be reached.
        """
        members = await self._commands.execute(_REPLICAS.on(_REGISTRY))
        return tuple(_announced(member.decode("ascii")) for member in members)


def _announced(member: str) -> ReplicaAnnouncement:
    name, signing, kids = member.split(" ")
    return ReplicaAnnouncement(name, signing, tuple(kids.strip(",").split(",")))


def _listed(kids: tuple[str, ...]) -> str:
    return f",{','.join(kids)},"


def _counter(name: str) -> str:
    return f"authgw:c:{subject_hash(name)}"
