"""Protocols of the session stores that the use cases, the mirror and a replica need.

A store commits the transitions of `core.sessions` atomically.
"""

from collections.abc import Callable, Sequence
from typing import Protocol

from authgw.core.counters import Counters
from authgw.core.errors import StoreUnavailableError
from authgw.core.export import ExportableStore
from authgw.core.keys import KeyRing
from authgw.core.measurements import MeasuredPart
from authgw.core.records import Records
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
    """A SessionStore that keeps recently read sessions in memory.

    A snapshot of `peek` is at most `max_staleness` seconds old.
    """

    @property
    def max_staleness(self) -> float:
        """The greatest age of a cached snapshot, in seconds."""

    async def replace_many(self, changes: Sequence[tuple[Snapshot, Session]]) -> None:
        """Call `replace` for each change; conflicts are ignored."""

    def peek(self, sid: str) -> Snapshot | None:
        """Return the current cached snapshot, or None; its version changes with the record."""

    def peek_current(self, sid: str) -> Snapshot | None:
        """Return the result of `peek` with the store's present time in `now`."""

    async def get(self, sid: str) -> Snapshot:
        """Return the cached snapshot, or read it; this counts as use of the session."""

    async def get_many(self, sids: Sequence[str]) -> dict[str, Snapshot]:
        """Return the result of `get` for each sid; all snapshots are current at return."""


class BatchStore(SessionStore, Protocol):
    """A SessionStore that also reads many sessions at once.

    `add` and `replace` take the `record` of the session if the caller has it already.
    """

    async def add(
        self, session: Session, max_sessions: int, record: str | None = None
    ) -> tuple[str, ...]:
        """See `SessionStore.add`."""

    async def replace(
        self, seen: Snapshot, new: Session, record: str | None = None
    ) -> Snapshot | None:
        """See `SessionStore.replace`."""

    def now(self, sid: str) -> float | None:
        """Return the time of the store's clock for a valid sid, None if it is not known now."""

    async def read_many(self, sids: Sequence[str]) -> Sequence[Snapshot | StoreUnavailableError]:
        """Return the result or the exception of `read` for each sid, in order."""

    async def replace_many(
        self, changes: Sequence[tuple[Snapshot, Session]]
    ) -> Sequence[Snapshot | StoreUnavailableError | None]:
        """Return the result or the exception of `replace` for each (seen, new), in order."""

    def record(self, session: Session) -> str:
        """Return the record that this store would write now for the session: its version."""


class SessionIndex(Protocol):
    """Finds the sessions that a logout at an identity provider ends.

    Raises:
        StoreUnavailableError: from every method, if the outcome is unknown.
    """

    async def announce(self, session: Session) -> None:
        """Add a session that will be stored to the sets of its account."""

    async def has_ended(self, session: Session) -> bool:
        """Return True if its provider ended this session while it was being stored."""


class RevocationFeed(MeasuredPart, Protocol):
    """A subscription to the sessions that any replica ends."""

    async def run(self) -> None:
        """Report each ended session until cancelled; never raises another exception."""


class KeyRegistry(MeasuredPart, Protocol):
    """The signing keys of the replicas that share a store; only a registered replica may sign."""

    @property
    def refusal(self) -> str:
        """The reason why this replica must not sign, or ""."""

    def check(self) -> None:
        """Check that this replica may sign.

        Raises:
            KeysNotSharedError: it is not registered.
        """

    async def run(self) -> None:
        """Announce this replica regularly until cancelled."""

    async def announce(self) -> None:
        """Announce this replica, if the store can be reached."""

    async def adopt(self, keys: KeyRing) -> None:
        """Replace the keys of this replica.

        Raises:
            SigningKeyError: the keys conflict with another replica's; the previous keys stay.
        """

    async def leave(self) -> None:
        """Withdraw the announcement."""


class Store(BatchStore, Counters, Records, ExportableStore, MeasuredPart, Protocol):
    """A store as a replica needs it."""

    @property
    def compact(self) -> bool:
        """True while all replicas on this store read compact records and tokens of derived keys."""

    @property
    def deadline(self) -> float:
        """The maximum duration of an operation, in seconds."""

    def revocation_feed(self, ended: Callable[[str], None]) -> RevocationFeed | None:
        """Return a feed that calls `ended` with sids, or None if no other replica ends sessions."""

    def key_registry(self, keys: KeyRing) -> KeyRegistry | None:
        """Return a registry for a replica with these keys, or None if it runs alone."""

    async def ping(self) -> None:
        """Check that the store responds.

        Raises:
            StoreUnavailableError: it does not.
        """

    async def close(self) -> None:
        """Release everything that the store has opened."""
