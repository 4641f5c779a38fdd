"""The sessions that this replica is being asked about, so that most answers need no store.

Every answer rests on a session state that was true in the store at most `max_staleness` seconds
ago. Age counts on CLOCK_BOOTTIME, which goes on while the machine sleeps (clock_gettime(2)),
from just before a read was handed to the store. Death is final: no reply that was on its way
brings an ended session back.
"""

import asyncio
import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice

from authgw.core.errors import StoreUnavailableError
from authgw.core.ports import BatchStore
from authgw.core.session_codec import dump
from authgw.core.sessions import Session, Snapshot
from authgw.storage.batch_reader import Batch, BatchReader, told
from authgw.storage.clock import boottime
from authgw.storage.rolling_max import RollingMax

# A sweep comes within every _TICK of the bound, so re-reads are sent at 55 to 70 % of it.
_TICK = 0.1
_EARLIEST, _SPREAD = 0.55, 0.05
_ROOM = 64  # what part of a full mirror makes room
_ABSENT = Snapshot(None, 0.0)
_TOO_SLOW = "the store takes longer than cache.max_staleness to answer"


@dataclass(slots=True)
class _MirrorEntry:
    """A mirrored state; all times are of the boot-time clock.

    `since` is the earliest sending of a read that may take its place. From `until` on it counts
    for nothing, and from `due` on, which is never later, it is read again if it was asked for.
    """

    snapshot: Snapshot
    sent: float
    since: float
    until: float
    due: float
    asked: float


class Mirror:
    """A SessionStore in front of another one; `max_staleness` and `deadline` are in seconds.

    `max_staleness` 0 asks the store every time. `deadline` is the longest that one operation of
    the store takes, `capacity` the most sessions that are kept. It lives in the event loop that
    runs when it is made. `hits`, `misses` and `rereads` count look-ups that needed no store, those
    that waited for it, and reads that nobody waited for.
    """

    def __init__(
        self,
        store: BatchStore,
        *,
        max_staleness: float,
        deadline: float,
        capacity: int,
        clock: Callable[[], float] = boottime,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._store = store
        self._max_staleness = max_staleness
        # With nothing to keep, a read of one's own is young enough as long as it may take.
        self._oldest = max_staleness or deadline
        self._buried_for = max_staleness + deadline
        self._capacity = capacity
        self._clock = clock
        self._jitter = jitter
        self._loop = asyncio.get_running_loop()
        self._reader = BatchReader(store, deadline=deadline, clock=clock, learn=self._learn)
        self._entries: dict[str, _MirrorEntry] = {}  # the least recently read first
        self._tombstones: dict[str, float] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._ages = RollingMax()
        self.hits = self.misses = self.rereads = 0

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def staleness(self) -> float:
        """The greatest age, in seconds, of what an answer of about the last minute rested on."""
        return self._ages.greatest(self._clock())

    def peek(self, sid: str) -> Snapshot | None:
        """What is known of a session, if it is young enough now; asks no store.

        The snapshot is the one that was read, its `now` the store's at that time. It is not
        returned once the session's absolute end has passed since, so a caller may hold
        `expires_at` against that `now`. Its session stays the same object while the record
        stays the same.
        """
        entry = self._entries.get(sid)
        if entry is not None and (now := self._clock()) < entry.until:
            entry.asked = now
            self.hits += 1
            return entry.snapshot
        if sid not in self._tombstones:
            return None
        self.hits += 1
        return _ABSENT

    async def look(self, sid: str) -> Snapshot:
        """What is known of a session, read from the store if need be; `now` moves on with time.

        Raises:
            StoreUnavailableError: nothing young enough is known, and the store did not tell.
        """
        known = None if self.peek(sid) is None else self._held(sid)
        if known is not None:
            return known
        arrival = self._clock()
        for since in (arrival - self._max_staleness, arrival):
            batch = self._reader.ask(sid, since)
            self.misses += 1
            await batch.over()
            seen = self._answer(sid, batch)
            if seen is not None:
                return seen
        raise StoreUnavailableError(_TOO_SLOW)

    async def look_all(self, sids: Sequence[str]) -> dict[str, Snapshot]:
        """What `look` returns for each of these; all of it is young enough when it is returned.

        Raises:
            StoreUnavailableError: as `look`, for any of them.
        """
        for sid in sids:
            self.peek(sid)
        arrival = self._clock()
        for since in (arrival - self._max_staleness, arrival):
            # What was held at first may be too old once the others are known.
            asked = {sid: self._reader.ask(sid, since) for sid in sids if self._held(sid) is None}
            self.misses += len(asked)
            for batch in asked.values():
                await batch.over()
            seen = {sid: self._answer(sid, asked.get(sid)) for sid in sids}
            young = {sid: snapshot for sid, snapshot in seen.items() if snapshot is not None}
            if len(young) == len(seen):
                return young
        raise StoreUnavailableError(_TOO_SLOW)

    async def add(self, session: Session, max_sessions: int) -> tuple[str, ...]:
        """Keep a new session; end its subject's oldest over `max_sessions`; return their sids."""
        sids = await self._store.add(session, max_sessions)
        self._drop(session.sid)
        self._bury(sids)
        return sids

    async def read(self, sid: str) -> Snapshot:
        """Return the session as the store has it now, or None in it, and count this as use."""
        batch = self._reader.ask(sid, self._clock())
        await batch.over()
        return _ABSENT if sid in self._tombstones else told(batch.outcomes[sid])

    async def replace(self, seen: Snapshot, new: Session) -> Snapshot | None:
        """Compare-and-set: None if `new` took the place of what was seen, else what is there."""
        sent = self._clock()
        other = await self._store.replace(seen, new)
        self._learn_replaced(seen, new, other, sent)
        return other

    async def replace_many(self, changes: Sequence[tuple[Snapshot, Session]]) -> None:
        """What `replace` does for each of these, in one round trip."""
        sent = self._clock()
        outcomes = await self._store.replace_many(changes)
        for (seen, new), outcome in zip(changes, outcomes, strict=True):
            if not isinstance(outcome, StoreUnavailableError):
                self._learn_replaced(seen, new, outcome, sent)

    async def revoke(self, sid: str) -> bool:
        """End one session; say whether it was alive. Returns once the store has it."""
        alive = await self._store.revoke(sid)
        self.ended(sid)
        return alive

    async def revoke_all(self, sub: str) -> tuple[str, ...]:
        """End every session of a subject; return their sids."""
        sids = await self._store.revoke_all(sub)
        self._bury(sids)
        return sids

    async def sessions_of(self, sub: str) -> tuple[Session, ...]:
        """The live sessions of a subject, oldest first."""
        return await self._store.sessions_of(sub)

    async def last_used(self, sids: Sequence[str]) -> dict[str, float]:
        """When each live one of these sessions was last used, as the store knows it."""
        return await self._store.last_used(sids)

    def ended(self, sid: str) -> None:
        """Take note that a session was ended, here or by another replica."""
        self._bury((sid,))

    def close(self) -> None:
        """Forget everything and stop reading."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._reader.close()
        self._entries.clear()
        self._tombstones.clear()

    def _bury(self, sids: Sequence[str]) -> None:
        until = self._clock() + self._buried_for
        for sid in sids:
            self._drop(sid)
            self._tombstones[sid] = until
        self._arm()

    def _drop(self, sid: str) -> _MirrorEntry | None:
        """Forget what is held of a session, but not how old it was when it last answered."""
        entry = self._entries.pop(sid, None)
        if entry is not None:
            self._ages.note(entry.asked - entry.sent, self._clock())
        return entry

    def _held(self, sid: str) -> Snapshot | None:
        if sid in self._tombstones:
            return _ABSENT
        entry, now = self._entries.get(sid), self._clock()
        if entry is None or now >= entry.until:
            return None
        self._ages.note(now - entry.sent, now)
        return _moved(entry.snapshot, now - entry.sent)

    def _answer(self, sid: str, batch: Batch | None) -> Snapshot | None:
        """What this read led to; None if its reply, or what was held without it, is too old."""
        held = self._held(sid)
        if held is not None or batch is None:
            return held
        seen, now = told(batch.outcomes[sid]), self._clock()
        age = now - batch.sent
        if age > self._oldest:
            return None
        self._ages.note(age, now)
        return _moved(seen, age)

    def _learn(self, sid: str, seen: Snapshot, sent: float) -> None:
        """Keep what the store told, unless something later is known."""
        entry = self._entries.get(sid)
        if seen.session is None:
            # What is absent stays absent: only a read sent after this reply knows better.
            self._keep(sid, seen, sent, since=self._clock())
        elif entry is None or sent >= entry.since:
            self._keep(sid, seen, sent, since=sent)

    def _learn_replaced(
        self, seen: Snapshot, new: Session, other: Snapshot | None, sent: float
    ) -> None:
        if other is None:
            self._learn_own(seen, new, sent)
        else:
            self._learn(new.sid, other, sent)

    def _learn_own(self, seen: Snapshot, new: Session, sent: float) -> None:
        """Keep what this replica wrote, unless something later is known."""
        entry, now = self._entries.get(new.sid), seen.now
        if entry is not None:
            if entry.since > sent and entry.snapshot.version != seen.version:
                return
            now = max(now, entry.snapshot.now + sent - entry.sent)
        # A read that was under way meanwhile may have seen the record before this one.
        self._keep(new.sid, Snapshot(new, now, dump(new)), sent, since=self._clock())

    def _keep(self, sid: str, seen: Snapshot, sent: float, *, since: float) -> None:
        old = self._drop(sid)
        until = sent + min(self._max_staleness, _life(seen))
        if sid in self._tombstones or until <= self._clock():
            return
        if old is not None and old.snapshot.version == seen.version:
            seen = Snapshot(old.snapshot.session, seen.now, seen.version)
        due = sent + self._max_staleness * (_EARLIEST + _SPREAD * self._jitter())
        asked = -math.inf if old is None else old.asked
        if seen.session is not None and seen.session.sid == sid:
            sid = seen.session.sid  # one text in place of two alike
        self._entries[sid] = _MirrorEntry(seen, sent, since, until, min(due, until), asked)
        if len(self._entries) > self._capacity:
            self._make_room()
        self._arm()

    def _make_room(self) -> None:
        # Many at once: a dict finds its first entry the slower the more were taken before it.
        for sid in list(islice(self._entries, 1 + self._capacity // _ROOM)):
            self._drop(sid)

    def _arm(self) -> None:
        if self._timer is None and (self._entries or self._tombstones):
            # Never in step with itself, or what a sweep has read would be due at its pace for ever.
            pause = _TICK * (1 + self._jitter()) / 2
            self._timer = self._loop.call_later(pause * self._oldest, self._sweep)

    def _sweep(self) -> None:
        """Drop what is over; read again what was asked for since it was read."""
        self._timer, now = None, self._clock()
        for sid in [sid for sid, until in self._tombstones.items() if until <= now]:
            del self._tombstones[sid]
        for sid, entry in [(sid, one) for sid, one in self._entries.items() if one.due <= now]:
            if entry.until <= now:
                self._drop(sid)
            elif entry.asked > entry.sent and not self._reader.is_reading(sid):
                self._reader.ask(sid, now)
                self.rereads += 1
        self._arm()


def _moved(seen: Snapshot, elapsed: float) -> Snapshot:
    return Snapshot(seen.session, seen.now + elapsed, seen.version)


def _life(seen: Snapshot) -> float:
    """The seconds until this snapshot's session reaches its absolute end, if it has not."""
    if seen.session is None or seen.session.expires_at <= seen.now:
        return math.inf
    return seen.session.expires_at - seen.now
