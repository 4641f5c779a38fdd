"""The Prometheus metrics.

Frequent events are counted by plain numbers: in the parts of a replica, which are read at each
scrape (`MeasuredPart.collect`), and in `collectors`.
Label values come from our own tables only, never from input of a client.
"""

import platform
from collections import Counter as Tally
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version

from prometheus_client import Counter, Gauge, Info
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from authgw.core.audit import Event
from authgw.core.measurements import Labels, MeasuredPart, Measurement, labelled_counter
from authgw.core.reasons import CAUSES, REASONS
from authgw.forward_auth.decision_cache import PATH
from authgw.observability.collectors import PlainCounter, PlainHistogram

USERS_FILE_BROKEN = Gauge(
    "authgw_users_file_broken",
    "1 while users or bindings are not valid and their previous state stays active",
)
RELOAD_FAILED = Gauge(
    "authgw_reload_failed",
    "1 while the files of the last SIGHUP could not be loaded",
)
STORE_SECONDS = PlainHistogram(
    "authgw_store_operation_seconds",
    "Seconds of an operation of the session store, failed operations included; at most 0.25. "
    "Operations: read, add, replace (a refresh), confirm, revoke, list; count, claim "
    "and record for logins",
    "operation",
    (0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5),
)
STORE_ERRORS = Counter(
    "authgw_store_errors",
    "Operations of the session store whose outcome is unknown, by the exception of the library; "
    "refused is a single session that could not be read",
    ["operation", "kind"],
)
REQUEST_SECONDS = PlainHistogram(
    "authgw_request_seconds",
    "Seconds from the head of a request to its response. Repeated checks take some microseconds, "
    "and are counted but not timed",
    "endpoint",
    (
        *(0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05),
        *(0.1, 0.25, 0.5, 1.0, 2.5),
    ),
)
SESSIONS_OPENED = PlainCounter("authgw_sessions_opened", "Sessions that this replica opened")
SESSIONS_ENDED = PlainCounter(
    "authgw_sessions_ended",
    "Sessions that this replica ended: logout, revoked, reused, replaced, or over "
    "auth.max_sessions. Sessions that were idle or expired do not count",
)
LOGINS = PlainCounter(
    "authgw_logins",
    "Logins by outcome: ok, or the code of the refusal. With too_busy all places to verify a "
    "password were taken",
    ("outcome",),
)
for _outcome in ("ok", *(code for code, reason in REASONS.items() if reason.login_outcome)):
    # `increase` does not see the first event of a series that starts with it.
    LOGINS.add(0, _outcome)
LOGIN_FAILURES = PlainCounter(
    "authgw_login_failures",
    "Refused logins, app passwords and forms, by the cause that the log names",
    ("cause",),
)
for _cause in CAUSES:
    LOGIN_FAILURES.add(0, _cause)
Info("authgw_build", "Version of authgw and of Python; always 1").info(
    {"version": version("authgw"), "python": platform.python_version()}
)


def count(event: Event) -> None:
    """Count an audit event."""
    if event.name == "login":
        LOGINS.add(1, "ok")
    elif event.name == "login_failure":
        LOGINS.add(1, event.reason)
    if event.cause:
        LOGIN_FAILURES.add(1, event.cause)


@dataclass(frozen=True, slots=True)
class RequestMetrics:
    """Counts of responses; any thread may read them.

    `cached` returns the number of responses from the decision cache, which `record` does not get.
    """

    cached: Callable[[], int] = lambda: 0
    _counts: Tally[tuple[str, int, str]] = field(default_factory=Tally)

    def record(self, endpoint: str, status: int, reason: str, seconds: float) -> None:
        """Count a response and its duration; `reason` is its code or empty."""
        REQUEST_SECONDS.observe(endpoint, seconds)
        self._counts[endpoint, status, reason] += 1

    def collect(self) -> Iterator[Measurement]:
        """See `MeasuredPart.collect`."""
        cached = self.cached()
        yield labelled_counter(
            "authgw_requests",
            "Responses by endpoint and HTTP status; the endpoint other is an unknown path",
            ("endpoint", "status"),
            _with(self.requests, (PATH, "200"), cached),
        )
        yield labelled_counter(
            "authgw_decisions",
            "Responses to checks by verdict (allow, login, deny) and code; allow has no reason",
            ("verdict", "reason"),
            _with(self.decisions, ("allow", ""), cached),
        )

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


def verdict(status: int, reason: str) -> str:
    """Return the verdict of a response to a check: allow, login or deny."""
    if status == 200:
        return "allow"
    return REASONS[reason].verdict.value if reason else "deny"


def _with(tally: Tally[Labels], key: Labels, more: int) -> Tally[Labels]:
    """Add `more` to the count of a key, which exists then even if `more` is 0."""
    tally[key] += more
    return tally


@dataclass(frozen=True, slots=True, eq=False)
class ReplicaCollector(Collector):
    """Collector of the numbers that the parts of this replica count themselves."""

    parts: Sequence[MeasuredPart]

    def collect(self) -> Iterator[Metric]:
        """Yield the current values; called on the thread of the metrics server."""
        for part in self.parts:
            yield from map(_family, part.collect())


def _family(measured: Measurement) -> Metric:
    kind = CounterMetricFamily if measured.kind == "counter" else GaugeMetricFamily
    family = kind(measured.name, measured.help, labels=measured.labels)
    for values, number in measured.values.items():
        family.add_metric(values, float(number))
    return family
