"""What a path may be taken for: once decoded, and every other way an upstream might read it.

A path is ambiguous if two servers could disagree about where it leads. Whether that matters is
for the rules to say; here it is only found.
"""

import re
from dataclasses import dataclass
from enum import Enum
from urllib.parse import unquote_to_bytes

# Paths that everyone reads alike, so that most requests need no closer look.
_PLAIN = re.compile(r"(?:/(?!\.{1,2}(?:/|\Z))[A-Za-z0-9._~!$&'()*+,=:@-]+)*/?")
_ENCODED_SLASH = re.compile(rb"%2f", re.IGNORECASE)
_LEFT_PERCENT = re.compile(r"%")
_PARAMETERS = re.compile(r";[^/]*")
_SLASHES = re.compile(r"/{2,}")
_ROUNDS = 6


class Ambiguity(Enum):
    """Why servers could disagree; the first four can be admitted by a rule (`encoded:`)."""

    SLASH = "slash"
    PERCENT = "percent"
    SEMICOLON = "semicolon"
    DOUBLE_SLASH = "double-slash"
    DOT_SEGMENT = "dot-segment"
    BACKSLASH = "backslash"
    CONTROL = "control"
    FRAGMENT = "fragment"
    NOT_UTF8 = "not-utf8"


ADMISSIBLE = frozenset(
    {Ambiguity.SLASH, Ambiguity.PERCENT, Ambiguity.SEMICOLON, Ambiguity.DOUBLE_SLASH}
)


@dataclass(frozen=True, slots=True)
class CanonicalPath:
    """A raw path, its text decoded once, and why it is ambiguous."""

    raw: str
    text: str
    ambiguities: frozenset[Ambiguity]

    def readings(self) -> frozenset[str]:
        """Every text that an upstream might take this path for; one if it is not ambiguous."""
        if not self.ambiguities:
            return frozenset({self.text})
        found = {self.text, _opaque_slashes(self.raw), *_decoded_on(self.text)}
        found |= {_PARAMETERS.sub("", text) for text in found}
        found |= {_SLASHES.sub("/", text) for text in found}
        # Patterns read text; what is none can match one, but is never admitted.
        return frozenset(text.encode("utf-8", "replace").decode() for text in found)


def canonical_path(raw: str) -> CanonicalPath:
    """Read a raw path (bytes that are no UTF-8 as surrogate escapes), without ever failing."""
    if _PLAIN.fullmatch(raw):
        return CanonicalPath(raw, raw, frozenset())
    encoded = _bytes(raw)
    text = _text(unquote_to_bytes(encoded))
    deepest = [text, *_decoded_on(text)]
    found = {
        Ambiguity.SLASH: _ENCODED_SLASH.search(encoded) is not None,
        Ambiguity.PERCENT: _LEFT_PERCENT.search(text) is not None,
        Ambiguity.SEMICOLON: ";" in deepest[-1],
        Ambiguity.DOUBLE_SLASH: any("//" in one for one in deepest),
        Ambiguity.DOT_SEGMENT: any(_has_dot_segment(one) for one in deepest),
        Ambiguity.BACKSLASH: any("\\" in one for one in deepest),
        Ambiguity.CONTROL: any(_has_control(one) for one in deepest),
        Ambiguity.FRAGMENT: "#" in raw,
        Ambiguity.NOT_UTF8: any(_is_broken(one) for one in deepest),
    }
    return CanonicalPath(raw, text, frozenset(kind for kind, seen in found.items() if seen))


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")


def _decoded_on(text: str) -> list[str]:
    """What further rounds of decoding make of a decoded text."""
    further: list[str] = []
    for _ in range(_ROUNDS):
        again = _text(unquote_to_bytes(_bytes(text)))
        if again == text:
            break
        further.append(again)
        text = again
    return further


def _opaque_slashes(raw: str) -> str:
    """The text for an upstream to which an encoded slash is part of a name."""
    kept = _ENCODED_SLASH.sub(b"%252f", _bytes(raw))
    return _text(unquote_to_bytes(kept))


def _has_dot_segment(text: str) -> bool:
    # Some servers cut parameters off a segment before they resolve it: `..;a` is `..` to them.
    segments = text.replace("\\", "/").split("/")
    return any(segment.partition(";")[0] in (".", "..") for segment in segments)


def _has_control(text: str) -> bool:
    return any(ord(char) < 0x20 or 0x7F <= ord(char) < 0xA0 for char in text)


def _is_broken(text: str) -> bool:
    return any(0xD800 <= ord(char) < 0xE000 for char in text)
