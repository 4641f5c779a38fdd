"""Shells that measure what they are put around, and change nothing: the store, the HTTP surface."""

import time
from collections.abc import Awaitable, Sequence
from typing import Protocol, TypeVar

from aiohttp import web
from aiohttp.typedefs import Middleware

from authgw.core.counters import Counters
from authgw.core.errors import StoreUnavailableError
from authgw.core.ports import BatchStore
from authgw.core.sessions import Session, Snapshot
from authgw.observability.metrics import (
    SESSIONS_ENDED,
    SESSIONS_OPENED,
    STORE_ERRORS,
    STORE_SECONDS,
    RequestMetrics,
)
from authgw.web.decision_cache import PATH
from authgw.web.problems import Handler

T = TypeVar("T")
# Where no route leads; the path itself is the client's and would be a label without bound.
_NOWHERE = "other"


class Store(BatchStore, Counters, Protocol):
    """What sessions and log-ins stand on."""


class MeasuredStore:
    """A store, each of whose operations is timed; its errors are counted by kind."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def add(self, session: Session, max_sessions: int) -> tuple[str, ...]:
        """Keep a new session; end its subject's oldest over `max_sessions`; return their sids."""
        ended = await _timed("add", self._store.add(session, max_sessions))
        SESSIONS_OPENED.inc()
        SESSIONS_ENDED.inc(len(ended))
        return ended

    async def read(self, sid: str) -> Snapshot:
        """Return the session, or None in it, and count this as use."""
        return await _timed("read", self._store.read(sid))

    async def read_many(self, sids: Sequence[str]) -> Sequence[Snapshot | StoreUnavailableError]:
        """What `read` returns, or raises, for each sid in its order."""
        return _counted("read", await _timed("read", self._store.read_many(sids)))

    async def replace(self, seen: Snapshot, new: Session) -> Snapshot | None:
        """Compare-and-set: None if `new` took the place of what was seen, else what is there."""
        return await _timed("replace", self._store.replace(seen, new))

    async def replace_many(
        self, changes: Sequence[tuple[Snapshot, Session]]
    ) -> Sequence[Snapshot | StoreUnavailableError | None]:
        """What `replace` returns, or raises, for each (seen, new) in its order."""
        return _counted("confirm", await _timed("confirm", self._store.replace_many(changes)))

    async def revoke(self, sid: str) -> bool:
        """End one session; say whether it was alive. Returns once the store has it."""
        alive = await _timed("revoke", self._store.revoke(sid))
        SESSIONS_ENDED.inc(alive)
        return alive

    async def revoke_all(self, sub: str) -> tuple[str, ...]:
        """End every session of a subject; return their sids."""
        ended = await _timed("revoke", self._store.revoke_all(sub))
        SESSIONS_ENDED.inc(len(ended))
        return ended

    async def sessions_of(self, sub: str) -> tuple[Session, ...]:
        """The live sessions of a subject, oldest first."""
        return await _timed("list", self._store.sessions_of(sub))

    async def last_used(self, sids: Sequence[str]) -> dict[str, float]:
        """When each live one of these was last used, in Unix seconds of the store's clock."""
        return await _timed("list", self._store.last_used(sids))

    async def increment(self, name: str, window: float) -> tuple[int, float]:
        """Count one more under this name; return the count and the seconds until it ends."""
        return await _timed("count", self._store.increment(name, window))

    async def increment_all(self, counted: Sequence[tuple[str, float]]) -> list[tuple[int, float]]:
        """Increment several (name, window) in one round trip; answers come in the same order."""
        return await _timed("count", self._store.increment_all(counted))

    async def release(self, forget: Sequence[str], give_back: Sequence[str]) -> None:
        """End the counters in `forget` and count one less in `give_back`, in one round trip."""
        await _timed("count", self._store.release(forget, give_back))

    async def claim(self, name: str, seconds: float) -> bool:
        """Whether this is the first claim of this name; a claim ends after `seconds`."""
        return await _timed("claim", self._store.claim(name, seconds))


async def _timed(operation: str, call: Awaitable[T]) -> T:
    began = time.perf_counter()
    try:
        return await call
    except StoreUnavailableError as error:
        _count(operation, error)
        raise
    finally:
        STORE_SECONDS.labels(operation).observe(time.perf_counter() - began)


def _counted(operation: str, outcomes: Sequence[T]) -> Sequence[T]:
    for outcome in outcomes:
        if isinstance(outcome, StoreUnavailableError):
            _count(operation, outcome)
    return outcomes


def _count(operation: str, error: StoreUnavailableError) -> None:
    # Stores say `from None`, which hides what was raised at first from tracebacks only.
    first = error.__context__
    STORE_ERRORS.labels(operation, type(first).__name__ if first else "refused").inc()


def measured(answers: RequestMetrics) -> Middleware:
    """A middleware, to be the outermost, that tells of every answer of the application."""

    @web.middleware
    async def measure(request: web.Request, handler: Handler) -> web.StreamResponse:
        began = time.perf_counter()
        response = await handler(request)
        _tell(answers, _endpoint(request), response, began)
        return response

    return measure


def measured_check(answers: RequestMetrics, check: Handler) -> Handler:
    """A handler of checks that tells of every answer it gives."""

    async def measure(request: web.Request) -> web.StreamResponse:
        began = time.perf_counter()
        response = await check(request)
        _tell(answers, PATH, response, began)
        return response

    return measure


def _tell(
    answers: RequestMetrics, endpoint: str, response: web.StreamResponse, began: float
) -> None:
    reason = response.headers.get("X-Authgw-Reason", "")
    answers.answered(endpoint, response.status, reason, time.perf_counter() - began)


def _endpoint(request: web.Request) -> str:
    resource = request.match_info.route.resource
    return resource.canonical.partition("{")[0] if resource else _NOWHERE
