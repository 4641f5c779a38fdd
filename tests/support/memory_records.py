"""Records in a dict, for tests of the use cases; `down` makes calls fail.

`now` is the time unless a clock is passed.
"""

import asyncio
from collections.abc import Callable

from authgw.core.errors import StoreUnavailableError
from authgw.core.limits import MAX_RECORD_MEMBERS


class MemoryRecords:
    """The plainest implementation of `Records`; it yields like the store of a server."""

    def __init__(self, clock: Callable[[], float] | None = None) -> None:
        self.texts: dict[str, tuple[str, float]] = {}
        self.sets: dict[str, tuple[tuple[str, ...], float]] = {}
        self.now = 0.0
        self._clock = clock or (lambda: self.now)
        self.down = False

    async def put(self, name: str, text: str, seconds: float) -> None:
        await self._turn()
        self.texts[name] = (text, self._clock() + seconds)

    async def get(self, name: str) -> str | None:
        await self._turn()
        text, end = self.texts.get(name, (None, 0.0))
        return text if end > self._clock() else None

    async def take(self, name: str) -> str | None:
        await self._turn()
        text, end = self.texts.pop(name, (None, 0.0))
        return text if end > self._clock() else None

    async def add_member(self, name: str, member: str, seconds: float) -> None:
        await self._turn()
        before, end = self.sets.get(name, ((), 0.0))
        kept = [old for old in before if old != member and end > self._clock()]
        new = (*kept, member)[-MAX_RECORD_MEMBERS:]
        self.sets[name] = (new, max(end, self._clock() + seconds))

    async def members(self, name: str) -> tuple[str, ...]:
        await self._turn()
        found, end = self.sets.get(name, ((), 0.0))
        return found if end > self._clock() else ()

    async def _turn(self) -> None:
        await asyncio.sleep(0)
        if self.down:
            raise StoreUnavailableError
