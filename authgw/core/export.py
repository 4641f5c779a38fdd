"""Sessions as stores keep them, so that they can be listed and moved to another store."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class ExportedSession:
    """One session in a store; `record` is what `dump` made, perhaps of a newer version.

    Of a subject's sessions the one of the lowest `rank` is the oldest. It is ended by idleness
    in `idle_left` seconds.
    """

    sid: str
    record: str
    rank: int
    idle_left: float


class ExportableStore(Protocol):
    """A store whose sessions can be listed and moved. Raises StoreUnavailableError if it is away."""

    def kept(self) -> AsyncIterator[Sequence[ExportedSession]]:
        """Every live session in batches, a subject's oldest first; asking is no use of them.

        One that begins or ends meanwhile may be missing or come; one may come twice.
        """

    async def keep(self, batch: Sequence[ExportedSession]) -> int:
        """Take in sessions of another store as they are; return how many were not here yet.

        A subject's are given oldest first. What is here already stays as it is.
        """
