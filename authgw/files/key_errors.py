"""Messages for invalid values of a file's keys: the place of a key, and pydantic's errors."""

from collections.abc import Iterable

_MISSING = "is missing: add it"
_MESSAGES = {
    "missing": _MISSING,
    "string_type": "is not text: write a single value, in quotes if YAML misreads it",
    "string_too_short": "is empty: write its value, or remove the key",
    "tuple_type": "must be a list: write [a, b], or a line with `- ` for each",
    "too_short": "is an empty list: write at least one value, or remove the key",
    "int_type": "is not a valid integer: write plain digits without quotes, such as 8080",
    "bool_type": "must be true or false: write it without quotes",
    "string_pattern_mismatch": "has characters that are not valid here: correct it",
}
# Beginnings of pydantic's messages that name the valid values.
_BEGINNINGS = (
    ("Value error, ", ""),
    ("Input should be greater than or equal to ", "is too small: write at least "),
    ("Input should be less than or equal to ", "is too large: write at most "),
    ("Input should be greater than ", "is too small: write more than "),
    ("String should have at most ", "is too long: write at most "),
)
_CHOICE = "Input should be "


def key_text(path: Iterable[str | int]) -> str:
    """Return a key as users write it: `rules[0].host` for `rules`, `0`, `host`."""
    text = ""
    for part in map(str, path):
        text += f"[{part}]" if part.isdigit() and text else f".{part}" if text else part
    return text


def value_error(kind: str, message: str) -> str:
    """Return what is wrong with a value, and the remedy, for an error of pydantic.

    Args:
        kind: The type of pydantic's error, such as `missing`.
        message: Its message; that of a validator of this project is returned unchanged.
    """
    if kind in _MESSAGES:
        return _MESSAGES[kind]
    if kind == "literal_error":
        choices = message.removeprefix(_CHOICE).replace("'", "")
        return f"is not a valid value: write {choices}"
    for beginning, replacement in _BEGINNINGS:
        if message.startswith(beginning):
            return replacement + message.removeprefix(beginning)
    return message
