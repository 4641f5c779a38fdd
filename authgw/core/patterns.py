"""Compiled patterns of paths."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import re2

from authgw.core.readings import EndlessReadingsError, readings_of


@dataclass(frozen=True, slots=True)
class PathPattern:
    """A compiled pattern; `prefix` is its literal beginning, `anchor` its segments, folded.

    `as_read` also matches what servers that forgive too much make of the pattern's own letters.
    """

    source: str
    prefix: str
    anchor: tuple[str, ...]
    compiled: "re2._Regexp[str]" = field(repr=False, compare=False)
    in_any_case: "re2._Regexp[str]" = field(repr=False, compare=False)
    as_read: "re2._Regexp[str]" = field(repr=False, compare=False)

    def holds(self, readings: Iterable[str]) -> bool:
        """Return whether every reading of a path stays inside this pattern."""
        return all(self.as_read.fullmatch(text) is not None for text in readings)

    def resembles(self, text: str) -> bool:
        """Whether the whole text is matched by an upstream that ignores case."""
        return self.in_any_case.fullmatch(text) is not None

    def matches(self, text: str) -> bool:
        """Whether the whole text is matched."""
        return self.compiled.fullmatch(text) is not None


def pattern_of(
    source: str, prefix: str, anchor: list[str], expression: str, as_read: str = ""
) -> PathPattern:
    """Compile a pattern.

    Raises:
        re2.error: RE2 refuses the expression.
    """
    options = re2.Options()
    options.log_errors = False
    compiled = re2.compile(expression, options)
    also = re2.compile(as_read, options) if as_read else compiled
    options.case_sensitive = False
    folded = tuple(segment.casefold() for segment in anchor)
    return PathPattern(source, prefix, folded, compiled, re2.compile(expression, options), also)


def alternatives(text: str, translate: Callable[[str], str]) -> str:
    """Return an expression for all readings of a glob's own letters, nothing if there is one."""
    try:
        readings = readings_of({text})
    except EndlessReadingsError:
        return ""
    return "|".join(map(translate, sorted(readings))) if len(readings) > 1 else ""


def translated(text: str) -> str:
    """Return the expression of a glob."""
    body, below = (text[:-3], "(?:/.*)?") if text.endswith("/**") else (text, "")
    parts = [
        "[^/]*".join(re2.escape(piece) for piece in part.split("*")) for part in body.split("**")
    ]
    return "(?s:" + ".*".join(parts) + below + ")"
