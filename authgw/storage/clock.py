"""An estimate of a store server's clock, which saves a TIME command with each read.

Between two readings it advances with this machine's CLOCK_BOOTTIME, which is never set and includes
the time in which the machine is suspended (clock_gettime(2)).
"""

import math
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial

_READING_INTERVAL = 10.0  # seconds; the delay until a step of the server's clock is noticed
# Well below the leeway of tokens, and well above the delay that a busy machine adds to a reply.
_MAX_DIFFERENCE = 2.0  # seconds

boottime: Callable[[], float] = partial(time.clock_gettime, time.CLOCK_BOOTTIME)


class ServerClock:
    """Estimate of a server's clock in Unix seconds; all arguments `now` are of `boottime`."""

    def __init__(self) -> None:
        self._read_at = -math.inf
        self._offset = 0.0

    def is_due(self, now: float) -> bool:
        """Return True if the server's clock must be read again."""
        return now - self._read_at > _READING_INTERVAL

    def set(self, reading: float, sent: float) -> None:
        """Adopt a reading whose request was sent at the boot time `sent`.

        The estimate may be slightly later than the server's clock, never earlier, so that nothing
        expires late.
        """
        self._read_at, self._offset = sent, reading - sent

    def at(self, now: float) -> float:
        """Return the estimate for this boot time."""
        return now + self._offset


def clock_warning(here: float, there: float, name: str) -> str:
    """Describe how far this machine's clock and that of the server `name` differ.

    Both are in Unix seconds. Return "" if they agree well enough.
    """
    ahead = here - there
    if abs(ahead) <= _MAX_DIFFERENCE:
        return ""
    way = "ahead" if ahead > 0 else "behind"
    return (
        f"This machine's clock shows {_utc(here)}, {abs(ahead):.0f} s {way} of {name}'s "
        f"({_utc(there)}). Beyond 5 s tokens are refused (token_not_yet_valid, token_expired). "
        "Synchronise both clocks by NTP."
    )


def _utc(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S} UTC"
