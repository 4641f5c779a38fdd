"""A model of the mirror: random schedules of questions, deaths, writes, faults and pushes.

Time is virtual and every delay a multiple of 1/64 s, so that many things happen at once. After
each answer the model, which knows when each state was true in the store, says if it was allowed.
"""

import asyncio
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from math import inf

from authgw.core.errors import StoreUnavailableError
from authgw.core.session_codec import dump
from authgw.core.sessions import Session, Snapshot, new_sid
from authgw.storage.batch_reader import MAX_COALESCING_WAIT
from authgw.storage.mirror import Mirror
from tests.support.builders import NOW, a_session
from tests.support.virtual import VirtualLoop

GRID = 1 / 64  # seconds
DEADLINE = 16  # in GRIDs, as all whole numbers below
LENGTH = 128
SIDS = [new_sid("1", n.to_bytes(16)) for n in range(3)]


@cache
def record(number: int, gen: int, ends: int) -> tuple[Session, str]:
    session = replace(
        a_session(), sid=SIDS[number], gen=gen, confirmed=True, expires_at=NOW + ends * GRID
    )
    return session, dump(session)


@dataclass(slots=True)
class State:
    """The state of a session from `start` to `end`."""

    session: Session | None
    version: str
    start: float
    end: float = inf


@dataclass(slots=True)
class Read:
    sent: float
    replied: float = inf


@dataclass
class MirrorSchedule:
    """A schedule: the store as it was at every time, and the mirror that reads it."""

    rng: random.Random
    loop: VirtualLoop
    truth: dict[str, list[State]] = field(default_factory=dict)
    reads: dict[str, list[Read]] = field(default_factory=dict)
    asked: dict[str, list[float]] = field(default_factory=dict)
    dead_here: set[str] = field(default_factory=set)
    written_here: dict[str, int] = field(default_factory=dict)
    tasks: "list[asyncio.Task[None]]" = field(default_factory=list)
    answers: int = 0

    def __post_init__(self) -> None:
        rng = self.rng
        self.bound = rng.choice((0, 12, 64, 64, 64)) * GRID
        self.faults = rng.choice((0.0, 0.0, 0.3, 0.9))
        self.capacity = rng.choice((1, 2, 100, 100))
        self.slowest = rng.choice((2, DEADLINE - 1))
        # For how long a reply can be on its way past its bound.
        self.steady = self.bound > 2 * DEADLINE * GRID
        self.mirror = Mirror(
            self,
            max_staleness=self.bound,
            deadline=DEADLINE * GRID,
            capacity=self.capacity,
            clock=self.loop.time,
            jitter=rng.random,
        )
        self.ends = rng.choice((10**6, 10**6, 100))
        for number, sid in enumerate(SIDS):
            session, text = record(number, 0, self.ends)
            self.truth[sid] = [State(session, text, 0.0)]
            self.reads[sid], self.asked[sid] = [], []
        # The last session may be opened later.
        self.to_add = rng.random() < 0.4
        if self.to_add:
            self.truth[SIDS[-1]] = [State(None, "", 0.0)]

    # The store.

    def write(self, sid: str, session: Session | None, version: str = "") -> None:
        last = self.truth[sid][-1]
        last.end = self.loop.now
        self.truth[sid].append(State(session, version, self.loop.now))

    def snapshot(self, sid: str) -> Snapshot:
        state = self.truth[sid][-1]
        return Snapshot(state.session, NOW + self.loop.now, state.version)

    def is_opened(self, sid: str) -> bool:
        """True once there was such a session: before that no call can name it."""
        return any(state.session is not None for state in self.truth[sid])

    async def call(self, effect: Callable[[], None]) -> None:
        """Take some time, do it meanwhile, and perhaps fail before or after it."""
        rng, whole = self.rng, self.rng.randint(0, self.slowest)
        lost = rng.random() < self.faults
        if not lost or rng.random() < 0.5:
            self.loop.call_later(rng.randint(0, whole) * GRID, effect)
        await self.loop.pause((DEADLINE if lost else whole) * GRID + GRID / 1024)
        if lost:
            raise StoreUnavailableError

    async def read_many(self, sids: Sequence[str]) -> Sequence[Snapshot | StoreUnavailableError]:
        assert len(set(sids)) == len(sids)
        seen: list[Snapshot] = []
        reads = {sid: Read(self.loop.now) for sid in sids}
        for sid, read in reads.items():
            self.check_read(sid, read)
        await self.call(lambda: seen.extend(self.snapshot(sid) for sid in sids))
        results: list[Snapshot | StoreUnavailableError] = []
        for read, snapshot in zip(reads.values(), seen, strict=True):
            # A single record may be unreadable, and is then read again at every sweep.
            if self.rng.random() < self.faults / 10:
                results.append(StoreUnavailableError())
            else:
                read.replied = self.loop.now
                results.append(snapshot)
        return results

    async def replace(
        self, seen: Snapshot, new: Session, record: str | None = None
    ) -> Snapshot | None:
        result: list[Snapshot | None] = []

        def effect() -> None:
            if self.truth[new.sid][-1].version == seen.version:
                self.write(new.sid, new, dump(new))
                result.append(None)
            else:
                result.append(self.snapshot(new.sid))

        await self.call(effect)
        return result[0]

    async def replace_many(
        self, changes: Sequence[tuple[Snapshot, Session]]
    ) -> list[Snapshot | StoreUnavailableError | None]:
        return [await self.replace(seen, new) for seen, new in changes]

    async def revoke(self, sid: str) -> bool:
        alive = self.truth[sid][-1].session is not None
        await self.call(lambda: self.die(sid))
        return alive

    async def revoke_all(self, sub: str) -> tuple[str, ...]:
        ended: list[str] = []

        def effect() -> None:
            ended.extend(filter(self.is_opened, SIDS))
            for sid in ended:
                self.die(sid)

        await self.call(effect)
        return tuple(ended)

    def record(self, session: Session) -> str:
        return dump(session)

    async def add(
        self, session: Session, max_sessions: int, record: str | None = None
    ) -> tuple[str, ...]:
        ended = (SIDS[0],) if self.rng.random() < 0.3 else ()

        def effect() -> None:
            self.write(session.sid, session, dump(session))
            for sid in ended:
                self.die(sid)

        await self.call(effect)
        return ended

    def now(self, sid: str) -> float | None:
        return NOW + self.loop.now if self.rng.random() < 0.8 else None

    async def read(self, sid: str) -> Snapshot:
        raise NotImplementedError

    async def sessions_of(self, sub: str) -> tuple[Session, ...]:
        raise NotImplementedError

    async def last_used(self, sids: Sequence[str]) -> dict[str, float]:
        raise NotImplementedError

    def die(self, sid: str) -> None:
        """End a session in the store; its push is late, comes twice, or never."""
        self.write(sid, None)
        for _ in range(self.rng.choice((0, 1, 1, 2))):
            self.loop.call_later(self.rng.randint(0, 100) * GRID, self.pushed, sid)

    def pushed(self, sid: str) -> None:
        self.mirror.mark_ended(sid)
        self.dead_here.add(sid)

    # Events.

    def ask(self, number: int) -> None:
        self.tasks.append(self.loop.create_task(self.asking(SIDS[number])))

    async def asking(self, sid: str) -> None:
        arrival, written = self.loop.now, self.written_here.get(sid, 0)
        self.asked[sid].append(arrival)
        seen = self.mirror.peek(sid)
        if seen is not None:
            self.check(sid, seen, arrival, written)
        if seen is None or self.rng.random() < 0.2:
            try:
                seen = await self.mirror.get(sid)
            except StoreUnavailableError:
                # Answers that take longer than the bound are no good, however late it is.
                assert self.faults or 0 < self.bound <= DEADLINE * GRID
                return
            self.check(sid, seen, arrival, written)

    def hurry(self, number: int) -> None:
        """A client that does not wait."""
        task = self.loop.create_task(self.asking(SIDS[number]))
        self.loop.call_later(self.rng.randint(0, DEADLINE) * GRID, task.cancel)

    def rotate(self, number: int) -> None:
        self.tasks.append(self.loop.create_task(self.rotating(number)))

    async def rotating(self, number: int) -> None:
        sid = SIDS[number]
        self.asked[sid].append(self.loop.now)
        try:
            seen = await self.mirror.get(sid)
            if seen.session is None:
                return
            new, _ = record(number, seen.session.gen + 1, self.ends)
            if await self.mirror.replace(seen, new) is None:
                self.written_here[sid] = max(new.gen, self.written_here.get(sid, 0))
        except StoreUnavailableError:
            return

    def add_here(self, number: int) -> None:
        if self.to_add and SIDS[number] == SIDS[-1]:
            self.to_add, self.written_here[SIDS[number]] = False, 0
            self.tasks.append(self.loop.create_task(self.adding()))

    async def adding(self) -> None:
        session, _ = record(len(SIDS) - 1, 0, self.ends)
        try:
            self.dead_here.update(await self.mirror.add(session, 1))
        except StoreUnavailableError:
            return

    def rotate_elsewhere(self, number: int) -> None:
        session = self.truth[SIDS[number]][-1].session
        if session is not None:
            self.write(SIDS[number], *record(number, session.gen + 1, self.ends))

    def revoke_here(self, number: int) -> None:
        if self.is_opened(SIDS[number]):
            self.tasks.append(self.loop.create_task(self.revoking(number)))

    async def revoking(self, number: int) -> None:
        try:
            if self.rng.random() < 0.8:
                await self.mirror.revoke(SIDS[number])
                self.dead_here.add(SIDS[number])
            else:
                self.dead_here.update(await self.mirror.revoke_all("1"))
        except StoreUnavailableError:
            return

    def revoke_elsewhere(self, number: int) -> None:
        if self.is_opened(SIDS[number]):
            self.die(SIDS[number])

    # Invariants.

    def check(self, sid: str, seen: Snapshot, arrival: float, written: int) -> None:
        self.answers += 1
        now = self.loop.now
        since = now - self.bound if self.bound else arrival
        same = [state for state in self.truth[sid] if state.version == seen.version]
        assert any(state.end >= since for state in same), "older than the bound"
        if seen.session is None or seen.now >= seen.session.expires_at:
            return
        assert sid not in self.dead_here, "accepted after its push"
        # A microsecond: Unix times as floats are no finer.
        assert NOW + now < seen.session.expires_at + 1e-6, "accepted after its end"
        if self.steady and self.capacity > len(SIDS):
            assert seen.session.gen >= written, "this replica wrote a later record"

    def check_read(self, sid: str, read: Read) -> None:
        """A session is read because someone asked for it; and no more often than needed."""
        reads, longest = self.reads[sid], max(self.bound, DEADLINE * GRID)
        assert read.sent - self.asked[sid][-1] <= longest + MAX_COALESCING_WAIT + GRID / 512, (
            "read for nobody"
        )
        reads.append(read)
        unasked = [r for r in reads if r.sent > self.asked[sid][-1] and r.replied < inf]
        assert len(unasked) <= 2, "kept alive by re-reading"
        if not (self.steady and self.capacity > len(SIDS)) or sid in self.written_here:
            return
        for old in reads[-2:-1]:
            assert self.faults or old.replied < inf, "two reads at once"
            endless = all(s.session is None or s.session.gen == 0 for s in self.truth[sid])
            if old.replied < inf and self.ends == 10**6 and endless and not self.faults:
                assert read.sent - old.sent >= self.bound / 2, "read again too soon"

    def check_memory(self) -> None:
        assert len(self.mirror._entries) <= self.capacity
        assert len(self.mirror._tombstones) <= len(SIDS)

    def run(self) -> int:
        loop, rng = self.loop, self.rng
        events = [self.ask] * 9 + [self.hurry] * 2 + [self.rotate, self.rotate_elsewhere]
        if self.to_add:
            events += [self.add_here] * 2
        if rng.random() < 0.8:
            events += [self.revoke_here, self.revoke_elsewhere]
        if rng.random() < 0.3:
            events = [self.ask] * 5 + [self.revoke_elsewhere]
        for _ in range(rng.randint(6, 14)):
            happens, number = rng.choice(events), min(rng.randint(0, 3), 2)
            loop.call_at(rng.randint(0, LENGTH) * GRID, happens, number)
        loop.run(LENGTH * GRID)
        self.check_memory()
        # All comes to rest by itself, or something is read for ever.
        loop.run(LENGTH * GRID + 4 * (self.bound + DEADLINE * GRID) + 100 * GRID)
        assert loop.idle()
        assert not loop.errors, loop.errors
        for task in self.tasks:
            task.result()
        mirror = self.mirror
        assert not [
            *mirror._entries,
            *mirror._tombstones,
            *mirror._reader._reading,
            *mirror._reader._tasks,
        ]
        return self.answers


def run_schedules(seed: int, count: int) -> int:
    """Run so many schedules of this seed; how many answers were held against the model.

    Raises:
        AssertionError: an answer was wrong; a note names the schedule.
    """
    answers = 0
    for number in range(count):
        rng = random.Random(f"{seed}.{number}")
        try:
            with VirtualLoop(rng.random) as loop:
                answers += MirrorSchedule(rng, loop).run()
        except Exception as error:
            error.add_note(f"schedule {seed}.{number}")
            raise
    return answers
