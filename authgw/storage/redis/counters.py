"""Counters and claims in Redis, and which replicas run on it.

`authgw:c:<hash>` is a counter, `authgw:o:<hash>` a claim; their end is their TTL.
`authgw:replicas` is the registry of running replicas.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from authgw.core.sessions import subject_hash
from authgw.storage.redis.commands import Calls, Command, Script, Servers, milliseconds
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

ANNOUNCED_FOR = 30.0  # seconds that a replica counts as running without saying so again
_REGISTRY = "authgw:replicas"

# KEYS counter; ARGV window in ms.
_INCREMENT = Script(
    """
local count = redis.call('INCR', KEYS[1])
if count == 1 then redis.call('PEXPIRE', KEYS[1], ARGV[1]) end
return {count, redis.call('PTTL', KEYS[1])}
""",
    row(is_integer, is_integer),
)
# KEYS counter; ARGV `all` or `one`: how much of it to take away.
_RELEASE = Script(
    """
local count = tonumber(redis.call('GET', KEYS[1]) or 0)
if ARGV[1] == 'all' or count <= 1 then return redis.call('DEL', KEYS[1]) end
return redis.call('DECR', KEYS[1])
""",
    is_integer,
)

# KEYS registry; ARGV replica, its signing kid, `,kid,kid,` of all it verifies, life in ms, `new`.
# A member is the first three, its score the end of its life. One that clashes is not taken in if
# it is not there yet, or comes with new keys.
_ANNOUNCE = Script(
    """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
local known, clash = false, ''
for _, member in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do
  local replica, signing, kids = string.match(member, '^(%S+) (%S+) (%S+)$')
  if replica == ARGV[1] then
    known = member
  elseif not string.find(ARGV[3], ',' .. signing .. ',', 1, true)
      or not string.find(kids, ',' .. ARGV[2] .. ',', 1, true) then
    clash = signing
  end
end
if clash ~= '' and (not known or ARGV[5] == 'new') then return {0, clash} end
if known then redis.call('ZREM', KEYS[1], known) end
redis.call('ZADD', KEYS[1], now + ARGV[4], ARGV[1] .. ' ' .. ARGV[2] .. ' ' .. ARGV[3])
redis.call('PEXPIRE', KEYS[1], ARGV[4])
return {1, clash}
""",
    row(is_flag, is_visible),
)
# KEYS registry. Who has not said so again since its life ended runs no more.
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
    """A running replica: the key that it signs with and those that it verifies."""

    name: str
    signing: str
    kids: tuple[str, ...]


class RedisCounters:
    """Counters, and the registry of replicas."""

    def __init__(self, servers: Servers) -> None:
        self._servers = servers
        self._calls = Calls(servers)

    async def increment(self, name: str, window: float) -> tuple[int, float]:
        """Count one more under this name; return the count and the seconds until it ends."""
        return (await self.increment_all([(name, window)]))[0]

    async def increment_all(self, counted: Sequence[tuple[str, float]]) -> list[tuple[int, float]]:
        """Increment several (name, window) in one round trip; answers come in the same order."""
        replies = await self._calls.each(
            [_INCREMENT.on(_counter(name), args=[milliseconds(window)]) for name, window in counted]
        )
        return [(count, left_ms / 1000) for count, left_ms in replies]

    async def release(self, forget: Sequence[str], give_back: Sequence[str]) -> None:
        """End the counters in `forget` and count one less in `give_back`, in one round trip."""
        ended = [_RELEASE.on(_counter(name), args=["all"]) for name in forget]
        less = [_RELEASE.on(_counter(name), args=["one"]) for name in give_back]
        await self._calls.each([*ended, *less])

    async def claim(self, name: str, seconds: float) -> bool:
        """Whether this is the first claim of this name; a claim ends after `seconds`."""
        key = f"authgw:o:{subject_hash(name)}"
        words = ("SET", key, "", "NX", "PX", milliseconds(seconds))
        return bool(await self._calls.one(Command(key, words, is_nothing_or_ok)))

    async def announce(
        self, replica: str, signing: str, kids: tuple[str, ...], *, new: bool = False
    ) -> tuple[bool, str]:
        """Say which key this replica signs with and which ones it verifies.

        Returns whether it is one of the running replicas with these keys now, and the signing kid
        of one that lacks its signing key, or whose it lacks. With such a clash it is not, if it
        was none of them before or these keys are `new`; then nothing has changed.

        Raises:
            StoreUnavailableError: nobody can say now.
        """
        life = int(ANNOUNCED_FOR * 1000)
        args: list[str | int] = [replica, signing, _listed(kids), life, "new" if new else ""]
        # Timed, so that a clock that is off is told of at start, and within the time of one life.
        (answer,) = await self._calls.answers([_ANNOUNCE.on(_REGISTRY, args=args)], timed=True)
        taken, clash = answer.value()
        return bool(taken), clash.decode("ascii")

    async def withdraw(self, replica: str, signing: str, kids: tuple[str, ...]) -> None:
        """Take back what this replica announced last: it ends.

        Raises:
            StoreUnavailableError: it will count as running for 30 s more.
        """
        member = f"{replica} {signing} {_listed(kids)}"
        await self._calls.one(Command(_REGISTRY, ("ZREM", _REGISTRY, member), is_count))

    async def replicas(self) -> tuple[ReplicaAnnouncement, ...]:
        """The replicas that have announced themselves and are thought to run.

        Raises:
            StoreUnavailableError: nobody can say now.
        """
        members = await self._calls.one(_REPLICAS.on(_REGISTRY))
        return tuple(_announced(member.decode("ascii")) for member in members)


def _announced(member: str) -> ReplicaAnnouncement:
    name, signing, kids = member.split(" ")
    return ReplicaAnnouncement(name, signing, tuple(kids.strip(",").split(",")))


def _listed(kids: tuple[str, ...]) -> str:
    return f",{','.join(kids)},"


def _counter(name: str) -> str:
    return f"authgw:c:{subject_hash(name)}"
