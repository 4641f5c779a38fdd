"""A replica whose clock is off: what works, what is refused, and what the log says of it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.faults.model import claims
from tests.faults.redisserver import RedisProcess
from tests.support.processes import GatewayProcess, HttpResponse, ask, two_replicas

ACCEPTED = "accepted"
EARLY = "token_not_yet_valid"


@pytest.fixture(scope="module")
def two(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[GatewayProcess, GatewayProcess]]:
    """Two replicas; the second one is not started yet."""
    folder = tmp_path_factory.mktemp("clocks")
    with RedisProcess(folder / "redis") as redis:
        right, wrong = two_replicas(folder / "gateway", redis.url)
        right.start()
        right.wait_until_ready()
        yield right, wrong
        right.stop()


@contextmanager
def _off(gateway: GatewayProcess, seconds: int) -> Iterator[None]:
    """Let it run while its clock is so many seconds ahead."""
    found = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
    if not found:
        pytest.fail("libfaketime is missing: apt-get install libfaketime")
    gateway.environ |= {
        "LD_PRELOAD": str(found[0]),
        "FAKETIME": f"{seconds:+d}s",
        # Clocks that nobody sets are right on a machine whose time is wrong.
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }
    gateway.start()
    try:
        gateway.wait_until_ready()
        yield
    finally:
        gateway.stop()


def _verdict(gateway: GatewayProcess, access: str) -> str:
    answer = ask(gateway.port, "GET", "/authenticate", {"Authorization": f"Bearer {access}"})
    return ACCEPTED if answer.status == 200 else str(answer.headers["X-Authgw-Reason"])


def _refreshed(gateway: GatewayProcess, pair: dict[str, Any]) -> dict[str, Any]:
    answer = ask(gateway.port, "POST", "/refresh", body={"refresh": pair["refresh"]})
    assert answer.status == 200, answer
    again: dict[str, Any] = answer.json()
    return again


@pytest.mark.parametrize(
    ("off", "theirs_here", "ours_there"),
    [
        (3, ACCEPTED, ACCEPTED),
        (30, EARLY, ACCEPTED),
        (300, EARLY, ACCEPTED),
        (-30, ACCEPTED, EARLY),
        (-300, ACCEPTED, EARLY),
    ],
)
def test_a_clock_is_off(
    two: tuple[GatewayProcess, GatewayProcess], off: int, theirs_here: str, ours_there: str
) -> None:
    right, wrong = two
    written = len(wrong.log)
    with _off(wrong, off):
        theirs, ours = wrong.login(1), right.login(2)
        assert _verdict(right, theirs["access"]) == theirs_here
        assert _verdict(wrong, ours["access"]) == ours_there
        if ours_there == ACCEPTED:
            # Rotation goes by the clock of Redis: what the wrong one rotates is good for others.
            rotated = _refreshed(wrong, ours)
            assert claims(rotated["refresh"])["gen"] == 1
            assert _verdict(right, rotated["access"]) == ACCEPTED
            assert claims(_refreshed(right, rotated)["refresh"])["gen"] == 2
        # The right one refuses nothing that it made itself.
        assert _verdict(right, _refreshed(right, right.login(3))["access"]) == ACCEPTED
        _check_log(wrong.log[written:], off)


@pytest.mark.parametrize("off", [-300, 300])
def test_failures_count_together_whatever_the_clocks_say(
    two: tuple[GatewayProcess, GatewayProcess], off: int
) -> None:
    right, wrong = two
    with _off(wrong, off):
        statuses = [_guess((right, wrong)[number % 2]).status for number in range(40)]
        assert set(statuses) <= {401, 429}
        assert statuses == sorted(statuses)
        for gateway in two:
            locked = _guess(gateway)
            assert locked.status == 429
            assert 0 < int(locked.headers["Retry-After"]) <= 3600


def _guess(gateway: GatewayProcess) -> HttpResponse:
    wrong = {"Authorization": "Basic ZGVtbzp3cm9uZw=="}  # demo:wrong
    return ask(gateway.port, "POST", "/login", wrong, {"user_id": 1})


def _check_log(log: str, off: int) -> None:
    # Both write into one file; only the wrong one has something to say, and says it once.
    way = "ahead" if off > 0 else "behind"
    said = [line for line in log.splitlines() if "This machine's clock shows" in line]
    assert len(said) == 1, log
    assert f"{abs(off)} s {way} of Redis" in said[0]
    assert " WARNING " in said[0]
