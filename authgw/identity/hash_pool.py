"""Password verification in worker threads, with a bounded queue; further logins are refused."""

import asyncio
import contextlib
import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from authgw.core.errors import TooBusyError
from authgw.core.limits import HASH_RETRY_AFTER, HASH_SLOTS_PER_WORKER, MAX_HASH_WORKERS
from authgw.core.measurements import Measurement, gauge
from authgw.identity import passwords

_NICENESS = 10  # Linux gives such a thread about a tenth of the event loop's processor time


@dataclass(frozen=True, slots=True)
class PasswordCheck:
    """The result of a verification; `new_hash` replaces a hash that has old parameters."""

    ok: bool
    new_hash: str | None = field(default=None, repr=False)


class HashPool:
    """Worker threads for half of the processors, at most 8, with 16 slots for each thread."""

    def __init__(self) -> None:
        workers = min(MAX_HASH_WORKERS, max(1, (os.cpu_count() or 1) // 2))
        self._capacity = workers * HASH_SLOTS_PER_WORKER
        self._in_use = 0
        self._workers = ThreadPoolExecutor(workers, "hashing", initializer=_lower_priority)

    @property
    def capacity(self) -> int:
        """The number of logins that may verify or wait at once."""
        return self._capacity

    @property
    def in_use(self) -> int:
        """The number of slots in use."""
        return self._in_use

    def collect(self) -> Iterator[Measurement]:
        """See `MeasuredPart.collect`."""
        yield gauge(
            "authgw_hashing_queue", "Logins whose password is verified or waits for it", self.in_use
        )
        yield gauge("authgw_hashing_places", "Maximum of authgw_hashing_queue", self.capacity)

    @contextlib.contextmanager
    def reserve(self) -> Iterator[None]:
        """Hold a slot; enter this before any expensive work, and call `verify` inside.

        Raises:
            TooBusyError: Every slot is in use; `retry_after` is the suggested delay in seconds.
        """
        if self._in_use >= self._capacity:
            raise TooBusyError(HASH_RETRY_AFTER)
        self._in_use += 1
        try:
            yield
        finally:
            self._in_use -= 1

    async def verify(
        self, password_hash: str, password: str, *, rehash: bool = True
    ) -> PasswordCheck:
        """Verify a password in a worker thread; call this inside `reserve`.

        With `rehash`, a hash with old parameters is computed again. If the caller is cancelled
        while it waits in the queue, no hash is computed.
        """
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._workers, _verify, password_hash, password, rehash)

    def close(self) -> None:
        """Stop the threads and cancel queued verifications."""
        self._workers.shutdown(wait=False, cancel_futures=True)


def _verify(password_hash: str, password: str, rehash: bool) -> PasswordCheck:
    if not passwords.verify(password_hash, password):
        return PasswordCheck(False)
    if not rehash or not passwords.needs_rehash(password_hash):
        return PasswordCheck(True)
    return PasswordCheck(True, passwords.hash_password(password))


def _lower_priority() -> None:
    # Only Linux has a niceness for each thread, see setpriority(2).
    if os.uname().sysname == "Linux":
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICENESS)
