"""That a generation of tokens is in use, written to the store behind the answers that show it."""

import asyncio
from contextlib import suppress

from authgw.core.errors import StoreUnavailableError
from authgw.core.ports import MirroringStore
from authgw.core.sessions import Session, Snapshot

_MOST_AT_ONCE = 128  # in one round trip


class Confirmations:
    """What waits to be written to one store; no answer waits for it."""

    def __init__(self, store: MirroringStore) -> None:
        self._store = store
        self._waiting: dict[str, tuple[Snapshot, Session]] = {}
        self._writing: asyncio.Task[None] | None = None

    def later(self, seen: Snapshot, confirmed: Session) -> None:
        """Write this in the place of what was seen, soon; once for a session at a time."""
        if confirmed.sid in self._waiting:
            return
        self._waiting[confirmed.sid] = (seen, confirmed)
        if self._writing is None or self._writing.done():
            self._writing = asyncio.create_task(self._write())

    async def settle(self) -> None:
        """Wait until nothing waits."""
        if self._writing is not None:
            await self._writing

    async def _write(self) -> None:
        while self._waiting:
            sids = list(self._waiting)[:_MOST_AT_ONCE]
            # Never a reason to deny: what fails here is tried again at the token's next use.
            try:
                with suppress(StoreUnavailableError):
                    await self._store.replace_many([self._waiting[sid] for sid in sids])
            finally:
                for sid in sids:
                    del self._waiting[sid]
