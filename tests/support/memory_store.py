"""The plainest MirroringStore, for tests of the layers above it: it caches nothing.

It yields like the store of a server.
"""

import asyncio
from collections.abc import Sequence

from authgw.core.errors import StoreUnavailableError
from authgw.core.session_codec import dump, load
from authgw.core.sessions import Session, Snapshot


class MemoryStore:
    """Sessions in a dict; `down` makes every call fail, `lose_reply` fails after the write."""

    def __init__(self) -> None:
        self.max_staleness = 0.0
        self.records: dict[str, str] = {}
        self.used: dict[str, float] = {}
        self.now = 0.0
        self.down = False
        self.lose_reply = False

    async def add(self, session: Session, max_sessions: int) -> tuple[str, ...]:
        await self._turn()
        ended = [old.sid for old in self._of(session.sub)][: -max_sessions + 1 or None]
        for sid in ended:
            del self.records[sid]
        self.records[session.sid] = dump(session)
        self.used[session.sid] = self.now
        return tuple(ended)

    async def read(self, sid: str) -> Snapshot:
        await self._turn()
        self.used[sid] = self.now
        return self.snapshot(sid)

    def peek(self, sid: str) -> Snapshot | None:
        return None

    def peek_current(self, sid: str) -> Snapshot | None:
        return self.peek(sid)

    async def get(self, sid: str) -> Snapshot:
        return await self.read(sid)

    async def get_many(self, sids: Sequence[str]) -> dict[str, Snapshot]:
        return {sid: await self.read(sid) for sid in sids}

    async def replace(self, seen: Snapshot, new: Session) -> Snapshot | None:
        await self._turn()
        if self.records.get(new.sid) != seen.version:
            return self.snapshot(new.sid)
        self.records[new.sid] = dump(new)
        self.used[new.sid] = self.now
        if self.lose_reply:
            self.lose_reply = False
            raise StoreUnavailableError
        return None

    async def replace_many(self, changes: Sequence[tuple[Snapshot, Session]]) -> None:
        for seen, new in changes:
            await self.replace(seen, new)

    async def revoke(self, sid: str) -> bool:
        await self._turn()
        return self.records.pop(sid, None) is not None

    async def revoke_all(self, sub: str) -> tuple[str, ...]:
        await self._turn()
        ended = tuple(session.sid for session in self._of(sub))
        for sid in ended:
            del self.records[sid]
        return ended

    async def sessions_of(self, sub: str) -> tuple[Session, ...]:
        await self._turn()
        return tuple(self._of(sub))

    async def last_used(self, sids: Sequence[str]) -> dict[str, float]:
        await self._turn()
        return {sid: self.used.get(sid, 0.0) for sid in sids if sid in self.records}

    async def _turn(self) -> None:
        await asyncio.sleep(0)
        if self.down:
            raise StoreUnavailableError

    def _of(self, sub: str) -> list[Session]:
        return [session for session in map(load, self.records.values()) if session.sub == sub]

    def snapshot(self, sid: str) -> Snapshot:
        text = self.records.get(sid)
        return Snapshot(load(text) if text else None, self.now, text or "")
