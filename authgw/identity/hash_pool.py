"""Verifying passwords beside the event loop: a few at a time, few waiting, the rest refused."""

import asyncio
import contextlib
import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from authgw.core.errors import TooBusyError
from authgw.identity import passwords

_PLACES_PER_WORKER = 16
# A container sees every processor of its node, and each worker holds 19 MiB while it hashes.
_MOST_WORKERS = 8
_RETRY_AFTER = 1.0  # seconds
_NICENESS = 10  # Linux gives such a thread about a tenth of what the event loop's gets


@dataclass(frozen=True, slots=True)
class PasswordCheck:
    """Whether the password is right; `new_hash` is to be kept if parameters have changed."""

    ok: bool
    new_hash: str | None = field(default=None, repr=False)


class HashPool:
    """Worker threads for half of the processors, 8 at most, and 16 places for each of them."""

    def __init__(self) -> None:
        workers = min(_MOST_WORKERS, max(1, (os.cpu_count() or 1) // 2))
        self._places = workers * _PLACES_PER_WORKER
        self._taken = 0
        self._workers = ThreadPoolExecutor(workers, "hashing", initializer=_step_back)

    @property
    def places(self) -> int:
        """How many log-ins may verify or wait at once."""
        return self._places

    @property
    def waiting(self) -> int:
        """How many places are taken."""
        return self._taken

    @contextlib.contextmanager
    def reserve(self) -> Iterator[None]:
        """Hold a place; take it before anything that costs, and verify within it.

        Raises:
            TooBusyError: every place is taken; `retry_after` says when to come again.
        """
        if self._taken >= self._places:
            raise TooBusyError(_RETRY_AFTER)
        self._taken += 1
        try:
            yield
        finally:
            self._taken -= 1

    async def verify(
        self, password_hash: str, password: str, *, rehash: bool = True
    ) -> PasswordCheck:
        """Verify a password in a worker thread; call it within `reserve`.

        `rehash` makes a new hash where the parameters of this one are old. A caller that is
        cancelled while it waits costs nothing more.
        """
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._workers, _verified, password_hash, password, rehash)

    def close(self) -> None:
        """End the threads; what still waits is cancelled."""
        self._workers.shutdown(wait=False, cancel_futures=True)


def _verified(password_hash: str, password: str, rehash: bool) -> PasswordCheck:
    if not passwords.verify(password_hash, password):
        return PasswordCheck(False)
    if not rehash or not passwords.needs_rehash(password_hash):
        return PasswordCheck(True)
    return PasswordCheck(True, passwords.hash_password(password))


def _step_back() -> None:
    # Only on Linux does every thread have a niceness of its own, setpriority(2).
    if os.uname().sysname == "Linux":
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICENESS)
