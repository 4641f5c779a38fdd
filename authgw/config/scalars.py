"""Single values as people write them: the key decides their type, not the spelling.

YAML 1.1 reads `010` as 8, `12:30` as 750, `off` as false, `2024` as a number. Here a value stays
text until the key is known, so that a text is taken as written, and a number must be plain.
"""

import re
from typing import Any

_NULLS = frozenset({"", "~", "null", "Null", "NULL"})
_WHOLE = re.compile(r"-?(?:0|[1-9][0-9]{0,17})", re.ASCII)
_TRUE = frozenset({"true", "yes", "on"})
_FALSE = frozenset({"false", "no", "off"})


class UnquotedScalar(str):
    """A value that was written without quotes."""

    __slots__ = ()


def is_null(text: str) -> bool:
    """Return True if this unquoted text means an absent value in YAML."""
    return text in _NULLS


def whole(value: Any) -> Any:
    """Return the integer of a plain decimal number; leave what is not unquoted text alone.

    Raises:
        ValueError: unquoted text that is not a plain decimal number.
    """
    if not isinstance(value, UnquotedScalar):
        return value
    if not _WHOLE.fullmatch(value):
        raise ValueError("is not a valid integer: write it in plain decimal digits, such as 8080")
    return int(value)


def flag(value: Any) -> Any:
    """Return the boolean of true, false, yes, no, on, off; leave what is not unquoted text alone.

    Raises:
        ValueError: other unquoted text.
    """
    if not isinstance(value, UnquotedScalar):
        return value
    # As YAML 1.1: true, True, TRUE, and no other mix of cases.
    word = value.lower() if value in (value.lower(), value.upper(), value.capitalize()) else ""
    if word not in _TRUE | _FALSE:
        raise ValueError("is not a valid boolean: write true or false")
    return word in _TRUE


def listed(value: Any) -> Any:
    """Return a list of one for a single text."""
    return [value] if isinstance(value, str) else value


def comma_separated(value: Any) -> Any:
    """Return the list that `a, b` stands for; leave what is not text alone."""
    return [part.strip() for part in value.split(",")] if isinstance(value, str) else value
