"""What each Redis command may reply: every reply is looked at before it is believed.

A reply of another type comes from a server that is not Redis, from a proxy in between, or from a
connection that is out of step, on which the next reply would belong to another call.
"""

import re
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from redis.exceptions import RedisError

Words = Sequence[str | int | bytes]
Shape = Callable[[Any], bool]

_SID = re.compile(rb"[A-Za-z0-9_-]{44}")
_DIGITS = re.compile(rb"[0-9]{1,18}")
_SCORE = re.compile(rb"-?[0-9]{1,18}(\.[0-9]{1,18})?(e[+-]?[0-9]{1,2})?")
_MEMBER = re.compile(rb"[!-~]+ [!-~]+ [!-~]+")
_VISIBLE = re.compile(rb"[!-~]*")
_SLOTS = 16384


class UnexpectedReplyError(RedisError):
    """A reply that the command does not have; whether it did something is unknown."""


class Request(NamedTuple):
    """A command as it is sent; `takes` accepts the replies that it may have."""

    words: Words
    takes: Shape


def is_integer(reply: Any) -> bool:
    """A 64-bit integer, never a boolean of RESP3."""
    return type(reply) is int and -(2**63) <= reply < 2**63


def is_count(reply: Any) -> bool:
    """An integer from 0."""
    return is_integer(reply) and reply >= 0


def is_flag(reply: Any) -> bool:
    """0 or 1."""
    return is_integer(reply) and reply in (0, 1)


def is_ok(reply: Any) -> bool:
    """The status OK."""
    return type(reply) is bytes and reply == b"OK"


def is_text(reply: Any) -> bool:
    """Text in UTF-8."""
    if type(reply) is not bytes:
        return False
    try:
        reply.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def is_nothing(reply: Any) -> bool:
    """No value."""
    return reply is None


def is_value(reply: Any) -> bool:
    """What a key holds, or nothing; what is in it is for `load` to judge."""
    return reply is None or type(reply) is bytes


def is_time(reply: Any) -> bool:
    """Seconds and microseconds, as TIME replies."""
    return row(_matching(_DIGITS), _matching(_DIGITS))(reply)


def is_role(reply: Any) -> bool:
    """The kind of a server and, of a master, its replicas."""
    if type(reply) is not list or len(reply) < 3 or type(reply[0]) is not bytes:
        return False
    return reply[0] != b"master" or type(reply[2]) is list


def is_slots(reply: Any) -> bool:
    """Ranges of slots, each with its nodes, as CLUSTER SLOTS replies."""
    return type(reply) is list and all(map(_is_slot_range, reply))


def is_settings(reply: Any) -> bool:
    """Names with values, as CONFIG GET replies in RESP2 or RESP3."""
    pairs = [*reply, *reply.values()] if type(reply) is dict else reply
    return type(pairs) is list and len(pairs) % 2 == 0 and all(map(is_text, pairs))


def is_nothing_or_ok(reply: Any) -> bool:
    """The reply to SET with NX."""
    return reply is None or is_ok(reply)


def row(*shapes: Shape) -> Shape:
    """A list with exactly these parts."""

    def takes(reply: Any) -> bool:
        return (
            type(reply) is list
            and len(reply) == len(shapes)
            and all(shape(part) for shape, part in zip(shapes, reply, strict=True))
        )

    return takes


def list_of(shape: Shape) -> Shape:
    """A list of any length whose parts are alike."""
    return lambda reply: type(reply) is list and all(map(shape, reply))


def either(*shapes: Shape) -> Shape:
    """Any one of these."""
    return lambda reply: any(shape(reply) for shape in shapes)


def exactly(value: int) -> Shape:
    """This integer."""
    return lambda reply: is_integer(reply) and reply == value


def _matching(pattern: re.Pattern[bytes]) -> Shape:
    return lambda reply: type(reply) is bytes and pattern.fullmatch(reply) is not None


is_sid = _matching(_SID)
is_score = _matching(_SCORE)
is_member = _matching(_MEMBER)
is_visible = _matching(_VISIBLE)
is_cursor = _matching(re.compile(rb"[0-9]{1,20}"))


def _is_slot_range(reply: Any) -> bool:
    if type(reply) is not list or len(reply) < 3:
        return False
    first, last, *nodes = reply
    known = is_count(first) and is_count(last) and first <= last < _SLOTS
    return known and all(map(_is_node, nodes))


def _is_node(reply: Any) -> bool:
    return (
        type(reply) is list
        and len(reply) >= 2
        and (reply[0] is None or is_text(reply[0]))
        and is_count(reply[1])
    )
