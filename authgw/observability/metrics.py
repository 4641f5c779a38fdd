"""The Prometheus metrics.

Frequent events are counted by plain numbers in the parts of a replica and read from there at each
scrape, because an `inc()` of prometheus-client takes a lock each time. Label values come from our
own tables only, never from input of a client.
"""

import platform
from collections import Counter as Tally
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import version

from prometheus_client import (
    Counter,
    Gauge,
    Histogram,
    Info,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from authgw.core.audit import Event
from authgw.core.errors import REASONS
from authgw.core.sessions import RefreshOutcome
from authgw.identity.hash_pool import HashPool
from authgw.storage.mirror import Mirror
from authgw.storage.redis.key_registry import KeyRegistry
from authgw.storage.redis.revocation_feed import RevocationFeed
from authgw.storage.redis.store import RedisStore
from authgw.web.decision_cache import PATH
from authgw.web.dispatcher import Dispatcher

Labels = tuple[str, ...]

USERS_FILE_BROKEN = Gauge(
    "authgw_users_file_broken", "1 while the users file cannot be read and older users stay"
)
RELOAD_FAILED = Gauge(
    "authgw_reload_failed", "1 while what the last SIGHUP asked for could not be read"
)
STORE_SECONDS = Histogram(
    "authgw_store_operation_seconds",
    "What an operation of the session store took, failed ones included",
    ["operation"],
    buckets=(0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5),
)
STORE_ERRORS = Counter(
    "authgw_store_errors",
    "Operations of the session store whose outcome is unknown, by the library's exception",
    ["operation", "kind"],
)
REQUEST_SECONDS = Histogram(
    "authgw_request_seconds",
    "From a request's head to its answer; repeated checks take a short way that is not timed",
    ["endpoint"],
    buckets=(
        *(0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05),
        *(0.1, 0.25, 0.5, 1.0, 2.5),
    ),
)
SESSIONS_OPENED = Counter("authgw_sessions_opened", "Sessions that this replica opened")
SESSIONS_ENDED = Counter(
    "authgw_sessions_ended", "Sessions that this replica ended before their time"
)
LOGINS = Counter("authgw_logins", "Log-ins by outcome: ok, or the code of a refusal", ["outcome"])
_OUTCOMES = ("ok", "login_failed", "totp_required", "too_many_failures", "too_busy")
for _outcome in _OUTCOMES:
    # `increase` does not see the first event of a series that starts with it.
    LOGINS.labels(_outcome)
Info("authgw_build", "The version that runs").info(
    {"version": version("authgw"), "python": platform.python_version()}
)


def count(event: Event) -> None:
    """Count an audit event."""
    if event.name == "login":
        LOGINS.labels("ok").inc()
    elif event.name == "login_failure":
        LOGINS.labels(event.reason).inc()


@dataclass(frozen=True, slots=True)
class RequestMetrics:
    """Counts of all responses but those from the decision cache; any thread may read them."""

    _counts: Tally[tuple[str, int, str]] = field(default_factory=Tally)

    def record(self, endpoint: str, status: int, reason: str, seconds: float) -> None:
        """Count a response and its duration; `reason` is its code or empty."""
        _histogram(endpoint).observe(seconds)
        self._counts[endpoint, status, reason] += 1

    @property
    def requests(self) -> Tally[Labels]:
        """The number of responses by (endpoint, status)."""
        totals: Tally[Labels] = Tally()
        for (endpoint, status, _), number in self._counts.copy().items():
            totals[endpoint, str(status)] += number
        return totals

    @property
    def decisions(self) -> Tally[Labels]:
        """The number of checks by (verdict, reason)."""
        totals: Tally[Labels] = Tally()
        for (endpoint, status, reason), number in self._counts.copy().items():
            if endpoint.startswith(PATH):
                totals[verdict(status, reason), reason] += number
        return totals


@cache
def _histogram(endpoint: str) -> Histogram:
    return REQUEST_SECONDS.labels(endpoint)


def verdict(status: int, reason: str) -> str:
    """Return the verdict of a response to a check: allow, login or deny."""
    if status == 200:
        return "allow"
    return "login" if reason in REASONS and REASONS[reason].status == 401 else "deny"


@dataclass(frozen=True, slots=True, eq=False)
class ReplicaCollector(Collector):
    """Collector of the numbers that the parts of this replica count themselves.

    `push`, `redis` and `membership` are None unless the store is a Redis.
    """

    answers: RequestMetrics
    serving: Dispatcher
    mirror: Mirror
    hashing: HashPool
    draining: Callable[[], bool]
    push: RevocationFeed | None
    redis: RedisStore | None
    membership: KeyRegistry | None

    def collect(self) -> Iterator[Metric]:
        """Yield the current values; called on the thread of the metrics server."""
        cached = self.serving.cached_responses
        refreshed = self.serving.gateway.services.sessions.refreshed
        yield _family(
            "authgw_requests",
            "Answers by endpoint and HTTP status",
            ("endpoint", "status"),
            _with(self.answers.requests, (PATH, "200"), cached),
        )
        yield _family(
            "authgw_decisions",
            "Answers to checks by verdict and reason; allow has no reason",
            ("verdict", "reason"),
            _with(self.answers.decisions, ("allow", ""), cached),
        )
        yield _family(
            "authgw_refreshes",
            "What refresh tokens led to; reused ones ended their session",
            ("outcome",),
            {(outcome.value,): refreshed[outcome] for outcome in RefreshOutcome},
        )
        yield _gauge("authgw_hashing_queue", "Log-ins that verify or wait to", self.hashing.in_use)
        yield _gauge(
            "authgw_hashing_places", "Log-ins that may do so at once", self.hashing.capacity
        )
        yield _gauge("authgw_draining", "1 once this replica was told to end", self.draining())
        yield from _of_mirror(self.mirror)
        if self.push is not None:
            yield from _of_push(self.push)
        if self.redis is not None:
            yield _gauge(
                "authgw_redis_masters_alone",
                "Masters that had no replica when a write was to be confirmed",
                self.redis.masters_without_replica,
            )
        if self.membership is not None:
            yield _gauge(
                "authgw_keys_not_shared",
                "1 while replicas on this Redis lack each other's keys",
                self.membership.has_conflict,
            )


def _of_mirror(mirror: Mirror) -> Iterator[Metric]:
    yield _counter("authgw_mirror_hits", "Look-ups of a session that memory answered", mirror.hits)
    yield _counter(
        "authgw_mirror_misses", "Look-ups of a session that waited for the store", mirror.misses
    )
    yield _counter(
        "authgw_mirror_rereads", "Reads of a session that nobody waited for", mirror.rereads
    )
    yield _gauge("authgw_mirror_sessions", "Sessions in memory", len(mirror))
    yield _gauge(
        "authgw_staleness_seconds",
        "Greatest age of what an answer of the last minute knew of its session",
        mirror.staleness,
    )


def _of_push(push: RevocationFeed) -> Iterator[Metric]:
    yield _gauge(
        "authgw_push_connected",
        "1 while this replica hears of sessions that others end",
        push.connected,
    )
    yield _counter("authgw_push_heard", "Ends of sessions that were heard", push.received)


def _with(tally: Tally[Labels], key: Labels, more: int) -> Tally[Labels]:
    """Add `more` to the count of a key, which exists then even if `more` is 0."""
    tally[key] += more
    return tally


def _family(name: str, text: str, labels: tuple[str, ...], counts: Mapping[Labels, int]) -> Metric:
    family = CounterMetricFamily(name, text, labels=labels)
    for values, number in counts.items():
        family.add_metric(values, number)
    return family


def _counter(name: str, text: str, number: int) -> Metric:
    return CounterMetricFamily(name, text, value=number)


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(name, text, value=float(value))
