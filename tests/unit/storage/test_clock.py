"""The estimate of a server's clock between two readings."""

from authgw.storage.clock import ServerClock, clock_warning


def test_clock_advances_between_readings() -> None:
    clock = ServerClock()
    assert clock.is_due(0.0)
    clock.set(1_800_000_000.0, 5.0)
    assert not clock.is_due(15.0)
    assert clock.at(8.0) == 1_800_000_003.0


def test_clock_is_due_after_ten_seconds() -> None:
    clock = ServerClock()
    clock.set(1_800_000_000.0, 5.0)
    assert clock.is_due(15.1)
    clock.set(1_800_000_100.0, 15.1)
    assert clock.at(15.1) == 1_800_000_100.0


def test_clock_warning_contains_both_times() -> None:
    assert clock_warning(1_800_000_001.9, 1_800_000_000.0, "Redis") == ""
    warning = clock_warning(1_800_000_030.0, 1_800_000_000.0, "Redis h:1")
    assert warning.startswith(
        "This machine's clock shows 2027-01-15 08:00:30 UTC, 30 s ahead of Redis h:1's "
        "(2027-01-15 08:00:00 UTC)."
    )
    assert "300 s behind" in clock_warning(1_800_000_000.0, 1_800_000_300.0, "Redis")
