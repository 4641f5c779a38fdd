"""The greatest of the values of the last minute, for a few words of memory."""

_HALF = 30.0  # seconds


class RollingMax:
    """Forgets a value between half a minute and a minute after it was noted.

    Times are seconds of one clock that never goes back. Another thread may ask for the greatest.
    """

    def __init__(self) -> None:
        self._began = 0.0
        self._before = 0.0
        self._now = 0.0

    def note(self, value: float, now: float) -> None:
        """Take a value into account."""
        if now - self._began >= _HALF:
            self._before = self._now if now - self._began < 2 * _HALF else 0.0
            self._began, self._now = now, 0.0
        self._now = max(self._now, value)

    def greatest(self, now: float) -> float:
        """The greatest value that is not forgotten yet, 0 without any."""
        passed = now - self._began
        if passed >= 2 * _HALF:
            return 0.0
        return self._now if passed >= _HALF else max(self._before, self._now)
