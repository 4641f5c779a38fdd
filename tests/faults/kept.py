"""Sessions survive a fault unchanged."""

from collections.abc import Iterator
from contextlib import contextmanager

from tests.faults.stack import Stack

_SESSIONS = 20


@contextmanager
def sessions_kept(stack: Stack) -> Iterator[None]:
    """Check that Redis has the same records before and after, and that all sessions are valid."""
    pairs = {number: stack.log_in(number) for number in range(1, _SESSIONS + 1)}
    for number, pair in pairs.items():
        check_is(stack, number, pair["access"])
    ends = tuple(pair["sid"].encode() for pair in pairs.values())
    before = {key: one for key, one in stack.redis.sessions().items() if key.endswith(ends)}
    assert len(before) == _SESSIONS
    yield
    after = stack.redis.sessions()
    assert {key: after.get(key) for key in before} == before
    for number, pair in pairs.items():
        check_is(stack, number, pair["access"])


def check_is(stack: Stack, number: int, token: str) -> None:
    """Check that the app receives this identity; repeat the request on a busy machine."""
    for _ in range(5):
        answer = stack.get("/page", token)
        if answer.status != 503:
            break
    assert answer.status == 200
    headers = {name.lower(): value for name, value in answer.json()["headers"]}
    assert headers["remote-user"] == str(number)
