"""Background writes that mark a token generation as in use, after the response was sent."""

import asyncio
from contextlib import suppress

from authgw.core.errors import StoreUnavailableError
from authgw.core.ports import MirroringStore
from authgw.core.sessions import Session, Snapshot

_MAX_BATCH = 128  # sessions per round trip


class Confirmations:
    """Pending writes for a store; no response waits for them."""

    def __init__(self, store: MirroringStore) -> None:
        self._store = store
        self._pending: dict[str, tuple[Snapshot, Session]] = {}
        self._writing: asyncio.Task[None] | None = None

    def schedule(self, snapshot: Snapshot, confirmed: Session) -> None:
        """Replace the session of this snapshot soon; a session has a single pending write."""
        if confirmed.sid in self._pending:
            return
        self._pending[confirmed.sid] = (snapshot, confirmed)
        if self._writing is None or self._writing.done():
            self._writing = asyncio.create_task(self._write())

    async def settle(self) -> None:
        """Wait until no write is pending."""
        if self._writing is not None:
            await self._writing

    async def _write(self) -> None:
        while self._pending:
            sids = list(self._pending)[:_MAX_BATCH]
            # A failed write never denies a request: the next use of the token retries it.
            try:
                with suppress(StoreUnavailableError):
                    await self._store.replace_many([self._pending[sid] for sid in sids])
            finally:
                for sid in sids:
                    del self._pending[sid]
