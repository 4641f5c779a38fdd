"""The maximum of about the last minute."""

from authgw.storage.rolling_max import RollingMax


def test_a_maximum_counts_for_half_a_minute_to_a_minute() -> None:
    for added in range(0, 300, 7):
        peak = RollingMax()
        for second in range(400):
            peak.add(0.9 if second == added else 0.1, second)
            age = second - added
            if 0 <= age < 30:
                assert peak.greatest(second) == 0.9
            if age >= 60 or age < 0:
                assert peak.greatest(second) == 0.1


def test_a_value_expires_without_further_values() -> None:
    peak = RollingMax()
    assert peak.greatest(0.0) == 0.0
    peak.add(0.5, 10.0)
    assert peak.greatest(39.0) == 0.5
    assert peak.greatest(100.0) == 0.0
    peak.add(0.2, 1000.0)
    assert peak.greatest(1000.0) == 0.2
