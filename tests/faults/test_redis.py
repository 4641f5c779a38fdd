"""Redis, or the way to it, is broken: what clients see, for how long, and what is left after."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.faults.faultproxy import (
    BLACK_HOLE,
    LOST_REPLIES,
    NONE,
    REFUSED,
    RESET,
    Fault,
    cut_replies,
    cut_requests,
    refusing,
    slow,
)
from tests.faults.stack import Stack, running_stack
from tests.faults.watch import check_recovery, check_through, hold, watching

SESSIONS = 20
# Nothing of Redis is heard through any of these.
DEAF = [
    BLACK_HOLE,
    LOST_REPLIES,
    REFUSED,
    RESET,
    cut_requests(10),
    cut_replies(1),
    slow(0.3),
    refusing("LOADING Redis is loading the dataset in memory"),
    refusing("NOAUTH Authentication required."),
    refusing("MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'."),
    refusing("ERR max number of clients reached"),
]


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with running_stack(tmp_path_factory.mktemp("faults")) as made:
        yield made


@contextmanager
def sessions_kept(stack: Stack) -> Iterator[None]:
    """Sessions before are the sessions after, and each of them is let in as itself."""
    opened = {number: stack.log_in(number)["access"] for number in range(1, SESSIONS + 1)}
    for number, token in opened.items():
        check_is(stack, number, token)
    before = confirmed(stack, SESSIONS)
    yield
    after = stack.redis.sessions()
    assert {key: after.get(key) for key in before} == before
    for number, token in opened.items():
        check_is(stack, number, token)


def confirmed(stack: Stack, number: int) -> dict[bytes, bytes]:
    """The records of the last so many sessions once no small write is under way."""
    until = time.monotonic() + 5
    while True:
        records = stack.redis.sessions()
        if sum(b'"confirmed":true' in record for record in records.values()) >= number:
            return {key: one for key, one in records.items() if b'"confirmed":true' in one}
        assert time.monotonic() < until, "first uses are not written down"
        time.sleep(0.05)


def check_is(stack: Stack, number: int, token: str) -> None:
    """Ask once; on a machine that is too busy, again."""
    for _ in range(5):
        answer = stack.get("/page", token)
        if answer.status != 503:
            break
    assert answer.status == 200
    told = {name.lower(): value for name, value in answer.json()["headers"]}
    assert told["remote-user"] == str(number)


@pytest.mark.parametrize("fault", DEAF, ids=lambda fault: fault.name.replace(" ", "-"))
def test_nothing_of_redis_is_heard(stack: Stack, fault: Fault) -> None:
    with sessions_kept(stack), watching(stack) as watch:
        began = time.monotonic()
        stack.disturb(fault)
        ended = hold(watch, began)
        stack.disturb(NONE)
        check_recovery(watch, ended)
        check_through(watch, began, ended)
