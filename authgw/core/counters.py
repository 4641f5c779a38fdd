"""Interface of shared counters with an expiry and of claims (values that can be used once).

Login throttling and single-use codes depend on them. A name is any text that UTF-8 can encode;
a store keeps its hash, so that no name becomes part of a key.
"""

from collections.abc import Sequence
from typing import Protocol


class Counters(Protocol):
    """Counters and claims by name, shared by the replicas.

    Raises:
        StoreUnavailableError: the outcome is unknown.
    """

    async def increment(self, name: str, window: float) -> tuple[int, float]:
        """Increment a counter; return its count and the seconds until it expires.

        A counter begins with its first increment and expires `window` seconds later.
        """

    async def increment_all(self, counted: Sequence[tuple[str, float]]) -> list[tuple[int, float]]:
        """Increment several (name, window) in a single round trip; return results in order.

        Each increment is atomic, the batch is not.
        """

    async def release(self, forget: Sequence[str], give_back: Sequence[str]) -> None:
        """Delete the counters in `forget` and decrement those in `give_back`, in a round trip.

        A decremented counter keeps its expiry and is deleted at zero; a counter that does not
        exist is not created.
        """

    async def claim(self, name: str, seconds: float) -> bool:
        """Claim a name for `seconds`; return True if it was not claimed yet.

        Claims and counters have separate names.
        """
