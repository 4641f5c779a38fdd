"""Validators of replies: each reply's type is checked before it is used.

A reply of another type comes from a server that is not Redis, from a proxy in between, or from a
connection on which replies no longer match commands, so that the next belongs to another call.
"""

import re
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

import hiredis

from authgw.storage.redis.errors import RedisError

Words = Sequence[str | int | bytes]
Shape = Callable[[Any], bool]

_SID = re.compile(rb"[A-Za-z0-9_-]{44}")
_DIGITS = re.compile(rb"[0-9]{1,18}")
_SCORE = re.compile(rb"-?[0-9]{1,18}(\.[0-9]{1,18})?(e[+-]?[0-9]{1,2})?")
_MEMBER = re.compile(rb"[!-~]+ [!-~]+ [!-~]+")
_VISIBLE = re.compile(rb"[!-~]*")
SLOTS = 16384


class UnexpectedReplyError(RedisError):
    """Raised for a reply that the command cannot have; its effect is unknown."""


class Sendable(Protocol):
    """A command as it is sent; `accepts` returns True for valid replies."""

    @property
    def words(self) -> Words:
        """The name of the command and its arguments."""

    @property
    def accepts(self) -> Shape:
        """The validator of its replies."""


class Request(NamedTuple):
    """A command for a certain server; see `Sendable`."""

    words: Words
    accepts: Shape


def is_integer(reply: Any) -> bool:
    """Return True for a 64-bit integer, but not for a boolean of RESP3."""
    return type(reply) is int and -(2**63) <= reply < 2**63


def is_count(reply: Any) -> bool:
    """Return True for an integer that is not negative."""
    return is_integer(reply) and reply >= 0


def is_flag(reply: Any) -> bool:
    """Return True for 0 or 1."""
    return is_integer(reply) and reply in (0, 1)


def is_ok(reply: Any) -> bool:
    """Return True for the status OK."""
    return type(reply) is bytes and reply == b"OK"


def is_hello(reply: Any) -> bool:
    """Return True for the reply to HELLO of a server that speaks RESP3 from now on."""
    return type(reply) is dict and reply.get(b"proto") == 3


def is_text(reply: Any) -> bool:
    """Return True for text in UTF-8."""
    if type(reply) is not bytes:
        return False
    try:
        reply.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def is_subscribed(reply: Any) -> bool:
    """Return True for the reply to SUBSCRIBE to a first channel (RESP3 pushes it)."""
    return type(reply) is hiredis.PushNotification and reply[::2] == [b"subscribe", 1]


def is_message(reply: Any) -> bool:
    """Return True for a message of a channel."""
    return (
        type(reply) is hiredis.PushNotification
        and len(reply) == 3
        and reply[0] == b"message"
        and type(reply[2]) is bytes
    )


def is_nothing(reply: Any) -> bool:
    """Return True for a null reply."""
    return reply is None


def is_value(reply: Any) -> bool:
    """Return True for the value of a key or a null reply; `load` validates the content."""
    return reply is None or type(reply) is bytes


def is_time(reply: Any) -> bool:
    """Return True for seconds and microseconds, the reply to TIME."""
    return row(_matching(_DIGITS), _matching(_DIGITS))(reply)


def is_role(reply: Any) -> bool:
    """Return True for the role of a server and, for a master, the list of its replicas."""
    if type(reply) is not list or len(reply) < 3 or type(reply[0]) is not bytes:
        return False
    return reply[0] != b"master" or type(reply[2]) is list


def is_slots(reply: Any) -> bool:
    """Return True for ranges of slots, each with its nodes, the reply to CLUSTER SLOTS."""
    return type(reply) is list and all(map(_is_slot_range, reply))


def is_settings(reply: Any) -> bool:
    """Return True for names with values, the reply to CONFIG GET in RESP2 or RESP3."""
    pairs = [*reply, *reply.values()] if type(reply) is dict else reply
    return type(pairs) is list and len(pairs) % 2 == 0 and all(map(is_text, pairs))


def is_nothing_or_ok(reply: Any) -> bool:
    """Return True for the reply to SET with NX."""
    return reply is None or is_ok(reply)


def row(*shapes: Shape) -> Shape:
    """Return a validator of lists with exactly these elements."""

    def accepts(reply: Any) -> bool:
        if type(reply) is not list or len(reply) != len(shapes):
            return False
        for shape, element in zip(shapes, reply, strict=True):  # noqa: SIM110  all() is slower
            if not shape(element):
                return False
        return True

    return accepts


def list_of(shape: Shape) -> Shape:
    """Return a validator of lists of any length whose elements have this shape."""
    return lambda reply: type(reply) is list and all(map(shape, reply))


def either(*shapes: Shape) -> Shape:
    """Return a validator of replies that have any of these shapes."""

    def accepts(reply: Any) -> bool:
        for shape in shapes:  # noqa: SIM110  any() is slower
            if shape(reply):
                return True
        return False

    return accepts


def exactly(value: int) -> Shape:
    """Return a validator of a single integer."""
    return lambda reply: type(reply) is int and reply == value


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
    is_range = is_count(first) and is_count(last) and first <= last < SLOTS
    return is_range and all(map(_is_node, nodes))


def _is_node(reply: Any) -> bool:
    return (
        type(reply) is list
        and len(reply) >= 2
        and (reply[0] is None or is_text(reply[0]))
        and is_count(reply[1])
    )
