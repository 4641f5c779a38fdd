"""An event loop whose time is a number: a wait of seconds takes microseconds."""

import asyncio
import heapq
from collections import deque
from collections.abc import Callable, Coroutine
from contextvars import Context
from typing import Any, TypeVar, cast

T = TypeVar("T")
Callback = Callable[..., object]


class _Timer:
    __slots__ = ("args", "callback")

    def __init__(self, callback: Callback, args: tuple[Any, ...]) -> None:
        self.callback: Callback | None = callback
        self.args = args

    def cancel(self) -> None:
        self.callback = None


class VirtualLoop:
    """As much of an event loop as tasks, futures, events and timers need.

    It runs callbacks in the order of their time; `tie` orders those of the same time.
    """

    def __init__(self, tie: Callable[[], float] = lambda: 0.0) -> None:
        self.now = 0.0
        self.errors: list[dict[str, Any]] = []
        self._tie = tie
        self._count = 0
        self._ready: deque[tuple[Callback, tuple[Any, ...]]] = deque()
        self._timers: list[tuple[float, float, int, _Timer]] = []

    def __enter__(self) -> "VirtualLoop":
        asyncio._set_running_loop(self._itself())
        return self

    def __exit__(self, *_: object) -> None:
        asyncio._set_running_loop(None)

    def run(self, until: float) -> None:
        """Run all that is due up to this time, and return earlier if nothing is left."""
        self._run_ready()
        while self._timers and self._timers[0][0] <= until:
            self.now, _, _, timer = heapq.heappop(self._timers)
            if timer.callback is not None:
                timer.callback(*timer.args)
                self._run_ready()

    def idle(self) -> bool:
        """Return True if no callback is scheduled."""
        return not self._ready and not any(timer.callback for *_, timer in self._timers)

    async def pause(self, delay: float) -> None:
        """As asyncio.sleep, but cheaper."""
        over = self.create_future()
        self.call_later(delay, lambda: None if over.done() else over.set_result(None))
        await over

    def time(self) -> float:
        return self.now

    def create_future(self) -> "asyncio.Future[Any]":
        return asyncio.Future(loop=self._itself())

    def create_task(self, coroutine: Coroutine[Any, Any, T], **_: Any) -> "asyncio.Task[T]":
        return asyncio.Task(coroutine, loop=self._itself())

    def call_soon(self, callback: Callback, *args: Any, context: Context | None = None) -> None:
        self._ready.append((callback, args))

    def call_later(self, delay: float, callback: Callback, *args: Any) -> _Timer:
        return self.call_at(self.now + delay, callback, *args)

    def call_at(self, when: float, callback: Callback, *args: Any) -> _Timer:
        timer = _Timer(callback, args)
        self._count += 1
        heapq.heappush(self._timers, (when, self._tie(), self._count, timer))
        return timer

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        self.errors.append(context)

    def get_debug(self) -> bool:
        return False

    def _itself(self) -> asyncio.AbstractEventLoop:
        return cast(asyncio.AbstractEventLoop, self)

    def _run_ready(self) -> None:
        while self._ready:
            callback, args = self._ready.popleft()
            callback(*args)
