"""Where sessions live."""


class StoreRefused(ValueError):
    """A store that must not be used as it is; the message says why and what to do."""
