"""What clients see while something is broken: one thread for each question, asked again and again.

A time is in seconds of the monotonic clock.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from statistics import median

from tests.faults.stack import STALENESS, Stack
from tests.support.processes import HttpResponse

RECOVERY = 2.0  # seconds from the end of a fault until everything works again
_PAUSE = 0.03
_IN_A_ROW = 5
_PATIENCE = 20.0
# A thread that sent a request may have been scheduled late: this much after the fault began its
# request can still have been decided before.
_SLACK = 0.05


@dataclass(frozen=True, slots=True)
class Seen:
    """One answer."""

    sent: float
    ended: float
    status: int
    retry_after: str


@dataclass
class Watch:
    """Answers by question, in the order of asking."""

    answers: dict[str, list[Seen]] = field(default_factory=dict)

    def statuses(self, question: str, since: float = 0.0) -> set[int]:
        """What was answered to questions sent since then."""
        return {seen.status for seen in self.answers[question] if seen.sent >= since}

    def between(self, question: str, since: float, until: float) -> list[Seen]:
        """What was asked since the one time and answered until the other."""
        answers = list(self.answers[question])
        return [seen for seen in answers if seen.sent >= since and seen.ended <= until]

    def until(self, question: str, status: int, since: float) -> float:
        """Wait for some such answers in a row; return when the first of these ended."""
        give_up = time.monotonic() + _PATIENCE
        while time.monotonic() < give_up:
            last = [seen for seen in self.answers[question] if seen.sent >= since][-_IN_A_ROW:]
            if len(last) == _IN_A_ROW and {seen.status for seen in last} == {status}:
                return self._first_of_run(question, status, since)
            time.sleep(_PAUSE)
        raise AssertionError(f"{question}: no {status} in {_PATIENCE} s: {self.answers[question]}")

    def _first_of_run(self, question: str, status: int, since: float) -> float:
        begun = 0.0
        for seen in self.answers[question]:
            if seen.sent < since or seen.status != status:
                begun = 0.0
            elif not begun:
                begun = seen.ended
        return begun


@contextmanager
def watching(stack: Stack) -> Iterator[Watch]:
    """Ask, through NGINX, for a protected page with a live and with an ended session and for a
    public page; and the first replica about its health.
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
            thread.join(_PATIENCE)


def _ask_on(ask: Callable[[], HttpResponse], answers: list[Seen], over: threading.Event) -> None:
    while not over.wait(_PAUSE):
        sent = time.monotonic()
        try:
            answer = ask()
            status, retry_after = answer.status, answer.headers.get("Retry-After", "")
        except OSError:
            status, retry_after = 0, ""
        answers.append(Seen(sent, time.monotonic(), status, retry_after))


def hold(watch: Watch, began: float, *, staleness: float = STALENESS) -> float:
    """Return, once some questions were asked and answered past the bound, when that was."""
    too_old = began + staleness + _SLACK
    give_up = time.monotonic() + _PATIENCE
    while time.monotonic() < give_up:
        now = time.monotonic()
        if all(len(watch.between(name, too_old, now)) > 1 for name in ("live", "ended", "readyz")):
            return now
        time.sleep(_PAUSE)
    raise AssertionError(f"nothing is answered any more: {watch.answers}")


def check_through(
    watch: Watch, began: float, ended: float, *, staleness: float = STALENESS
) -> None:
    """Hold what was seen against the promises, for a Redis that answered nobody meanwhile."""
    check_always(watch)
    past_the_bound = watch.between("live", began + staleness + _SLACK, ended)
    assert past_the_bound, "nothing was asked and answered within the fault"
    assert {seen.status for seen in past_the_bound} == {503}
    asked = watch.between("readyz", began + _SLACK, ended)
    assert {seen.status for seen in asked} == {503}
    # Public pages wait 50 ms to learn who asks, whatever the store's deadline of 250 ms is.
    public = watch.between("public", began + staleness + _SLACK, ended)
    assert median(seen.ended - seen.sent for seen in public) < 0.2


def check_always(watch: Watch) -> None:
    """What holds whatever is broken: no yes and no no that is wrong, and nothing hangs."""
    assert watch.statuses("live") <= {200, 503}
    assert watch.statuses("ended") <= {401, 503}
    assert watch.statuses("public") == {200}
    assert watch.statuses("healthz") == {200}
    everything = [seen for answers in watch.answers.values() for seen in answers]
    through = [*watch.answers["live"], *watch.answers["ended"]]
    assert {seen.retry_after for seen in through if seen.status == 503} <= {"1"}
    assert max(seen.ended - seen.sent for seen in everything) < 3


def check_recovery(watch: Watch, ended: float) -> None:
    """Wait until everything works again; it must not have taken longer than promised."""
    for question in ("live", "readyz"):
        assert watch.until(question, 200, ended) - ended < RECOVERY, question
