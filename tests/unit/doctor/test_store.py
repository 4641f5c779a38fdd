"""Results about a Redis server by its reported state."""

from dataclasses import replace

import pytest

from authgw.doctor.store import health_results
from authgw.storage.redis.health import Health

HEALTHY = Health(
    name="Redis a:1",
    version="7.0.15",
    took=0.0004,
    clock_ahead=0.02,
    appendfsync="always",
    snapshots="3600 1",
    saves=True,
)


def results(server: Health, replicated: bool = False) -> list[str]:
    return [str(remark) for remark in health_results(server, replicated)]


def test_healthy_server() -> None:
    assert results(HEALTHY) == [
        "ok       store: Redis a:1, version 7.0.15, responds in 0.4 ms",
        "ok       clock: the clock of Redis a:1 is 0.0 s ahead",
    ]


@pytest.mark.parametrize(
    ("ahead", "words"),
    [
        (-0.9, "ok       clock: the clock of Redis a:1 is 0.9 s behind"),
        (
            -1.1,
            "warning  clock: the clock of Redis a:1 is 1.1 s behind: synchronise",
        ),
        (5.1, "problem  clock: the clock of Redis a:1 is 5.1 s ahead, so that tokens are refused:"),
    ],
)
def test_clock_difference(ahead: float, words: str) -> None:
    assert results(replace(HEALTHY, clock_ahead=ahead))[-1].startswith(words)


def test_persistence_settings() -> None:
    unsaved = replace(HEALTHY, appendfsync="", snapshots="")
    assert "Redis a:1 loses every session when it stops" in results(unsaved)[1]
    assert "loses the last logins" in results(replace(unsaved, snapshots=None))[1]
    everysec = replace(HEALTHY, appendfsync="everysec")
    assert results(everysec)[1].startswith("warning  store: Redis a:1 has appendfsync everysec")
    # The replica has the last second's writes.
    assert len(results(everysec, replicated=True)) == 2


def test_failed_snapshot() -> None:
    assert "problem  store: Redis a:1 cannot save" in results(replace(HEALTHY, saves=False))[1]
