"""Strict JSON parser: refuses texts that parsers interpret differently (RFC 8259, RFC 7493)."""

import json
from typing import Any


def read_object(raw: bytes) -> dict[str, Any]:
    """Parse UTF-8 bytes that contain a single JSON object.

    Raises:
        ValueError: it is not an object, or has duplicate keys, NaN, lone surrogates, trailing
            bytes, or nesting or numbers beyond Python's limits.
    """
    text = raw.decode("utf-8").strip(_WHITE_SPACE)
    try:
        value, end = _DECODE(text)
        # UTF-8 cannot encode surrogates; only an escape can.
        if b"\\u" in raw:
            _refuse_surrogates(value)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if end != len(text):
        raise ValueError("more than one value")
    if not isinstance(value, dict):
        raise ValueError("not an object")  # noqa: TRY004  the content is wrong, not a Python type
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a key is duplicated")
    return members


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


# json.loads with these options would create a decoder for each text.
_DECODE = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_refuse_constant).raw_decode
_WHITE_SPACE = " \t\n\r"  # RFC 8259 section 2


def _refuse_surrogates(value: Any) -> None:
    # A lone escape such as \\ud800 is not a character and cannot be encoded as UTF-8.
    json.dumps(value, ensure_ascii=False).encode("utf-8")
