"""Protocols of the session stores that the use cases and the mirror need.

A store commits the transitions of `core.sessions` atomically.
"""

from collections.abc import Sequence
from typing import Protocol

from authgw.core.errors import StoreUnavailableError
from authgw.core.sessions import Session, Snapshot


class SessionStore(Protocol):
    """A store of sessions.

    A session that was idle for the store's `idle` seconds is treated as ended.

    Raises:
        StoreUnavailableError: from every method, if the outcome is unknown.
    """

    async def add(self, session: Session, max_sessions: int) -> tuple[str, ...]:
        """Add a session; end its subject's oldest over `max_sessions` and return their sids."""

    async def read(self, sid: str) -> Snapshot:
        """Return a snapshot of the session; this counts as use of it."""

    async def replace(self, seen: Snapshot, new: Session) -> Snapshot | None:
        """Compare-and-set; return None if `new` replaced `seen`, else the stored state."""

    async def revoke(self, sid: str) -> bool:
        """End a session and return True if it was valid; returns after the store has committed."""

    async def revoke_all(self, sub: str) -> tuple[str, ...]:
        """End all sessions of a subject and return their sids."""

    async def sessions_of(self, sub: str) -> tuple[Session, ...]:
        """Return the valid sessions of a subject, oldest first."""

    async def last_used(self, sids: Sequence[str]) -> dict[str, float]:
        """Return the last use of each valid session, in Unix seconds of the store's clock.

        A use within 1 % of `idle` after another use may be missing. This call does not count as
        use.
        """


class MirroringStore(SessionStore, Protocol):
    """A SessionStore that keeps recently read sessions in memory."""

    async def replace_many(self, changes: Sequence[tuple[Snapshot, Session]]) -> None:
        """Call `replace` for each change; conflicts are ignored."""

    def peek(self, sid: str) -> Snapshot | None:
        """Return the current cached snapshot, or None; its version changes with the record."""

    async def look(self, sid: str) -> Snapshot:
        """Return the cached snapshot, or read it; this counts as use of the session."""

    async def look_all(self, sids: Sequence[str]) -> dict[str, Snapshot]:
        """Return the result of `look` for each sid; all snapshots are current at return."""


class BatchStore(SessionStore, Protocol):
    """A SessionStore that also reads many sessions at once."""

    async def read_many(self, sids: Sequence[str]) -> Sequence[Snapshot | StoreUnavailableError]:
        """Return the result or the exception of `read` for each sid, in order."""

    async def replace_many(
        self, changes: Sequence[tuple[Snapshot, Session]]
    ) -> Sequence[Snapshot | StoreUnavailableError | None]:
        """Return the result or the exception of `replace` for each (seen, new), in order."""
