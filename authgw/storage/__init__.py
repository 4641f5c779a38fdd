"""Where sessions live."""

from authgw.core.errors import Refused


class StoreRefused(Refused):
    """A store that must not be used as it is; the message says why and what to do."""
