"""Counters with an expiry and once-only values, shared by the replicas: what log-ins stand on.

A name is any text that UTF-8 can hold; a store keeps its hash, so that no name reaches a key.
"""

from collections.abc import Sequence
from typing import Protocol


class Counters(Protocol):
    """Counters by name. Raises StoreUnavailableError when the outcome is unknown."""

    async def increment(self, name: str, window: float) -> tuple[int, float]:
        """Count one more under this name; return the count and the seconds until it ends.

        A counter begins with its first increment and ends `window` seconds later.
        """

    async def increment_all(self, counted: Sequence[tuple[str, float]]) -> list[tuple[int, float]]:
        """Increment several (name, window) in one round trip; answers come in the same order.

        Each one is atomic; together they are not.
        """

    async def release(self, forget: Sequence[str], give_back: Sequence[str]) -> None:
        """End the counters in `forget` and count one less in `give_back`, in one round trip.

        One that is given back keeps its end, and ends at once when nothing is left of it; one
        that is not there is not made.
        """

    async def claim(self, name: str, seconds: float) -> bool:
        """Whether this is the first claim of this name; a claim ends after `seconds`.

        Claims and counters of the same name are apart.
        """
