"""A replica with a wrong clock: successful requests, refusals and log messages."""

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
    """Two replicas; the second replica is not started yet."""
    folder = tmp_path_factory.mktemp("clocks")
    with RedisProcess(folder / "redis") as redis:
        right, wrong = two_replicas(folder / "gateway", redis.url)
        right.start()
        right.wait_until_ready()
        yield right, wrong
        right.stop()


@contextmanager
def _off(gateway: GatewayProcess, seconds: int) -> Iterator[None]:
    """Run the replica with its clock this many seconds ahead."""
    libraries = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
    if not libraries:
        pytest.fail("libfaketime is missing: apt-get install libfaketime")
    gateway.environ |= {
        "LD_PRELOAD": str(libraries[0]),
        "FAKETIME": f"{seconds:+d}s",
        # The monotonic clock is right even on a machine whose time of day is wrong.
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
def test_a_replica_with_a_wrong_clock(
    two: tuple[GatewayProcess, GatewayProcess], off: int, theirs_here: str, ours_there: str
) -> None:
    right, wrong = two
    written = len(wrong.log)
    with _off(wrong, off):
        of_wrong, of_right = wrong.login(1), right.login(2)
        assert _verdict(right, of_wrong["access"]) == theirs_here
        assert _verdict(wrong, of_right["access"]) == ours_there
        if ours_there == ACCEPTED:
            # Rotation uses Redis's clock: tokens of the wrong replica are valid for the other.
            rotated = _refreshed(wrong, of_right)
            assert claims(rotated["refresh"])["gen"] == 1
            assert _verdict(right, rotated["access"]) == ACCEPTED
            assert claims(_refreshed(right, rotated)["refresh"])["gen"] == 2
        # The correct replica accepts all of its own tokens.
        assert _verdict(right, _refreshed(right, right.login(3))["access"]) == ACCEPTED
        _check_log(wrong.log[written:], off)


@pytest.mark.parametrize("off", [-300, 300])
def test_failures_are_counted_together_with_different_clocks(
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
    # Both write to the same file; only the wrong replica warns, and only once.
    direction = "ahead" if off > 0 else "behind"
    warnings = [line for line in log.splitlines() if "This machine's clock shows" in line]
    assert len(warnings) == 1, log
    assert f"{abs(off)} s {direction} of Redis" in warnings[0]
    assert " WARNING " in warnings[0]
