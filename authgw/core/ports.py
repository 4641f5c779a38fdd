"""The stores that the use cases and the mirror need, as protocols.

Committing a transition of `core.sessions` atomically is the work of a store.
"""

from collections.abc import Sequence
from typing import Protocol

from authgw.core.errors import StoreUnavailableError
from authgw.core.sessions import Session, Snapshot


class SessionStore(Protocol):
    """Where sessions live. Every method raises StoreUnavailableError when the outcome is unknown.

    A session that was idle for the store's `idle` seconds is gone as if it had been ended.
    """

    async def add(self, session: Session, max_sessions: int) -> tuple[str, ...]:
        """Keep a new session; end its subject's oldest over `max_sessions`; return their sids."""

    async def read(self, sid: str) -> Snapshot:
        """Return the session, or None in it, and count this as use of it."""

    async def replace(self, seen: Snapshot, new: Session) -> Snapshot | None:
        """Compare-and-set: None if `new` took the place of what was seen, else what is there."""

    async def revoke(self, sid: str) -> bool:
        """End one session; say whether it was alive. Returns once the store has it."""

    async def revoke_all(self, sub: str) -> tuple[str, ...]:
        """End every session of a subject; return their sids."""

    async def sessions_of(self, sub: str) -> tuple[Session, ...]:
        """The live sessions of a subject, oldest first."""

    async def last_used(self, sids: Sequence[str]) -> dict[str, float]:
        """When each live one of these was last used, in Unix seconds of the store's clock.

        A use that followed another one within 1 % of `idle` may not show. Asking is no use.
        """


class MirroringStore(SessionStore, Protocol):
    """A SessionStore that remembers for a while what it was told."""

    async def replace_many(self, changes: Sequence[tuple[Snapshot, Session]]) -> None:
        """What `replace` does for each of these; which ones lost does not matter."""

    def peek(self, sid: str) -> Snapshot | None:
        """What is remembered of a session and young enough; the same object while it is true."""

    async def look(self, sid: str) -> Snapshot:
        """What is remembered, or else read; this counts as use of the session."""

    async def look_all(self, sids: Sequence[str]) -> dict[str, Snapshot]:
        """What `look` returns for each; all of it is young enough when it is returned."""


class BatchStore(SessionStore, Protocol):
    """A SessionStore that also reads many sessions at once."""

    async def read_many(self, sids: Sequence[str]) -> Sequence[Snapshot | StoreUnavailableError]:
        """What `read` returns, or raises, for each sid in its order."""

    async def replace_many(
        self, changes: Sequence[tuple[Snapshot, Session]]
    ) -> Sequence[Snapshot | StoreUnavailableError | None]:
        """What `replace` returns, or raises, for each (seen, new) in its order."""
