"""Slots of a Redis Cluster, of keys and of nodes."""

import pytest
from redis.crc import key_slot

from authgw.storage.redis.slots import SlotRange, slot_of, slots_in


def test_slots_are_those_of_redis() -> None:
    # As CLUSTER KEYSLOT replies.
    assert [slot_of(key) for key in ("foo", "x{foo}y", "")] == [12182, 12182, 0]


@pytest.mark.parametrize(
    "key",
    ["{a}b", "a{b}c{d}", "{}a", "a{}{b}", "{a", "a}b{c}", "}{", "{{a}}", "a{b", "\u2603{\u2603}"],
)
def test_the_part_in_braces_is_that_of_the_library(key: str) -> None:
    assert slot_of(key) == key_slot(key.encode())


def test_a_reply_to_cluster_slots_is_read() -> None:
    reply = [
        [0, 9, [b"10.0.0.1", 7000, b"id"], [b"10.0.0.2", 7001, b"id"]],
        [10, 16382, [b"", 7002, b"id"]],
        [16383, 16383, [None, 7003, b"id", []]],
    ]
    # A host that is empty or null is the queried node's.
    assert slots_in(reply, "seed") == [
        SlotRange(0, 9, ("10.0.0.1", 7000), (("10.0.0.2", 7001),)),
        SlotRange(10, 16382, ("seed", 7002), ()),
        SlotRange(16383, 16383, ("seed", 7003), ()),
    ]
