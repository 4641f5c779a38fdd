"""Names of the keys and the channel in Redis; a Cluster has a subject's keys in one slot."""

import re

ENDED_CHANNEL = "authgw:ended"  # the sid of each session that ends is published on it
_RECORD = re.compile(rb"authgw:[rm]:[A-Za-z0-9_-]{43}")
_INDEX = re.compile(rb"authgw:\{[A-Za-z0-9_-]{22}\}:i")


def prefix(h: str) -> str:
    """Return the prefix of the keys of a subject's sessions; the sid follows it."""
    return f"authgw:{{{h}}}:s:"


def index(h: str) -> str:
    """Return the key of the sorted set of a subject's sids."""
    return f"authgw:{{{h}}}:i"


def note(h: str) -> str:
    """Return the key that is written when no session was ended, so that WAIT has a write."""
    return f"authgw:{{{h}}}:w"


def record(hashed: str) -> str:
    """Return the key of a record by the hash of its name."""
    return f"authgw:r:{hashed}"


def record_set(hashed: str) -> str:
    """Return the key of a set of records by the hash of its name."""
    return f"authgw:m:{hashed}"


def is_record(key: object) -> bool:
    """Return True for a key that `record` or `record_set` returns."""
    return isinstance(key, bytes) and _RECORD.fullmatch(key) is not None


def hash_of_record(key: str) -> str:
    """Return the hash of the name in a key that `record` or `record_set` returned."""
    return key.rpartition(":")[2]


def is_index(key: object) -> bool:
    """Return True for a key that `index` returns."""
    return isinstance(key, bytes) and _INDEX.fullmatch(key) is not None


def hash_of_index(key: str) -> str:
    """Return the subject's hash in a key that `index` returned."""
    return key.removeprefix("authgw:{").removesuffix("}:i")
