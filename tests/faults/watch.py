"""Responses during a fault: a thread per kind of request, which repeats it continuously.

Times are in seconds of the monotonic clock.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from statistics import median

from tests.faults.stack import STALENESS, Stack
from tests.support.processes import HttpResponse

LONGEST_FAULT = 3.0  # seconds
RECOVERY = 2.0  # seconds from the end of a fault until everything works again
_INTERVAL = 0.03
_CONSECUTIVE = 5
_TIMEOUT = 20.0
# A thread may be scheduled late: a request sent this long after the start of a fault can still have
# been decided before it.
_SLACK = 0.05


@dataclass(frozen=True, slots=True)
class Seen:
    """A response."""

    sent: float
    ended: float
    status: int
    retry_after: str


@dataclass
class Watch:
    """Responses by kind of request, in the order of the requests."""

    answers: dict[str, list[Seen]] = field(default_factory=dict)

    def statuses(self, question: str, since: float = 0.0) -> set[int]:
        """Return the status codes of requests sent since this time."""
        return {response.status for response in self.answers[question] if response.sent >= since}

    def between(self, question: str, since: float, until: float) -> list[Seen]:
        """Return the responses to requests sent after `since` and completed before `until`."""
        answers = list(self.answers[question])
        return [
            response for response in answers if response.sent >= since and response.ended <= until
        ]

    def until(self, question: str, status: int, since: float) -> float:
        """Wait for consecutive responses with this status; return the end time of the first."""
        give_up = time.monotonic() + _TIMEOUT
        while time.monotonic() < give_up:
            last = [response for response in self.answers[question] if response.sent >= since][
                -_CONSECUTIVE:
            ]
            if len(last) == _CONSECUTIVE and {response.status for response in last} == {status}:
                return self._first_of_run(question, status, since)
            time.sleep(_INTERVAL)
        raise AssertionError(f"{question}: no {status} in {_TIMEOUT} s: {self.answers[question]}")

    def _first_of_run(self, question: str, status: int, since: float) -> float:
        begun = 0.0
        for response in self.answers[question]:
            if response.sent < since or response.status != status:
                begun = 0.0
            elif not begun:
                begun = response.ended
        return begun


@contextmanager
def watching(stack: Stack) -> Iterator[Watch]:
    """Request pages through NGINX, and the health of the first replica.

    The pages are a protected page with an active and an ended session, and a public page.
    """
    live, ended = (stack.log_in(user)["access"] for user in (901, 902))
    assert stack.log_out(ended).status == 200
    first = stack.gateways[0].port
    questions: dict[str, Callable[[], HttpResponse]] = {
        "live": lambda: stack.get("/page", live),
        "ended": lambda: stack.get("/page", ended),
        "public": lambda: stack.get("/public/page", live),
        "healthz": lambda: stack.get("/healthz", port=first),
        "readyz": lambda: stack.get("/readyz", port=first),
    }
    watch, over = Watch({name: [] for name in questions}), threading.Event()
    threads = [
        threading.Thread(target=_ask_on, args=(ask, watch.answers[name], over), daemon=True)
        for name, ask in questions.items()
    ]
    for thread in threads:
        thread.start()
    try:
        watch.until("live", 200, 0.0)
        watch.until("readyz", 200, 0.0)
        yield watch
    finally:
        over.set()
        for thread in threads:
            thread.join(_TIMEOUT)


def _ask_on(ask: Callable[[], HttpResponse], answers: list[Seen], over: threading.Event) -> None:
    while not over.wait(_INTERVAL):
        sent = time.monotonic()
        try:
            answer = ask()
            status, retry_after = answer.status, answer.headers.get("Retry-After", "")
        except OSError:
            status, retry_after = 0, ""
        answers.append(Seen(sent, time.monotonic(), status, retry_after))


def wait_past_bound(watch: Watch, began: float, *, staleness: float = STALENESS) -> float:
    """Wait until some requests were sent and completed past the bound; return the time."""
    too_old = began + staleness + _SLACK
    give_up = time.monotonic() + _TIMEOUT
    while time.monotonic() < give_up:
        now = time.monotonic()
        if all(len(watch.between(name, too_old, now)) > 1 for name in ("live", "ended", "readyz")):
            return now
        time.sleep(_INTERVAL)
    raise AssertionError(f"nothing is answered any more: {watch.answers}")


def check_through(
    watch: Watch, began: float, ended: float, *, staleness: float = STALENESS
) -> None:
    """Compare the responses with the guarantees for a Redis that did not respond meanwhile."""
    check_always(watch)
    past_the_bound = watch.between("live", began + staleness + _SLACK, ended)
    assert past_the_bound, "nothing was asked and answered within the fault"
    assert {response.status for response in past_the_bound} == {503}
    not_ready = watch.between("readyz", began + _SLACK, ended)
    assert {response.status for response in not_ready} == {503}
    # Public pages wait 50 ms for the identity, although the store's deadline is 250 ms.
    public = watch.between("public", began + staleness + _SLACK, ended)
    assert median(response.ended - response.sent for response in public) < 0.2


def check_always(watch: Watch) -> None:
    """Check guarantees for any fault: no wrong allow or deny, and no hung request."""
    assert watch.statuses("live") <= {200, 503}
    assert watch.statuses("ended") <= {401, 503}
    assert watch.statuses("public") == {200}
    assert watch.statuses("healthz") == {200}
    everything = [response for answers in watch.answers.values() for response in answers]
    through = [*watch.answers["live"], *watch.answers["ended"]]
    assert {response.retry_after for response in through if response.status == 503} <= {"1"}
    assert max(response.ended - response.sent for response in everything) < 3


def check_recovery(watch: Watch, ended: float) -> None:
    """Wait until everything works again; check that it took no longer than promised."""
    for question in ("live", "readyz"):
        assert watch.until(question, 200, ended) - ended < RECOVERY, question
