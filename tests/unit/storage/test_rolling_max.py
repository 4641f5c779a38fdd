"""The greatest value of about the last minute."""

from authgw.storage.rolling_max import RollingMax


def test_the_greatest_is_kept_for_half_a_minute_at_least_and_a_minute_at_most() -> None:
    for noted in range(0, 300, 7):
        peak = RollingMax()
        for second in range(400):
            peak.note(0.9 if second == noted else 0.1, second)
            age = second - noted
            if 0 <= age < 30:
                assert peak.greatest(second) == 0.9
            if age >= 60 or age < 0:
                assert peak.greatest(second) == 0.1


def test_a_value_is_forgotten_though_nothing_else_is_noted() -> None:
    peak = RollingMax()
    assert peak.greatest(0.0) == 0.0
    peak.note(0.5, 10.0)
    assert peak.greatest(39.0) == 0.5
    assert peak.greatest(100.0) == 0.0
    peak.note(0.2, 1000.0)
    assert peak.greatest(1000.0) == 0.2
