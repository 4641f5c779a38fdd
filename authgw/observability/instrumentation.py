"""Instrumentation wrappers for the store and the HTTP handlers; they change no behaviour."""

import time
from collections.abc import Awaitable, Coroutine, Sequence
from typing import Any, TypeVar

from aiohttp import web
from aiohttp.typedefs import Middleware

from authgw.core.errors import StoreUnavailableError
from authgw.core.ports import Store
from authgw.core.sessions import Session, Snapshot
from authgw.observability.metrics import (
    SESSIONS_ENDED,
    SESSIONS_OPENED,
    STORE_ERRORS,
    STORE_SECONDS,
    RequestMetrics,
)
from authgw.web.problems import Handler

T = TypeVar("T")
# The label of requests without a route: clients choose the path, and each would add a series.
_UNROUTED = "other"


class MeasuredStore:
    """Wrapper that times each operation of a store and counts its errors by kind."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def add(
        self, session: Session, max_sessions: int, record: str | None = None
    ) -> tuple[str, ...]:
        """See `BatchStore.add`."""
        ended = await _timed("add", self._store.add(session, max_sessions, record))
        SESSIONS_OPENED.add(1)
        SESSIONS_ENDED.add(len(ended))
        return ended

    def now(self, sid: str) -> float | None:
        """See `BatchStore.now`."""
        return self._store.now(sid)

    async def read(self, sid: str) -> Snapshot:
        """See `SessionStore.read`."""
        return await _timed("read", self._store.read(sid))

    async def read_many(self, sids: Sequence[str]) -> Sequence[Snapshot | StoreUnavailableError]:
        """See `BatchStore.read_many`."""
        return _count_errors("read", await _timed("read", self._store.read_many(sids)))

    def replace(
        self, seen: Snapshot, new: Session, record: str | None = None
    ) -> Coroutine[Any, Any, Snapshot | None]:
        """See `BatchStore.replace`."""
        # The coroutine itself: one around it would cost each refresh a microsecond.
        return _timed("replace", self._store.replace(seen, new, record))

    async def replace_many(
        self, changes: Sequence[tuple[Snapshot, Session]]
    ) -> Sequence[Snapshot | StoreUnavailableError | None]:
        """See `BatchStore.replace_many`."""
        return _count_errors("confirm", await _timed("confirm", self._store.replace_many(changes)))

    def record(self, session: Session) -> str:
        """See `BatchStore.record`."""
        return self._store.record(session)

    async def revoke(self, sid: str) -> bool:
        """See `SessionStore.revoke`."""
        existed = await _timed("revoke", self._store.revoke(sid))
        SESSIONS_ENDED.add(existed)
        return existed

    async def revoke_all(self, sub: str) -> tuple[str, ...]:
        """See `SessionStore.revoke_all`."""
        ended = await _timed("revoke", self._store.revoke_all(sub))
        SESSIONS_ENDED.add(len(ended))
        return ended

    async def sessions_of(self, sub: str) -> tuple[Session, ...]:
        """See `SessionStore.sessions_of`."""
        return await _timed("list", self._store.sessions_of(sub))

    async def last_used(self, sids: Sequence[str]) -> dict[str, float]:
        """See `SessionStore.last_used`."""
        return await _timed("list", self._store.last_used(sids))

    async def increment(self, name: str, window: float) -> tuple[int, float]:
        """See `Counters.increment`."""
        return await _timed("count", self._store.increment(name, window))

    async def increment_all(self, counted: Sequence[tuple[str, float]]) -> list[tuple[int, float]]:
        """See `Counters.increment_all`."""
        return await _timed("count", self._store.increment_all(counted))

    async def release(self, forget: Sequence[str], give_back: Sequence[str]) -> None:
        """See `Counters.release`."""
        await _timed("count", self._store.release(forget, give_back))

    async def claim(self, name: str, seconds: float) -> bool:
        """See `Counters.claim`."""
        return await _timed("claim", self._store.claim(name, seconds))

    async def put(self, name: str, text: str, seconds: float) -> None:
        """See `Records.put`."""
        await _timed("record", self._store.put(name, text, seconds))

    async def get(self, name: str) -> str | None:
        """See `Records.get`."""
        return await _timed("record", self._store.get(name))

    async def take(self, name: str) -> str | None:
        """See `Records.take`."""
        return await _timed("record", self._store.take(name))

    async def add_member(self, name: str, member: str, seconds: float) -> None:
        """See `Records.add_member`."""
        await _timed("record", self._store.add_member(name, member, seconds))

    async def members(self, name: str) -> tuple[str, ...]:
        """See `Records.members`."""
        return await _timed("record", self._store.members(name))


async def _timed(operation: str, call: Awaitable[T]) -> T:
    start = time.perf_counter()
    try:
        return await call
    except StoreUnavailableError as error:
        _count_error(operation, error)
        raise
    finally:
        STORE_SECONDS.observe(operation, time.perf_counter() - start)


def _count_errors(operation: str, outcomes: Sequence[T]) -> Sequence[T]:
    for outcome in outcomes:
        if isinstance(outcome, StoreUnavailableError):
            _count_error(operation, outcome)
    return outcomes


def _count_error(operation: str, error: StoreUnavailableError) -> None:
    # Stores raise `from None`, which hides the original exception from tracebacks only.
    cause = error.__context__
    STORE_ERRORS.labels(operation, type(cause).__name__ if cause else "refused").inc()


def metrics_middleware(answers: RequestMetrics) -> Middleware:
    """Return a middleware that counts and times every response; it must be the outermost."""

    @web.middleware
    async def measure(request: web.Request, handler: Handler) -> web.StreamResponse:
        start = time.perf_counter()
        response = await handler(request)
        _record(answers, _endpoint(request), response, start)
        return response

    return measure


def _record(
    answers: RequestMetrics, endpoint: str, response: web.StreamResponse, start: float
) -> None:
    reason = response.headers.get("X-Authgw-Reason", "")
    answers.record(endpoint, response.status, reason, time.perf_counter() - start)


def _endpoint(request: web.Request) -> str:
    resource = request.match_info.route.resource
    return resource.canonical.partition("{")[0] if resource else _UNROUTED
