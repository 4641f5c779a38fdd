"""Canonical paths, their ambiguities, and all readings of a path.

A path is ambiguous if two servers could resolve it to different targets. This module only detects
ambiguities; the rules decide which of them to admit.
"""

import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum

from authgw.core.limits import MAX_DECODING_ROUNDS
from authgw.core.readings import (
    EndlessReadingsError,
    decoded,
    decoded_by_iis,
    filtered_first,
    readings_of,
    to_bytes,
    to_text,
)

# Paths that every server reads alike, so that most requests skip the full analysis.
_PLAIN = re.compile(r"(?!.*\.\.)(?:/[A-Za-z0-9._~!&'()*+,=:@-]+(?<!\.))*/?")
_ENCODED_SLASH = re.compile(rb"%2f", re.IGNORECASE)


class Ambiguity(Enum):
    """Kinds of ambiguity; a rule can admit the first six (`encoded:`)."""

    SLASH = "slash"
    PERCENT = "percent"
    SEMICOLON = "semicolon"
    DOUBLE_SLASH = "double-slash"
    BACKSLASH = "backslash"
    NOT_UTF8 = "bytes"
    DOT_SEGMENT = "dot-segment"
    RAW_BACKSLASH = "raw-backslash"
    CONTROL = "control"
    FRAGMENT = "fragment"
    ENDLESS = "endless"


ADMISSIBLE = frozenset(
    {
        Ambiguity.SLASH,
        Ambiguity.PERCENT,
        Ambiguity.SEMICOLON,
        Ambiguity.DOUBLE_SLASH,
        Ambiguity.BACKSLASH,
        Ambiguity.NOT_UTF8,
    }
)


@dataclass(frozen=True, slots=True)
class CanonicalPath:
    """A raw path, its text after a single decoding, and its ambiguities.

    `others` are the readings that differ from the text: those of an ambiguous path, and those of
    lenient servers (`/admin.` on Windows), which matter only if they lead to another rule.
    """

    raw: str
    text: str
    ambiguities: frozenset[Ambiguity]
    others: frozenset[str] = frozenset()

    @property
    def is_plain(self) -> bool:
        """Return True if every server reads this path alike."""
        return not self.ambiguities and not self.others

    @property
    def is_admissible(self) -> bool:
        """Return True if a rule could admit all ambiguities of this path."""
        return self.ambiguities <= ADMISSIBLE

    def readings(self) -> frozenset[str]:
        """Return all texts that an upstream could read from this path."""
        return frozenset({_printable(self.text)}) | self.others


def canonical_path(raw: str) -> CanonicalPath:
    """Return the canonical form of any raw path; bytes that are not UTF-8 are surrogate escapes."""
    if _PLAIN.fullmatch(raw):
        return CanonicalPath(raw, raw, frozenset())
    text = decoded(raw)
    rounds = _rounds(text)
    readings, endless = frozenset(rounds), True
    with suppress(EndlessReadingsError):
        readings, endless = readings_of({text, _opaque_slashes(raw), *filtered_first(raw)}), False
    detected = {
        Ambiguity.SLASH: _ENCODED_SLASH.search(to_bytes(raw)) is not None,
        Ambiguity.PERCENT: "%" in text,
        Ambiguity.SEMICOLON: any(";" in each for each in rounds),
        Ambiguity.DOUBLE_SLASH: any("//" in each for each in rounds),
        Ambiguity.BACKSLASH: any("\\" in each for each in rounds),
        Ambiguity.NOT_UTF8: any(_is_broken(each) for each in rounds),
        Ambiguity.DOT_SEGMENT: any(_has_dot_segment(each) for each in readings),
        Ambiguity.RAW_BACKSLASH: "\\" in raw,
        Ambiguity.CONTROL: any(_has_control(each, rounds) for each in readings),
        Ambiguity.FRAGMENT: "#" in raw,
        Ambiguity.ENDLESS: endless,
    }
    kinds = frozenset(kind for kind, is_present in detected.items() if is_present)
    others = frozenset(map(_printable, readings)) - {_printable(text)}
    return CanonicalPath(raw, text, kinds, others)


def _rounds(text: str) -> Sequence[str]:
    """Return the text and the results of further rounds of decoding."""
    rounds = [text]
    while len(rounds) <= MAX_DECODING_ROUNDS:
        again = decoded_by_iis(decoded(rounds[-1]))
        if again == rounds[-1]:
            break
        rounds.append(again)
    return rounds


def _opaque_slashes(raw: str) -> str:
    """Return the reading of an upstream that takes an encoded slash as part of a name."""
    return decoded(to_text(_ENCODED_SLASH.sub(b"%252f", to_bytes(raw))))


def _has_dot_segment(text: str) -> bool:
    # Some servers cut parameters off a segment before they resolve it, and read `..;a` as `..`.
    segments = text.replace("\\", "/").split("/")
    return any(segment.partition(";")[0] in (".", "..") for segment in segments)


def _has_control(text: str, rounds: Sequence[str]) -> bool:
    if any(char < " " or char == "\x7f" for char in text):
        return True
    # Bytes of other encodings, decoded as Latin-1, look like control characters from 0x80 on.
    return text in rounds and any("\x7f" < char < "\xa0" for char in text)


def _is_broken(text: str) -> bool:
    return any("\ud800" <= char < "\ue000" for char in text)


def _printable(text: str) -> str:
    # Patterns match text only; each byte that is not UTF-8 becomes a character.
    return text.encode("utf-8", "replace").decode()
