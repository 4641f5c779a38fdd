"""Batched reads: sessions that are requested at the same time share a round trip to the store."""

import asyncio
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from authgw.core.errors import StoreUnavailableError
from authgw.core.ports import BatchStore
from authgw.core.sessions import Snapshot

_MAX_BATCH_SIZE = 256  # sids
# More reads at once would only share the processor until all of them miss the deadline.
_MAX_CONCURRENT_READS = 4
# How long a read waits to start, in deadlines of the store: beyond it the store is overloaded.
_MAX_WAIT_IN_DEADLINES = 4
# Seconds that a read waits for the previous read, so that more sessions share it: the overhead of a
# read equals the cost of four sessions. A read that takes longer does not delay the next any more.
MAX_COALESCING_WAIT = 0.01
_UNFINISHED = StoreUnavailableError("the read did not end")


@dataclass(slots=True, eq=False)
class Batch:
    """One read of many sessions; while `sent` is infinite, sids can be added."""

    loop: asyncio.AbstractEventLoop
    outcomes: dict[str, Snapshot | StoreUnavailableError] = field(default_factory=dict)
    sent: float = math.inf
    _is_finished: bool = False
    _waiters: list[asyncio.Future[None]] = field(default_factory=list)

    async def wait(self) -> None:
        """Wait until the batch has finished; a cancelled waiter does not affect the others."""
        if not self._is_finished:
            await self._new_waiter()

    async def wait_at_most(self, seconds: float) -> None:
        """Wait until the batch has finished, or for so long."""
        if self._is_finished:
            return
        waiter = self._new_waiter()
        timer = self.loop.call_later(seconds, _wake, waiter)
        try:
            await waiter
        finally:
            timer.cancel()

    def finish(self) -> None:
        """Wake all waiters."""
        self._is_finished = True
        for waiter in self._waiters:
            _wake(waiter)

    def _new_waiter(self) -> asyncio.Future[None]:
        waiter: asyncio.Future[None] = self.loop.create_future()
        self._waiters.append(waiter)
        return waiter


def _wake(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)


class BatchReader:
    """Reads sessions from a store in batches, several of them concurrently.

    `deadline` is the maximum duration of a store operation in seconds; `clock` gives the times at
    which batches are sent. `learn` is called with the sid, the snapshot and the time of sending of
    each session that was read. The reader belongs to the event loop in which it is created.
    """

    def __init__(
        self,
        store: BatchStore,
        *,
        deadline: float,
        clock: Callable[[], float],
        learn: Callable[[str, Snapshot, float], None],
    ) -> None:
        self._store = store
        self._deadline = deadline
        self._clock = clock
        self._learn = learn
        self._loop = asyncio.get_running_loop()
        self._reading: dict[str, Batch] = {}
        self._open: Batch | None = None
        self._last: Batch | None = None  # while it has not finished
        self._semaphore = asyncio.Semaphore(_MAX_CONCURRENT_READS)
        self._tasks: set[asyncio.Task[None]] = set()

    def request(self, sid: str, since: float) -> Batch:
        """Return a batch that reads this session and is sent no earlier than `since`."""
        batch = self._reading.get(sid)
        if batch is None or batch.sent < since:
            batch = self._reading[sid] = self._open_batch()
            batch.outcomes[sid] = _UNFINISHED
        return batch

    def _open_batch(self) -> Batch:
        batch = self._open
        if batch is None or len(batch.outcomes) >= _MAX_BATCH_SIZE:
            previous, batch = self._last, Batch(self._loop)
            self._open = self._last = batch
            # The task sends the batch in the loop's next turn once the semaphore admits it; until
            # then sids can be added. Callers wait for the batch, not for the task, so that their
            # cancellation does not cancel it.
            task = self._loop.create_task(self._read(batch, previous))
            self._tasks.add(task)
            task.add_done_callback(partial(self._finish, batch))
        return batch

    async def _read(self, batch: Batch, previous: Batch | None) -> None:
        if previous is not None:
            await previous.wait_at_most(MAX_COALESCING_WAIT)
        try:
            await self._admit()
        except TimeoutError:
            self._close(batch)
            # Later requests start a new batch; those of this batch have waited long enough.
            batch.outcomes = dict.fromkeys(
                batch.outcomes, StoreUnavailableError("the store is behind")
            )
            return
        try:
            self._close(batch)
            sids = list(batch.outcomes)
            batch.sent = self._clock()
            try:
                batch.outcomes = dict(zip(sids, await self._store.read_many(sids), strict=True))
            except StoreUnavailableError as error:
                # The frame of this method keeps the batch, which keeps the error.
                batch.outcomes = dict.fromkeys(sids, error.without_frames())
        finally:
            self._semaphore.release()

    async def _admit(self) -> None:
        """Wait until fewer than _MAX_CONCURRENT_READS are under way.

        Raises:
            TimeoutError: they have been for _MAX_WAIT_IN_DEADLINES.
        """
        if not self._semaphore.locked():
            # It does not wait, so it needs no timer.
            await self._semaphore.acquire()
            return
        async with asyncio.timeout(_MAX_WAIT_IN_DEADLINES * self._deadline):
            await self._semaphore.acquire()

    def _close(self, batch: Batch) -> None:
        """Add no further sids to this batch."""
        if self._open is batch:
            self._open = None

    def _finish(self, batch: Batch, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        if self._last is batch:
            self._last = None
        try:
            for sid, outcome in batch.outcomes.items():
                if self._reading.get(sid) is batch:
                    del self._reading[sid]
                if isinstance(outcome, Snapshot):
                    self._learn(sid, outcome, batch.sent)
        finally:
            batch.finish()

    def is_reading(self, sid: str) -> bool:
        """Return True while a read of this session is pending."""
        return sid in self._reading

    def close(self) -> None:
        """Cancel all reads; their callers get a StoreUnavailableError."""
        for task in self._tasks:
            task.cancel()


def snapshot_of(outcome: Snapshot | StoreUnavailableError) -> Snapshot:
    """Return the snapshot of a batch's outcome for a session.

    Raises:
        StoreUnavailableError: the batch has no reply for this session.
    """
    if isinstance(outcome, StoreUnavailableError):
        raise StoreUnavailableError(outcome.detail)
    return outcome
