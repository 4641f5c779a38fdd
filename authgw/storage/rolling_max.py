"""The maximum of the values of about the last minute, in constant memory."""

_HALF_WINDOW = 30.0  # seconds


class RollingMax:
    """Rolling maximum; a value counts for at least half a minute and at most a minute.

    Times are seconds of a monotonic clock. `greatest` may be called from another thread.
    """

    def __init__(self) -> None:
        self._half_start = 0.0
        self._previous_max = 0.0
        self._current_max = 0.0

    def add(self, value: float, now: float) -> None:
        """Add a value that was measured now."""
        if now - self._half_start >= _HALF_WINDOW:
            is_recent = now - self._half_start < 2 * _HALF_WINDOW
            self._previous_max = self._current_max if is_recent else 0.0
            self._half_start, self._current_max = now, 0.0
        self._current_max = max(self._current_max, value)

    def greatest(self, now: float) -> float:
        """Return the greatest value that still counts, 0 without any."""
        elapsed = now - self._half_start
        if elapsed >= 2 * _HALF_WINDOW:
            return 0.0
        if elapsed >= _HALF_WINDOW:
            return self._current_max
        return max(self._previous_max, self._current_max)
