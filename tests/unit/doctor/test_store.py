"""What is said of a Redis server, by what it says of itself."""

from dataclasses import replace

import pytest

from authgw.doctor.store import health_results
from authgw.storage.redis.health import Health

WELL = Health(
    name="Redis a:1",
    version="7.0.15",
    took=0.0004,
    clock_ahead=0.02,
    appendfsync="always",
    snapshots="3600 1",
    saves=True,
)


def said(one: Health, replicated: bool = False) -> list[str]:
    return [str(remark) for remark in health_results(one, replicated)]


def test_a_server_that_is_well() -> None:
    assert said(WELL) == [
        "ok       store: Redis a:1, version 7.0.15, answers in 0.4 ms",
        "ok       clock: that of Redis a:1 is 0.0 s ahead",
    ]


@pytest.mark.parametrize(
    ("ahead", "words"),
    [
        (-0.9, "ok       clock: that of Redis a:1 is 0.9 s behind"),
        (-1.1, "warning  clock: that of Redis a:1 is 1.1 s behind: set both clocks by NTP"),
        (5.1, "problem  clock: that of Redis a:1 is 5.1 s ahead: tokens are refused."),
    ],
)
def test_clocks(ahead: float, words: str) -> None:
    assert said(replace(WELL, clock_ahead=ahead))[-1].startswith(words)


def test_what_it_forgets() -> None:
    nothing = replace(WELL, appendfsync="", snapshots="")
    assert "Redis a:1 forgets every session when it ends" in said(nothing)[1]
    assert "forgets the last log-ins" in said(replace(nothing, snapshots=None))[1]
    later = replace(WELL, appendfsync="everysec")
    assert said(later)[1].startswith("warning  store: Redis a:1 has appendfsync everysec")
    # A replica has it all the same.
    assert len(said(later, replicated=True)) == 2


def test_a_disk_that_is_full() -> None:
    assert "problem  store: Redis a:1 cannot save" in said(replace(WELL, saves=False))[1]
