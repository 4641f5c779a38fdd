"""The bursts of users who browse."""

import random
import statistics
from itertools import pairwise

import pytest

from bench import browse


def test_users_pause_between_their_bursts() -> None:
    bursts = list(browse.schedule(3, 100.0, random.Random(1)))
    assert bursts == sorted(bursts)
    for user in range(3):
        times = [at for at, by in bursts if by == user]
        assert len(times) >= 3
        pauses = [later - at for at, later in pairwise(times)]
        assert all(5.0 <= pause <= 30.0 for pause in pauses)


def test_the_rate_is_the_same_from_the_first_second_on() -> None:
    bursts = list(browse.schedule(92_500, 20.0, random.Random(2)))
    rates = [20 / 100 * sum(second <= at < second + 1 for at, _ in bursts) for second in range(20)]
    # 925 users with bursts of 20 in 17.5 s on average: 1,057 checks/s.
    assert statistics.fmean(rates) == pytest.approx(1057, rel=0.01)
    assert all(rate == pytest.approx(1057, rel=0.05) for rate in rates)
