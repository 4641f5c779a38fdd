"""Counters with an expiry, shared by the replicas: what regulation of log-ins stands on."""

from typing import Protocol


class Counters(Protocol):
    """Counters by name. Raises StoreUnavailable when the outcome is unknown."""

    async def increment(self, name: str, window: float) -> tuple[int, float]:
        """Count one more under this name; return the count and the seconds until it ends.

        A counter begins with its first increment and ends `window` seconds later.
        """
