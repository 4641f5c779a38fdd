"""How sessions are named in Redis; a subject's keys share one slot of a Cluster."""


def prefix(h: str) -> str:
    """What the keys of a subject's sessions begin with; their sid follows."""
    return f"authgw:{{{h}}}:s:"


def index(h: str) -> str:
    """The sorted set of a subject's sids."""
    return f"authgw:{{{h}}}:i"


def hash_of_index(key: bytes) -> str:
    """The subject's hash in the key that `index` made."""
    return key.decode("ascii").removeprefix("authgw:{").removesuffix("}:i")
