"""Scalar values, whose type depends on their key, not on their spelling.

YAML 1.1 reads `010` as 8, `12:30` as 750, `off` as false, `2024` as a number. Here a value stays
text until its key is known, so that text is unchanged and a number must be plain decimal digits.
"""

import re
from typing import Any

_NULLS = frozenset({"", "~", "null", "Null", "NULL"})
_INTEGER = re.compile(r"-?(?:0|[1-9][0-9]{0,17})", re.ASCII)
_TRUE = frozenset({"true", "yes", "on"})
_FALSE = frozenset({"false", "no", "off"})


class UnquotedScalar(str):
    """A value that is written without quotes."""

    __slots__ = ()


def is_null(text: str) -> bool:
    """Return True if this unquoted text is a null value in YAML."""
    return text in _NULLS


def parse_integer(value: Any) -> Any:
    """Return unquoted text as an integer; return other values unchanged.

    Raises:
        ValueError: The unquoted text is not a plain decimal number.
    """
    if not isinstance(value, UnquotedScalar):
        return value
    if not _INTEGER.fullmatch(value):
        raise ValueError("is not a valid integer: write plain decimal digits, such as 8080")
    return int(value)


def parse_boolean(value: Any) -> Any:
    """Return unquoted true, false, yes, no, on, off as a boolean; return other values unchanged.

    Raises:
        ValueError: The unquoted text is another word.
    """
    if not isinstance(value, UnquotedScalar):
        return value
    # YAML 1.1 allows true, True and TRUE, but no other mix of cases.
    word = value.lower() if value in (value.lower(), value.upper(), value.capitalize()) else ""
    if word not in _TRUE | _FALSE:
        raise ValueError("must be true or false: write one of these words without quotes")
    return word in _TRUE


def as_list(value: Any) -> Any:
    """Return a single text as a list; return other values unchanged."""
    return [value] if isinstance(value, str) else value


def comma_separated(value: Any) -> Any:
    """Return a text such as `a, b` as a list; return other values unchanged."""
    return [part.strip() for part in value.split(",")] if isinstance(value, str) else value
