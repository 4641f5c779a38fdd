"""How sessions are named in Redis; a subject's keys share one slot of a Cluster."""


def prefix(h: str) -> str:
    """What the keys of a subject's sessions begin with; their sid follows."""
    return f"authgw:{{{h}}}:s:"


def index(h: str) -> str:
    """The sorted set of a subject's sids."""
    return f"authgw:{{{h}}}:i"


def note(h: str) -> str:
    """What is written when there was nothing to end, so that a replica can be waited for."""
    return f"authgw:{{{h}}}:w"


def hash_of_index(key: str) -> str:
    """The subject's hash in the key that `index` made."""
    return key.removeprefix("authgw:{").removesuffix("}:i")
