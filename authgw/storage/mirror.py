"""Cache of sessions in the memory of this replica, which answers most look-ups without the store.

Every result is a session state that was true in the store at most `max_staleness` seconds ago. The
age is measured on CLOCK_BOOTTIME, which includes the time in which the machine is suspended
(clock_gettime(2)), from just before the read was sent to the store. The end of a session is final:
a reply that was still in transit does not restore it.
"""

import asyncio
import math
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from authgw.core.errors import StoreUnavailableError
from authgw.core.measurements import Measurement, counter, gauge
from authgw.core.ports import BatchStore
from authgw.core.sessions import Session, Snapshot
from authgw.storage.batch_reader import Batch, BatchReader, snapshot_of
from authgw.storage.clock import boottime
from authgw.storage.rolling_max import RollingMax

# Fractions of `max_staleness`: with these intervals a session is read again at 55 to 70 % of it.
_MAX_SWEEP_INTERVAL = 0.1
_REREAD_AFTER, _REREAD_JITTER = 0.55, 0.05
_EVICTED_PART = 64  # a full mirror drops 1/64 of its sessions
_ABSENT = Snapshot(None, 0.0)
_TOO_SLOW = "the store takes longer than cache.max_staleness to respond"


@dataclass(slots=True)
class _MirrorEntry:
    """A mirrored state; all times are of the boot-time clock.

    Only a read that was sent at or after `replaceable_from` may replace it. From `valid_until` on
    it must not be used. From `reread_at` on, which is never later, it is read again if it was
    looked up since the read before. `last_lookup` is minus infinity if it was written and not
    asked for since, as of most logins in a flood.
    """

    snapshot: Snapshot
    sent: float
    replaceable_from: float
    valid_until: float
    reread_at: float
    last_lookup: float


class Mirror:
    """A caching SessionStore in front of another store.

    `max_staleness` and `deadline` are in seconds; a `max_staleness` of 0 reads the store at every
    look-up. `deadline` is the maximum duration of a store operation, `capacity` the maximum number
    of cached sessions. A mirror belongs to the event loop in which it is created. `hits` counts
    look-ups without the store, `misses` those that waited for it, and `rereads` reads in the
    background.
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
        self.max_staleness = max_staleness
        # Without caching, the age of a read is limited by the duration of the operation.
        self._max_age = max_staleness or deadline
        self._tombstone_lifetime = max_staleness + deadline
        self._capacity = capacity
        self._clock = clock
        self._jitter = jitter
        self._loop = asyncio.get_running_loop()
        self._reader = BatchReader(store, deadline=deadline, clock=clock, learn=self._learn)
        self._entries: dict[str, _MirrorEntry] = {}  # in the order of their reads
        self._tombstones: dict[str, float] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._ages = RollingMax()
        self.hits = self.misses = self.rereads = 0

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def staleness(self) -> float:
        """The greatest age, in seconds, of a state that was used in about the last minute."""
        return self._ages.greatest(self._clock())

    def collect(self) -> Iterator[Measurement]:
        """See `MeasuredPart.collect`."""
        yield counter("authgw_mirror_hits", "Look-ups of a session that memory served", self.hits)
        yield counter(
            "authgw_mirror_misses", "Look-ups of a session that waited for the store", self.misses
        )
        yield counter("authgw_mirror_rereads", "Reads of a session in the background", self.rereads)
        yield gauge("authgw_mirror_sessions", "Sessions in memory", len(self))
        yield gauge(
            "authgw_staleness_seconds",
            "Maximum age, within the last minute, of the session state behind a decision. "
            "Usually about 0.7 of cache.max_staleness, never above it; near it the store is slow",
            self.staleness,
        )

    def peek(self, sid: str) -> Snapshot | None:
        """Return the cached state of a session, or None if it is unknown or too old; no I/O.

        The snapshot is as it was read, with the store's time at that moment in `now`. It is not
        returned after the session's absolute end, so a caller may compare `expires_at` with
        that `now`. The session is the same object as long as the record is the same.
        """
        entry = self._entries.get(sid)
        if entry is not None and (now := self._clock()) < entry.valid_until:
            entry.last_lookup = now
            self.hits += 1
            return entry.snapshot
        if sid not in self._tombstones:
            return None
        self.hits += 1
        return _ABSENT

    def peek_current(self, sid: str) -> Snapshot | None:
        """Return the cached state with the store's present time in `now`, or None; no I/O."""
        return None if self.peek(sid) is None else self._current(sid)

    async def get(self, sid: str) -> Snapshot:
        """Return the state of a session, from the store unless it is cached; `now` is current.

        Raises:
            StoreUnavailableError: no recent state is cached, and the store did not reply in time.
        """
        cached = self.peek_current(sid)
        if cached is not None:
            return cached
        arrival = self._clock()
        for since in (arrival - self.max_staleness, arrival):
            batch = self._reader.request(sid, since)
            self.misses += 1
            await batch.wait()
            seen = self._result(sid, batch)
            if seen is not None:
                return seen
        raise StoreUnavailableError(_TOO_SLOW)

    async def get_many(self, sids: Sequence[str]) -> dict[str, Snapshot]:
        """Return the result of `get` for each sid; all are recent when they are returned.

        Raises:
            StoreUnavailableError: as `get`, for any of them.
        """
        for sid in sids:
            self.peek(sid)
        arrival = self._clock()
        for since in (arrival - self.max_staleness, arrival):
            # A state that is cached now may be too old once the others have been read.
            reads = {
                sid: self._reader.request(sid, since) for sid in sids if self._current(sid) is None
            }
            self.misses += len(reads)
            for batch in reads.values():
                await batch.wait()
            results = {sid: self._result(sid, reads.get(sid)) for sid in sids}
            recent = {sid: snapshot for sid, snapshot in results.items() if snapshot is not None}
            if len(recent) == len(results):
                return recent
        raise StoreUnavailableError(_TOO_SLOW)

    async def add(self, session: Session, max_sessions: int) -> tuple[str, ...]:
        """See `SessionStore.add`."""
        sent, record = self._clock(), self._store.record(session)
        sids = await self._store.add(session, max_sessions, record)
        if sids:
            self._add_tombstones(sids)
        self._learn_added(session, record, sent)
        return sids

    async def read(self, sid: str) -> Snapshot:
        """See `SessionStore.read`; this always reads the store."""
        batch = self._reader.request(sid, self._clock())
        await batch.wait()
        return _ABSENT if sid in self._tombstones else snapshot_of(batch.outcomes[sid])

    async def replace(self, seen: Snapshot, new: Session) -> Snapshot | None:
        """See `SessionStore.replace`."""
        sent, record = self._clock(), self._store.record(new)
        other = await self._store.replace(seen, new, record)
        if other is None:
            self._learn_written(seen, new, record, sent)
        else:
            self._learn(new.sid, other, sent)
        return other

    async def replace_many(self, changes: Sequence[tuple[Snapshot, Session]]) -> None:
        """See `MirroringStore.replace_many`; all changes share a round trip."""
        sent = self._clock()
        outcomes = await self._store.replace_many(changes)
        for (seen, new), outcome in zip(changes, outcomes, strict=True):
            if outcome is None:
                self._learn_written(seen, new, self._store.record(new), sent)
            elif not isinstance(outcome, StoreUnavailableError):
                self._learn(new.sid, outcome, sent)

    async def revoke(self, sid: str) -> bool:
        """See `SessionStore.revoke`."""
        existed = await self._store.revoke(sid)
        self.mark_ended(sid)
        return existed

    async def revoke_all(self, sub: str) -> tuple[str, ...]:
        """See `SessionStore.revoke_all`."""
        sids = await self._store.revoke_all(sub)
        self._add_tombstones(sids)
        return sids

    async def sessions_of(self, sub: str) -> tuple[Session, ...]:
        """See `SessionStore.sessions_of`."""
        return await self._store.sessions_of(sub)

    async def last_used(self, sids: Sequence[str]) -> dict[str, float]:
        """See `SessionStore.last_used`."""
        return await self._store.last_used(sids)

    def mark_ended(self, sid: str) -> None:
        """Treat a session as ended, which this or another replica has revoked."""
        self._add_tombstones((sid,))

    def close(self) -> None:
        """Discard all cached state and cancel pending reads."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._reader.close()
        self._entries.clear()
        self._tombstones.clear()

    def _add_tombstones(self, sids: Sequence[str]) -> None:
        until = self._clock() + self._tombstone_lifetime
        for sid in sids:
            self._drop(sid)
            self._tombstones[sid] = until
        self._schedule_sweep()

    def _drop(self, sid: str) -> _MirrorEntry | None:
        """Remove a session's entry; record its age at its last look-up."""
        entry = self._entries.pop(sid, None)
        if entry is not None and entry.last_lookup > entry.sent:
            self._ages.add(entry.last_lookup - entry.sent, self._clock())
        return entry

    def _current(self, sid: str) -> Snapshot | None:
        """Return the cached state with the store's present time in `now`, or None."""
        if sid in self._tombstones:
            return _ABSENT
        entry, now = self._entries.get(sid), self._clock()
        if entry is None or now >= entry.valid_until:
            return None
        self._ages.add(now - entry.sent, now)
        return _advanced(entry.snapshot, now - entry.sent)

    def _result(self, sid: str, batch: Batch | None) -> Snapshot | None:
        """Return the cached state, or that of a finished batch; None if it is too old."""
        cached = self._current(sid)
        if cached is not None or batch is None:
            return cached
        seen, now = snapshot_of(batch.outcomes[sid]), self._clock()
        age = now - batch.sent
        if age > self._max_age:
            return None
        self._ages.add(age, now)
        return _advanced(seen, age)

    def _learn(self, sid: str, seen: Snapshot, sent: float) -> None:
        """Cache a state that was read, unless a later state is cached."""
        entry = self._entries.get(sid)
        if seen.session is None:
            # An absent session stays absent unless a read that was sent after this reply finds it.
            self._put(sid, seen, sent, replaceable_from=self._clock(), last_lookup=sent)
        elif entry is None or sent >= entry.replaceable_from:
            self._put(sid, seen, sent, replaceable_from=sent, last_lookup=sent)

    def _learn_added(self, session: Session, record: str, sent: float) -> None:
        """Cache a session that this replica added, so that its first look-up reads nothing."""
        old, now = self._drop(session.sid), self._store.now(session.sid)
        # A state that was read since may be a later state.
        if now is not None and (old is None or old.sent < sent):
            added = Snapshot(session, now, record)
            self._put(session.sid, added, sent, replaceable_from=self._clock())

    def _learn_written(self, seen: Snapshot, new: Session, record: str, sent: float) -> None:
        """Cache a state that this replica wrote, unless a later state is cached."""
        entry, now = self._entries.get(new.sid), seen.now
        if entry is not None:
            if entry.replaceable_from > sent and entry.snapshot.version != seen.version:
                return
            now = max(now, entry.snapshot.now + sent - entry.sent)
        # A read that overlapped with the write may have returned the previous record.
        written = Snapshot(new, now, record)
        self._put(new.sid, written, sent, replaceable_from=self._clock())

    def _put(
        self,
        sid: str,
        seen: Snapshot,
        sent: float,
        *,
        replaceable_from: float,
        last_lookup: float = -math.inf,
    ) -> None:
        old, until = self._drop(sid), sent + min(self.max_staleness, _remaining_lifetime(seen))
        if sid in self._tombstones or until <= self._clock():
            return
        if old is not None and old.snapshot.version == seen.version:
            seen = old.snapshot.at(seen.now)
        if old is not None:
            last_lookup = max(last_lookup, old.last_lookup)
        due = sent + self.max_staleness * (_REREAD_AFTER + _REREAD_JITTER * self._jitter())
        if seen.session is not None and seen.session.sid == sid:
            sid = seen.session.sid  # share the string object to save memory
        self._entries[sid] = _MirrorEntry(
            seen, sent, replaceable_from, until, min(due, until), last_lookup
        )
        if len(self._entries) > self._capacity:
            self._make_room()
        if self._timer is None:
            self._schedule_sweep()

    def _make_room(self) -> None:
        # Several at once: each removal makes it slower to find the first entry of a dict.
        for sid in list(islice(self._entries, 1 + self._capacity // _EVICTED_PART)):
            self._drop(sid)

    def _schedule_sweep(self) -> None:
        if self._timer is None and (self._entries or self._tombstones):
            # With a constant interval, sessions that a sweep has read would stay synchronised.
            pause = _MAX_SWEEP_INTERVAL * (1 + self._jitter()) / 2
            self._timer = self._loop.call_later(pause * self._max_age, self._sweep)

    def _sweep(self) -> None:
        """Drop expired entries; read sessions again that were looked up since their last read."""
        self._timer, now = None, self._clock()
        for sid in [sid for sid, until in self._tombstones.items() if until <= now]:
            del self._tombstones[sid]
        for sid, entry in self._due(now):
            if entry.valid_until <= now or entry.last_lookup == -math.inf:
                self._drop(sid)
            elif not self._reader.is_reading(sid):
                self._reader.request(sid, now)
                self.rereads += 1
        self._schedule_sweep()

    def _due(self, now: float) -> list[tuple[str, _MirrorEntry]]:
        """Return the entries to drop, and those to read again: looked up since the last read.

        Recent entries are not visited. An entry that nobody has asked for is dropped when it would
        be read again.
        """
        read_before, due = now - _REREAD_AFTER * self.max_staleness, []
        for sid, entry in self._entries.items():
            # Entries are in the order of their reads: the others are due in a later sweep, even
            # those that are not valid any more because their session has ended.
            if entry.sent > read_before:
                break
            if entry.last_lookup > entry.sent:
                if entry.reread_at <= now:
                    due.append((sid, entry))
            elif entry.valid_until <= now or entry.last_lookup == -math.inf:
                due.append((sid, entry))
        return due


def _advanced(seen: Snapshot, elapsed: float) -> Snapshot:
    return seen.at(seen.now + elapsed)


def _remaining_lifetime(seen: Snapshot) -> float:
    """Return the seconds until the session's absolute end; infinite if absent or expired."""
    if seen.session is None or seen.session.expires_at <= seen.now:
        return math.inf
    return seen.session.expires_at - seen.now
