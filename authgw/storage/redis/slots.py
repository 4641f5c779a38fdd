"""The slots of a Redis Cluster: of a key, and of each node (Redis Cluster specification)."""

from binascii import crc_hqx
from typing import Any, NamedTuple

from authgw.storage.redis.link import Address
from authgw.storage.redis.replies import SLOTS


class SlotRange(NamedTuple):
    """Slots from `first` to `last`, with their master and its replicas."""

    first: int
    last: int
    primary: Address
    replicas: tuple[Address, ...]


def slot_of(key: str) -> int:
    """Return the slot of this key: of its first part in braces, or of all of it if that is empty.

    See the Redis Cluster specification, "Hash tags".
    """
    hashed = key.encode()
    _, _, rest = hashed.partition(b"{")
    tag, closing, _ = rest.partition(b"}")
    return crc_hqx(tag if closing and tag else hashed, 0) % SLOTS


def slots_in(reply: Any, host: str) -> list[SlotRange]:
    """Return the ranges in a reply to CLUSTER SLOTS by this host; `is_slots` has accepted it."""
    ranges = []
    for first, last, *nodes in reply:
        primary, *replicas = (_address(node, host) for node in nodes)
        ranges.append(SlotRange(first, last, primary, tuple(replicas)))
    return ranges


def _address(node: Any, host: str) -> Address:
    # A node that does not know its own address sends an empty or null one.
    name, port, *_ = node
    return (name.decode("utf-8") if name else host), port
