"""How sessions are named in Redis; a subject's keys share one slot of a Cluster."""

import re

_INDEX = re.compile(rb"authgw:\{[A-Za-z0-9_-]{22}\}:i")


def prefix(h: str) -> str:
    """What the keys of a subject's sessions begin with; their sid follows."""
    return f"authgw:{{{h}}}:s:"


def index(h: str) -> str:
    """The sorted set of a subject's sids."""
    return f"authgw:{{{h}}}:i"


def note(h: str) -> str:
    """What is written when there was nothing to end, so that a replica can be waited for."""
    return f"authgw:{{{h}}}:w"


def is_index(key: object) -> bool:
    """Whether this is a key that `index` made."""
    return isinstance(key, bytes) and _INDEX.fullmatch(key) is not None


def hash_of_index(key: str) -> str:
    """The subject's hash in the key that `index` made."""
    return key.removeprefix("authgw:{").removesuffix("}:i")
