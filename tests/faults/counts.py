"""How much a test does: little on every change, all of it in `make soak`."""

import os

SOAK = bool(os.environ.get("AUTHGW_SOAK"))


def count(usual: int, soaking: int) -> int:
    """The number of rounds, requests or seconds for this run."""
    return soaking if SOAK else usual
