"""JSON read so that no two readers can disagree about what it says (RFC 8259, RFC 7493)."""

import json
from typing import Any


def read_object(raw: bytes) -> dict[str, Any]:
    """The one object that these UTF-8 bytes are.

    Raises:
        ValueError: anything else: duplicate keys, NaN, lone surrogates, trailing bytes, nesting
            or numbers beyond what Python reads.
    """
    text = raw.decode("utf-8").strip(_WHITE_SPACE)
    try:
        value, end = _DECODE(text)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if end != len(text):
        raise ValueError("more than one value")
    if not isinstance(value, dict):
        raise ValueError("not an object")  # noqa: TRY004  the text is wrong, not its type
    # UTF-8 holds none; only an escape can name one.
    if b"\\u" in raw:
        _refuse_surrogates(value)
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a key stands twice")
    return members


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


# json.loads with these would make a decoder for each text.
_DECODE = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_no_constant).raw_decode
_WHITE_SPACE = " \t\n\r"  # RFC 8259 section 2


def _refuse_surrogates(value: Any) -> None:
    # An escape such as \\ud800 alone names no character and cannot be written as UTF-8.
    json.dumps(value, ensure_ascii=False).encode("utf-8")
