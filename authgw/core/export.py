"""Stored sessions and records in the form in which they are moved to another store."""

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


@dataclass(frozen=True, slots=True)
class ExportedRecord:
    """A record (`core.records`); `hashed` is the hash of its name. It expires in `left` seconds."""

    hashed: str
    text: str
    left: float


@dataclass(frozen=True, slots=True)
class ExportedSet:
    """A set of records with its members, oldest first; it expires in `left` seconds."""

    hashed: str
    members: tuple[str, ...]
    left: float


class ExportableStore(Protocol):
    """A store whose sessions and records can be listed and moved.

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

    def export_records(self) -> AsyncIterator[Sequence[ExportedRecord | ExportedSet]]:
        """Yield all records and sets in batches.

        Any that is written or expires in the meantime may be included or missing; a record may be
        included twice.
        """

    async def import_records(self, batch: Sequence[ExportedRecord | ExportedSet]) -> int:
        """Import records and sets of another store; return the number of those that are new.

        A record that exists already stays unchanged; a set gets the members that it lacks, as its
        oldest.
        """
