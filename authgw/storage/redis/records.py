"""Records and sets in Redis, which expire by their TTL.

`authgw:r:<hash>` is a record, `authgw:m:<hash>` a sorted set of members in the order in which they
were added. A script takes a record: accounts that were limited to the commands of earlier versions
(ACL) need no further right.
"""

from authgw.core.limits import MAX_RECORD_MEMBERS
from authgw.core.records import record_hash
from authgw.storage.redis.commands import Command, CommandRunner, Script, milliseconds
from authgw.storage.redis.keys import record, record_set
from authgw.storage.redis.replies import either, is_count, is_nothing, is_ok, is_text, list_of

_IS_TEXT_OR_NOTHING = either(is_nothing, is_text)

# KEYS record.
_TAKE = Script(
    """
local text = redis.call('GET', KEYS[1])
if text then redis.call('DEL', KEYS[1]) end
return text
""",
    _IS_TEXT_OR_NOTHING,
)
# KEYS set; ARGV member, ms, maximum number of members. The score follows the clock, but also the
# last score, since clocks run back. Returns the number of members that were dropped.
_ADD_MEMBER = Script(
    """
local time = redis.call('TIME')
local score = time[1] * 1000000 + time[2]
local last = redis.call('ZRANGE', KEYS[1], -1, -1, 'WITHSCORES')
if last[2] and tonumber(last[2]) >= score then score = tonumber(last[2]) + 1 end
redis.call('ZADD', KEYS[1], string.format('%.0f', score), ARGV[1])
local over, dropped = redis.call('ZCARD', KEYS[1]) - ARGV[3], {}
if over > 0 then dropped = redis.call('ZRANGE', KEYS[1], 0, over - 1) end
for _, member in ipairs(dropped) do redis.call('ZREM', KEYS[1], member) end
if redis.call('PTTL', KEYS[1]) < tonumber(ARGV[2]) then
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
end
return #dropped
""",
    is_count,
)


class RedisRecords:
    """Implementation of `Records`; a class that inherits it has the commands of its servers.

    With Sentinels or a Cluster, every write returns once a replica has it, as a lost set would
    lose logouts.
    """

    _commands: CommandRunner

    async def put(self, name: str, text: str, seconds: float) -> None:
        """See `Records.put`."""
        key = record(record_hash(name))
        command = Command(key, ("SET", key, text, "PX", milliseconds(seconds)), is_ok)
        await self._commands.execute(command, confirmed=True)

    async def get(self, name: str) -> str | None:
        """See `Records.get`."""
        key = record(record_hash(name))
        command = Command(key, ("GET", key), _IS_TEXT_OR_NOTHING)
        return _text(await self._commands.execute(command))

    async def take(self, name: str) -> str | None:
        """See `Records.take`."""
        command = _TAKE.on(record(record_hash(name)))
        return _text(await self._commands.execute(command, confirmed=True))

    async def add_member(self, name: str, member: str, seconds: float) -> None:
        """See `Records.add_member`."""
        args: list[str | int] = [member, milliseconds(seconds), MAX_RECORD_MEMBERS]
        command = _ADD_MEMBER.on(record_set(record_hash(name)), args=args)
        await self._commands.execute(command, confirmed=True)

    async def members(self, name: str) -> tuple[str, ...]:
        """See `Records.members`."""
        key = record_set(record_hash(name))
        command = Command(key, ("ZRANGE", key, 0, -1), list_of(is_text))
        return tuple(member.decode() for member in await self._commands.execute(command))


def _text(reply: bytes | None) -> str | None:
    return None if reply is None else reply.decode()
