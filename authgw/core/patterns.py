"""Compiled patterns of paths."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import re2

from authgw.core.readings import readings_of


@dataclass(frozen=True, slots=True)
class PathPattern:
    """A compiled pattern of paths.

    `prefix` is its literal beginning, `anchor` the case-folded segments of it. `lenient` also
    matches the readings that lenient servers have of the pattern's own letters.
    """

    source: str
    prefix: str
    anchor: tuple[str, ...]
    compiled: "re2._Regexp[str]" = field(repr=False, compare=False)
    ignoring_case: "re2._Regexp[str]" = field(repr=False, compare=False)
    lenient: "re2._Regexp[str]" = field(repr=False, compare=False)

    def matches_all(self, readings: Iterable[str]) -> bool:
        """Return True if every reading of a path matches this pattern."""
        return all(self.lenient.fullmatch(text) is not None for text in readings)

    def matches_ignoring_case(self, text: str) -> bool:
        """Return True if the whole text matches for an upstream that ignores case."""
        return self.ignoring_case.fullmatch(text) is not None

    def matches(self, text: str) -> bool:
        """Return True if the whole text matches."""
        return self.compiled.fullmatch(text) is not None


def pattern_of(
    source: str, prefix: str, anchor: list[str], expression: str, lenient: str = ""
) -> PathPattern:
    """Compile a pattern from an expression and, if it is not empty, a more lenient expression.

    Raises:
        re2.error: RE2 does not accept the expression.
    """
    options = re2.Options()
    options.log_errors = False
    compiled = re2.compile(expression, options)
    tolerant = re2.compile(lenient, options) if lenient else compiled
    options.case_sensitive = False
    folded = tuple(segment.casefold() for segment in anchor)
    return PathPattern(source, prefix, folded, compiled, re2.compile(expression, options), tolerant)


def alternatives(text: str, translate: Callable[[str], str]) -> str:
    """Return an expression for all readings of a glob's own text, empty if only the text itself.

    Raises:
        EndlessReadingsError: the text has too many readings, so it is ambiguous as a path.
    """
    readings = readings_of({text})
    return "|".join(map(translate, sorted(readings))) if len(readings) > 1 else ""


def glob_expression(text: str) -> str:
    """Translate a glob into a regular expression."""
    body, below = (text[:-3], "(?:/.*)?") if text.endswith("/**") else (text, "")
    parts = [
        "[^/]*".join(re2.escape(piece) for piece in part.split("*")) for part in body.split("**")
    ]
    return "(?s:" + ".*".join(parts) + below + ")"
