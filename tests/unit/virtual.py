"""An event loop whose time is a number: what would take seconds takes microseconds."""

import asyncio
import heapq
from collections import deque
from collections.abc import Callable, Coroutine
from contextvars import Context
from typing import Any


class _Timer(asyncio.TimerHandle):
    """Only what is used of one: nothing of the base is set up."""

    __slots__ = ("args", "callback")

    def __init__(self, callback: Callable[..., object], args: tuple[Any, ...]) -> None:
        self.callback: Callable[..., object] | None = callback
        self.args = args

    def cancel(self) -> None:
        self.callback = None

    def __del__(self) -> None:
        """The base looks at what was never set up."""


class VirtualLoop(asyncio.AbstractEventLoop):
    """Runs callbacks in the order of their time; `tie` orders those of the same time."""

    def __init__(self, tie: Callable[[], float] = lambda: 0.0) -> None:
        self.now = 0.0
        self.errors: list[dict[str, Any]] = []
        self._tie = tie
        self._count = 0
        self._ready: deque[tuple[Callable[..., object], tuple[Any, ...]]] = deque()
        self._timers: list[tuple[float, float, int, _Timer]] = []

    def run(self, until: float) -> None:
        """Run all that is due up to this time, and return earlier if nothing is left."""
        asyncio._set_running_loop(self)
        try:
            self._run_ready()
            while self._timers and self._timers[0][0] <= until:
                self.now, _, _, timer = heapq.heappop(self._timers)
                if timer.callback is not None:
                    timer.callback(*timer.args)
                    self._run_ready()
        finally:
            asyncio._set_running_loop(None)

    def idle(self) -> bool:
        """Whether nothing is left to run."""
        return not self._ready and not any(timer.callback for *_, timer in self._timers)

    def _run_ready(self) -> None:
        while self._ready:
            callback, args = self._ready.popleft()
            callback(*args)

    def time(self) -> float:
        return self.now

    def get_debug(self) -> bool:
        return False

    def is_running(self) -> bool:
        return True

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        self.errors.append(context)

    def create_future(self) -> "asyncio.Future[Any]":
        return asyncio.Future(loop=self)

    def create_task(  # type: ignore[override]
        self, coroutine: Coroutine[Any, Any, Any], **_: Any
    ) -> "asyncio.Task[Any]":
        return asyncio.Task(coroutine, loop=self)

    def call_soon(  # type: ignore[override]
        self, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> None:
        self._ready.append((callback, args))

    def call_later(
        self,
        delay: float,
        callback: Callable[..., object],
        *args: Any,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        return self.call_at(self.now + delay, callback, *args)

    def call_at(
        self,
        when: float,
        callback: Callable[..., object],
        *args: Any,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        timer = _Timer(callback, args)
        self._count += 1
        heapq.heappush(self._timers, (when, self._tie(), self._count, timer))
        return timer
