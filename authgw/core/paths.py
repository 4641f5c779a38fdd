"""A path decoded once, why servers could disagree about it, and every way to read it.

A path is ambiguous if two servers could disagree about where it leads. Whether that matters is
for the rules to decide; here it is only found.
"""

import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum

from authgw.core.readings import (
    EndlessReadingsError,
    decoded,
    decoded_by_iis,
    filtered_first,
    readings_of,
    to_bytes,
    to_text,
)

# Paths that every server reads alike, so that most requests need no closer look.
_PLAIN = re.compile(r"(?!.*\.\.)(?:/[A-Za-z0-9._~!&'()*+,=:@-]+(?<!\.))*/?")
_ENCODED_SLASH = re.compile(rb"%2f", re.IGNORECASE)
_MAX_ROUNDS = 6


class Ambiguity(Enum):
    """Why servers could disagree; the first six can be admitted by a rule (`encoded:`)."""

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
    """A raw path, its text decoded once, and why it is ambiguous.

    `others` are readings besides the text: those of an ambiguous path, and those of servers that
    forgive more than they should (`/admin.` on Windows), which matter only where they lead to
    another rule.
    """

    raw: str
    text: str
    ambiguities: frozenset[Ambiguity]
    others: frozenset[str] = frozenset()

    @property
    def is_plain(self) -> bool:
        """Whether every server reads this path alike."""
        return not self.ambiguities and not self.others

    @property
    def is_admissible(self) -> bool:
        """Whether a rule could admit all kinds of ambiguity of this path."""
        return self.ambiguities <= ADMISSIBLE

    def readings(self) -> frozenset[str]:
        """Return every text that an upstream might take this path for."""
        return frozenset({_printable(self.text)}) | self.others


def canonical_path(raw: str) -> CanonicalPath:
    """Read a raw path (bytes that are not UTF-8 as surrogate escapes), without ever failing."""
    if _PLAIN.fullmatch(raw):
        return CanonicalPath(raw, raw, frozenset())
    text = decoded(raw)
    rounds = _rounds(text)
    readings, endless = frozenset(rounds), True
    with suppress(EndlessReadingsError):
        readings, endless = readings_of({text, _opaque_slashes(raw), *filtered_first(raw)}), False
    found = {
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
    kinds = frozenset(kind for kind, seen in found.items() if seen)
    others = frozenset(map(_printable, readings)) - {_printable(text)}
    return CanonicalPath(raw, text, kinds, others)


def _rounds(text: str) -> Sequence[str]:
    """Return the text and what further rounds of decoding make of it."""
    rounds = [text]
    while len(rounds) <= _MAX_ROUNDS:
        again = decoded_by_iis(decoded(rounds[-1]))
        if again == rounds[-1]:
            break
        rounds.append(again)
    return rounds


def _opaque_slashes(raw: str) -> str:
    """Return the text for an upstream to which an encoded slash is part of a name."""
    return decoded(to_text(_ENCODED_SLASH.sub(b"%252f", to_bytes(raw))))


def _has_dot_segment(text: str) -> bool:
    # Some servers cut parameters off a segment before they resolve it: `..;a` is `..` to them.
    segments = text.replace("\\", "/").split("/")
    return any(segment.partition(";")[0] in (".", "..") for segment in segments)


def _has_control(text: str, rounds: Sequence[str]) -> bool:
    if any(char < " " or char == "\x7f" for char in text):
        return True
    # Read as Latin-1, bytes of other encodings look like controls from 0x80 on.
    return text in rounds and any("\x7f" < char < "\xa0" for char in text)


def _is_broken(text: str) -> bool:
    return any("\ud800" <= char < "\ue000" for char in text)


def _printable(text: str) -> str:
    # Patterns read text only; each byte that is none counts as one character.
    return text.encode("utf-8", "replace").decode()
