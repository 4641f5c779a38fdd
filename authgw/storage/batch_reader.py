"""Batches of reads: what is asked for at the same time goes to the store in one round trip."""

import asyncio
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from authgw.core.errors import StoreUnavailableError
from authgw.core.ports import BatchStore
from authgw.core.sessions import Snapshot

_BATCH = 256  # sids in one read
# Reads under way at once: more would only share the processor until all miss the deadline.
_READS = 4
_TURNS = 4  # deadlines of the store that one waits to begin; a store so far behind is away
# Seconds that a read waits for the one before it, so that more is asked at once: a read costs as
# much as the reading of four sessions. One that takes longer is waited for no more.
QUICK = 0.01
_UNTOLD = StoreUnavailableError("the read did not end")


@dataclass(slots=True, eq=False)
class Batch:
    """One read of many sessions; infinite `sent` means that it still takes sids."""

    outcomes: dict[str, Snapshot | StoreUnavailableError] = field(default_factory=dict)
    sent: float = math.inf
    _is_over: bool = False
    _waiting: list[asyncio.Future[None]] = field(default_factory=list)

    async def over(self) -> None:
        """Wait for its end; who stops waiting changes nothing for the others."""
        if not self._is_over:
            waiter = asyncio.get_running_loop().create_future()
            self._waiting.append(waiter)
            await waiter

    def end(self) -> None:
        """Wake all who wait."""
        self._is_over = True
        for waiter in self._waiting:
            if not waiter.done():
                waiter.set_result(None)


class BatchReader:
    """Reads sessions from a store, several in one batch and several batches at once.

    `deadline` is the longest that one operation of the store takes, in seconds; `clock` gives
    the times at which batches are sent. `learn` takes the sid, the snapshot and the time of
    sending of each session that was read. It lives in the event loop that runs when it is made.
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
        self._last: asyncio.Task[None] | None = None
        self._places = asyncio.Semaphore(_READS)
        self._tasks: set[asyncio.Task[None]] = set()

    def ask(self, sid: str, since: float) -> Batch:
        """A read of this session that is sent no earlier than `since`."""
        batch = self._reading.get(sid)
        if batch is None or batch.sent < since:
            batch = self._reading[sid] = self._collecting()
            batch.outcomes[sid] = _UNTOLD
        return batch

    def _collecting(self) -> Batch:
        batch = self._open
        if batch is None or len(batch.outcomes) >= _BATCH:
            batch = self._open = Batch()
            # It is sent in the loop's next turn with a place; what is asked until then goes along.
            # Askers wait for its event, not for it: none of them can cancel it.
            task = self._last = self._loop.create_task(self._read(batch, self._last))
            self._tasks.add(task)
            task.add_done_callback(partial(self._finish, batch))
        return batch

    async def _read(self, batch: Batch, before: "asyncio.Task[None] | None") -> None:
        if before is not None:
            await asyncio.wait((before,), timeout=QUICK)
        try:
            async with asyncio.timeout(_TURNS * self._deadline):
                await self._places.acquire()
        except TimeoutError:
            self._close(batch)
            # Whoever asks next asks anew; those who wait have waited for long enough.
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
                batch.outcomes = dict.fromkeys(sids, error)
        finally:
            self._places.release()

    def _close(self, batch: Batch) -> None:
        """Let no further session be read with it."""
        if self._open is batch:
            self._open = None

    def _finish(self, batch: Batch, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        if self._last is task:
            self._last = None
        try:
            for sid, outcome in batch.outcomes.items():
                if self._reading.get(sid) is batch:
                    del self._reading[sid]
                if isinstance(outcome, Snapshot):
                    self._learn(sid, outcome, batch.sent)
        finally:
            batch.end()

    def is_reading(self, sid: str) -> bool:
        """Return True until the read of this session has ended."""
        return sid in self._reading

    def close(self) -> None:
        """Stop reading."""
        for task in self._tasks:
            task.cancel()


def told(outcome: Snapshot | StoreUnavailableError) -> Snapshot:
    """Return the snapshot that a batch ended with.

    Raises:
        StoreUnavailableError: it ended without a reply for this session.
    """
    if isinstance(outcome, StoreUnavailableError):
        raise StoreUnavailableError(outcome.detail)
    return outcome
