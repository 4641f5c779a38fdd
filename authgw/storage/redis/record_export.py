"""Export and import of all records and sets of a Redis, in batches."""

from collections.abc import AsyncIterator, Sequence
from typing import Any

from authgw.core.export import ExportedRecord, ExportedSet
from authgw.core.limits import MAX_RECORD_MEMBERS
from authgw.storage.redis.commands import Command, CommandRunner, Script, Servers, milliseconds
from authgw.storage.redis.export import STEP_TIMEOUT, scanned
from authgw.storage.redis.keys import hash_of_record, is_record, record, record_set
from authgw.storage.redis.replies import (
    either,
    is_flag,
    is_integer,
    is_nothing,
    is_text,
    list_of,
    row,
)

_MAX_ENTRIES = 100  # in a batch

# KEYS record.
_RECORD = Script(
    "return {redis.call('GET', KEYS[1]), redis.call('PTTL', KEYS[1])}",
    row(either(is_nothing, is_text), is_integer),
)
# KEYS set.
_SET = Script(
    "return {redis.call('ZRANGE', KEYS[1], 0, -1), redis.call('PTTL', KEYS[1])}",
    row(list_of(is_text), is_integer),
)
# KEYS record; ARGV text, ms.
_KEEP_RECORD = Script(
    """
if redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2], 'NX') then return 1 end
return 0
""",
    is_flag,
)
# KEYS set; ARGV ms, maximum number of members, members. Their scores are lower than any of a clock.
_KEEP_SET = Script(
    """
local before = redis.call('ZCARD', KEYS[1])
for n = math.max(3, #ARGV + 1 - ARGV[2] + before), #ARGV do
  redis.call('ZADD', KEYS[1], 'NX', n, ARGV[n])
end
if redis.call('PTTL', KEYS[1]) < tonumber(ARGV[1]) then
  redis.call('PEXPIRE', KEYS[1], ARGV[1])
end
return before == 0 and 1 or 0
""",
    is_flag,
)


class RedisRecordExport:
    """The records of an ExportableStore."""

    def __init__(self, servers: Servers) -> None:
        self._commands = CommandRunner(servers, STEP_TIMEOUT)

    async def export_records(self) -> AsyncIterator[Sequence[ExportedRecord | ExportedSet]]:
        """See `ExportableStore.export_records`."""
        for pattern, script, entry in (
            (record("*"), _RECORD, _exported_record),
            (record_set("*"), _SET, _exported_set),
        ):
            async for keys in scanned(self._commands, pattern, is_record, _MAX_ENTRIES):
                replies = await self._commands.execute_all([script.on(key) for key in keys])
                yield [
                    entry(hash_of_record(key), reply)
                    for key, reply in zip(keys, replies, strict=True)
                    if reply[0] not in (None, [])
                ]

    async def import_records(self, batch: Sequence[ExportedRecord | ExportedSet]) -> int:
        """See `ExportableStore.import_records`."""
        return sum(await self._commands.execute_all([*map(_keeping, batch)], confirmed=True))


def _exported_record(hashed: str, reply: Any) -> ExportedRecord | ExportedSet:
    text, left_ms = reply
    return ExportedRecord(hashed, text.decode(), left_ms / 1000)


def _exported_set(hashed: str, reply: Any) -> ExportedRecord | ExportedSet:
    members, left_ms = reply
    return ExportedSet(hashed, tuple(member.decode() for member in members), left_ms / 1000)


def _keeping(entry: ExportedRecord | ExportedSet) -> Command:
    ms = milliseconds(entry.left)
    if isinstance(entry, ExportedRecord):
        return _KEEP_RECORD.on(record(entry.hashed), args=[entry.text, ms])
    args: list[str | int] = [ms, MAX_RECORD_MEMBERS, *entry.members]
    return _KEEP_SET.on(record_set(entry.hashed), args=args)
