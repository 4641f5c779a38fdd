"""The clock of a store's server, so that not every read has to ask for it.

Between two readings of it time passes as on this machine's CLOCK_BOOTTIME, which nobody sets and
which goes on while the machine sleeps (clock_gettime(2)).
"""

import math
import time
from collections.abc import Callable
from functools import partial

_HOLDS = 10.0  # seconds; how late it may be seen that the server's clock was set

boottime: Callable[[], float] = partial(time.clock_gettime, time.CLOCK_BOOTTIME)


class ServerClock:
    """What a server's clock shows, in Unix seconds; arguments are of the boot-time clock."""

    def __init__(self) -> None:
        self._read = -math.inf
        self._ahead = 0.0

    def is_due(self, now: float) -> bool:
        """Whether it must be read again."""
        return now - self._read > _HOLDS

    def set(self, shown: float, asked: float) -> None:
        """It showed this when it was asked. It may be taken for a little later than it is, never
        for earlier: nothing expires late.
        """
        self._read, self._ahead = asked, shown - asked

    def at(self, now: float) -> float:
        """What it shows now."""
        return now + self._ahead
