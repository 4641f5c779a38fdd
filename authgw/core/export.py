"""Stored sessions in the form in which they are listed and moved to another store."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class ExportedSession:
    """A session in a store; `record` is the output of `dump`, perhaps of a newer version.

    The lowest `rank` marks the oldest session of a subject. The session expires in `idle_left`
    seconds if it is not used.
    """

    sid: str
    record: str
    rank: int
    idle_left: float


class ExportableStore(Protocol):
    """A store whose sessions can be listed and moved.

    Raises:
        StoreUnavailableError: the store is unreachable.
    """

    def export(self) -> AsyncIterator[Sequence[ExportedSession]]:
        """Yield all valid sessions in batches, a subject's oldest first; this does not use them.

        A session that begins or ends in the meantime may be included or missing; a session may be
        included twice.
        """

    async def import_batch(self, batch: Sequence[ExportedSession]) -> int:
        """Import sessions of another store unchanged; return the number of new sessions.

        The sessions of a subject must be sorted, the oldest first. A session that exists already
        stays unchanged.
        """
