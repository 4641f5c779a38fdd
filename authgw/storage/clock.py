"""The clock of a store's server, so that not every read has to ask for it.

Between two readings of it time passes as on this machine's CLOCK_BOOTTIME, which nobody sets and
which goes on while the machine sleeps (clock_gettime(2)).
"""

import math
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial

_HOLDS = 10.0  # seconds; how late it may be seen that the server's clock was set
# Well below the leeway of tokens, and well above what a busy machine adds to an answer.
_TOLERATED = 2.0  # seconds

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


def apart(here: float, there: float, name: str) -> str:
    """What to say of this machine's clock and that of a server called `name`, both in Unix
    seconds; nothing if they agree well enough.
    """
    ahead = here - there
    if abs(ahead) <= _TOLERATED:
        return ""
    way = "ahead" if ahead > 0 else "behind"
    return (
        f"This machine's clock shows {_shown(here)}, {abs(ahead):.0f} s {way} of {name}'s "
        f"({_shown(there)}). Beyond 5 s tokens are refused (token_not_yet_valid, token_expired). "
        "Set both by NTP."
    )


def _shown(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S} UTC"
