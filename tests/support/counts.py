"""The size of a test: small for every change, whole in `make soak`, else a share of that."""

import os

_SHARE = float(os.environ.get("AUTHGW_SOAK") or 0)  # of the size in `make soak`
SOAK = _SHARE > 0


def count(usual: int, soaking: int) -> int:
    """Return the number of rounds, requests or seconds for this run."""
    return max(usual, int(soaking * _SHARE))
