"""Where sessions live."""

from authgw.core.errors import OperatorError


class StoreSetupError(OperatorError):
    """A store that must not be used as it is; the message says why and what to do."""
