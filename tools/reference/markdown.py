"""Elements of Markdown."""

import re
from collections.abc import Iterable, Sequence

_IDENTIFIER = re.compile(r"(?<![$\w])[a-z]+(?:[._][a-z]+)+\b")
_SPACES = re.compile(r"\s+")


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table; a cell is a line of Markdown."""
    lines = [
        f"| {' | '.join(head)} |",
        f"|{'---|' * len(head)}",
        *(f"| {' | '.join(map(_cell, row))} |".replace("|  |", "| |") for row in rows),
    ]
    return "\n".join(lines)


def _cell(text: str) -> str:
    return _SPACES.sub(" ", text).strip().replace("|", r"\|")


def code(text: str) -> str:
    """Return text as inline code; with more backticks around it if it contains any."""
    fence = "``" if "`" in text else "`"
    return f"{fence}{text}{fence}"


def with_identifiers(text: str) -> str:
    """Return a plain text with names of keys, metrics and codes as inline code."""
    parts = text.split("`")
    return "`".join(
        part if number % 2 else _IDENTIFIER.sub(r"`\g<0>`", part)
        for number, part in enumerate(parts)
    )


def block(language: str, text: str) -> str:
    """Return a block of code in this language."""
    return f"```{language}\n{text.rstrip()}\n```"


def sentence(text: str) -> str:
    """Return a text that begins with a capital and ends with a full stop."""
    text = text.strip()
    first = text[:1] if text.startswith("authgw") else text[:1].upper()
    return f"{first}{text[1:]}{'' if text.endswith(('.', '?', '!', ':')) else '.'}"


def joined(*parts: str) -> str:
    """Return the parts that are not empty as paragraphs."""
    return "\n\n".join(part.strip("\n") for part in parts if part)
