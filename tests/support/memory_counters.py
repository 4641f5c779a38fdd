"""Counters in memory with a clock that a test sets; they yield like those of a server."""

import asyncio
from collections.abc import Sequence

from authgw.core.errors import StoreUnavailableError


class MemoryCounters:
    """Counters in a dict; `down` makes every call fail, `trips` counts them."""

    def __init__(self) -> None:
        self.kept: dict[str, tuple[int, float]] = {}
        self.claims: dict[str, float] = {}
        self.now = 0.0
        self.down = False
        self.trips = 0

    async def increment(self, name: str, window: float) -> tuple[int, float]:
        return (await self.increment_all([(name, window)]))[0]

    async def increment_all(self, counted: Sequence[tuple[str, float]]) -> list[tuple[int, float]]:
        await self._turn()
        return [self._increment(name, window) for name, window in counted]

    async def release(self, forget: Sequence[str], give_back: Sequence[str]) -> None:
        await self._turn()
        for name in forget:
            self.kept.pop(name, None)
        for name in give_back:
            count, ends = self.kept.pop(name, (0, 0.0))
            if count > 1:
                self.kept[name] = (count - 1, ends)

    async def claim(self, name: str, seconds: float) -> bool:
        await self._turn()
        first = self.claims.get(name, self.now) <= self.now
        if first:
            self.claims[name] = self.now + seconds
        return first

    def _increment(self, name: str, window: float) -> tuple[int, float]:
        count, ends = self.kept.get(name, (0, 0.0))
        if ends <= self.now:
            count, ends = 0, self.now + window
        self.kept[name] = (count + 1, ends)
        return count + 1, ends - self.now

    async def _turn(self) -> None:
        self.trips += 1
        await asyncio.sleep(0)
        if self.down:
            raise StoreUnavailableError
