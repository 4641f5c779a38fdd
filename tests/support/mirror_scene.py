"""A mirror before a store that is slow to reply, in virtual time."""

import asyncio
import random
from collections.abc import Callable, Coroutine, Sequence
from itertools import pairwise

from authgw.core.errors import StoreUnavailableError
from authgw.core.session_codec import dump
from authgw.core.sessions import Session, Snapshot
from authgw.storage.mirror import Mirror
from tests.support.builders import NOW, numbered
from tests.support.virtual import VirtualLoop

BOUND, DEADLINE = 1.0, 0.25


ONE, TWO = numbered(1), numbered(2)


class SlowStore:
    """Executes each command at once, and replies `delay` seconds later."""

    def __init__(self, loop: VirtualLoop) -> None:
        self.loop = loop
        self.sessions = {one.sid: one for one in (ONE, TWO)}
        self.calls: list[tuple[float, Sequence[str]]] = []
        self.written: list[str | None] = []  # the records that `add` and `replace` were given
        self.delay = 0.0
        self.down = False
        self.unreadable: set[str] = set()
        self.is_clock_known = True

    async def read_many(self, sids: Sequence[str]) -> Sequence[Snapshot | StoreUnavailableError]:
        self.calls.append((self.loop.now, sids))
        seen = [self.snapshot(sid) for sid in sids]
        await self.reply()
        return [
            StoreUnavailableError("bad") if sid in self.unreadable else one
            for sid, one in zip(sids, seen, strict=True)
        ]

    async def replace(
        self, seen: Snapshot, new: Session, record: str | None = None
    ) -> Snapshot | None:
        self.written.append(record)
        there = self.snapshot(new.sid)
        if there.version == seen.version:
            self.sessions[new.sid] = new
        await self.reply()
        return None if there.version == seen.version else there

    async def replace_many(
        self, changes: Sequence[tuple[Snapshot, Session]]
    ) -> list[Snapshot | StoreUnavailableError | None]:
        return [await self.replace(seen, new) for seen, new in changes]

    def record(self, session: Session) -> str:
        return dump(session)

    async def add(
        self, session: Session, max_sessions: int, record: str | None = None
    ) -> tuple[str, ...]:
        self.written.append(record)
        ended = tuple(self.sessions)[:1]
        self.sessions = {session.sid: session}
        await self.reply()
        return ended

    def now(self, sid: str) -> float | None:
        return NOW + self.loop.now if self.is_clock_known else None

    async def revoke(self, sid: str) -> bool:
        await self.reply()
        return self.sessions.pop(sid, None) is not None

    async def revoke_all(self, sub: str) -> tuple[str, ...]:
        sids = tuple(self.sessions)
        self.sessions.clear()
        await self.reply()
        return sids

    async def sessions_of(self, sub: str) -> tuple[Session, ...]:
        return tuple(self.sessions.values())

    async def last_used(self, sids: Sequence[str]) -> dict[str, float]:
        raise NotImplementedError

    async def read(self, sid: str) -> Snapshot:
        raise NotImplementedError

    async def reply(self) -> None:
        delay, down = self.delay, self.down
        if delay:
            await self.loop.pause(delay)
        if down:
            raise StoreUnavailableError

    def snapshot(self, sid: str) -> Snapshot:
        session = self.sessions.get(sid)
        return Snapshot(session, NOW + self.loop.now, dump(session) if session else "")


class MirrorScene:
    def __init__(self, loop: VirtualLoop) -> None:
        self.loop = loop
        self.store = SlowStore(loop)
        self.mirror = self.mirrored(BOUND)

    def mirrored(self, bound: float, capacity: int = 100) -> Mirror:
        self.mirror = Mirror(
            self.store,
            max_staleness=bound,
            deadline=DEADLINE,
            capacity=capacity,
            clock=self.loop.time,
            jitter=random.Random(bound).random,
        )
        return self.mirror

    async def at(self, when: float) -> None:
        await self.loop.pause(when - self.loop.now)

    def looking(self, sid: str) -> "asyncio.Task[Snapshot]":
        return self.loop.create_task(self.mirror.get(sid))

    async def ask_until(self, when: float, sid: str = ONE.sid) -> None:
        while self.loop.now < when:
            assert self.mirror.peek(sid) is not None
            await self.loop.pause(0.02)


def virtual(test: Callable[[MirrorScene], Coroutine[None, None, None]]) -> Callable[[], None]:
    def run() -> None:
        with VirtualLoop() as loop:
            task = loop.create_task(test(MirrorScene(loop)))
            loop.run(1000)
            assert loop.idle()
            assert not loop.errors
            task.result()

    run.__name__ = test.__name__
    return run


def gaps(store: SlowStore) -> list[float]:
    sent = [when for when, _ in store.calls]
    return [later - earlier for earlier, later in pairwise(sent)]
