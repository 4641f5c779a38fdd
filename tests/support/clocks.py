"""A clock that a test moves ahead."""

import time


class MovableClock:
    """The time of the machine, and what the test added."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def __call__(self) -> float:
        return time.time() + self.ahead

    def move(self, seconds: float) -> None:
        self.ahead += seconds
