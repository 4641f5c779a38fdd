"""Storage of sessions and counters: in memory, Redis and SQLite."""

from authgw.core.errors import OperatorError


class StoreSetupError(OperatorError):
    """Raised when a store must not be used as it is; the message gives the reason and a remedy."""
