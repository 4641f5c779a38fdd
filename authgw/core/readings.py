"""Readings of a path: all texts that upstreams could interpret it as.

Servers decode twice, support IIS's `%u002e`, cut `;` parameters, merge slashes, fold full-width
characters, strip dots and spaces at the end of a name as Windows does, or remove `../` only once.
Each of these is a step from a text to another text; the readings of a path are all texts that any
sequence of steps produces.
"""

import re
import unicodedata
from collections.abc import Callable, Iterable
from urllib.parse import unquote_to_bytes

from authgw.core.limits import MAX_COMBINING_MARKS, MAX_READINGS, MAX_READINGS_LENGTH

_PERCENT_U = re.compile(r"%[uU]([0-9A-Fa-f]{4})")
_PARAMETERS = re.compile(r";[^/]*")
_SLASHES = re.compile(r"/{2,}")
_DOT_SEGMENT = re.compile(r"(?<=/)\.(?:/|\Z)")
_PADDED = re.compile(r"[. ](?=/|\Z)|/ |:\$")
_TAIL = re.compile(r"[?#].*", re.DOTALL)
_BYTE = re.compile("[\udc80-\udcff]")
# Best-fit mappings to ASCII of Windows' code pages, in addition to those of NFKC.
_BEST_FIT = str.maketrans(
    {"\u2044": "/", "\u2215": "/", "\u2216": "\\", "\u00a5": "\\", "\u20a9": "\\", "\u066a": "%"}
)
# Overlong UTF-8: lenient decoders read `%c0%ae` as a dot (RFC 3629 section 10).
_OVERLONG = re.compile(
    rb"[\xc0\xc1][\x80-\xbf]|\xe0[\x80-\x9f][\x80-\xbf]|\xf0[\x80-\x8f][\x80-\xbf]{2}"
)


class EndlessReadingsError(ValueError):
    """Raised for a path with more readings, characters or combining marks than the limits."""


def to_bytes(text: str) -> bytes:
    """Encode a text; its surrogate escapes become bytes that are not UTF-8."""
    return text.encode("utf-8", "surrogateescape")


def to_text(raw: bytes) -> str:
    """Decode bytes; those that are not UTF-8 become surrogate escapes."""
    return raw.decode("utf-8", "surrogateescape")


def decoded(text: str) -> str:
    """Return the text after a round of percent-decoding."""
    return to_text(unquote_to_bytes(to_bytes(text))) if "%" in text else text


def decoded_by_iis(text: str) -> str:
    """Return the text with `%uXXXX` decoded, as IIS and similar servers do."""
    return _PERCENT_U.sub(_character, text) if "%" in text else text


def readings_of(texts: Iterable[str]) -> frozenset[str]:
    """Return these texts and all texts that sequences of steps produce from them.

    Raises:
        EndlessReadingsError: they exceed MAX_READINGS, MAX_READINGS_LENGTH or MAX_COMBINING_MARKS.
    """
    readings: set[str] = set()
    fresh, characters = set(texts), 0
    while fresh:
        readings |= fresh
        characters += sum(map(len, fresh))
        if len(readings) > MAX_READINGS or characters > MAX_READINGS_LENGTH:
            raise EndlessReadingsError
        fresh = {step(text) for text in fresh for step in _STEPS} - readings
    return frozenset(readings)


def filtered_first(raw: str) -> frozenset[str]:
    """Return the readings of servers that remove dots only before they decode."""
    return frozenset(decoded(step(raw)) for step in _REMOVALS)


def _character(match: re.Match[str]) -> str:
    number = int(match[1], 16)
    return "\ufffd" if 0xD800 <= number < 0xE000 else chr(number)


def _best_fit_by_iis(text: str) -> str:
    if "%" not in text:
        return text
    return _PERCENT_U.sub(lambda match: _best_fit(_character(match)), text)


def _best_fit(character: str) -> str:
    # A letter without its accents: `%u0101dmin` is `admin` if the code page lacks the letter.
    base = unicodedata.normalize("NFKD", character)[0]
    return base if base.isascii() else character


def _folded(text: str) -> str:
    if text.isascii():
        return text
    marks = 0
    for char in text:
        marks = marks + 1 if unicodedata.combining(char) else 0
        if marks > MAX_COMBINING_MARKS:
            raise EndlessReadingsError
    folded = unicodedata.normalize("NFKC", text).translate(_BEST_FIT)
    return "".join(char for char in folded if unicodedata.category(char) != "Cf")


def _without_parameters(text: str) -> str:
    return _PARAMETERS.sub("", text)


def _with_single_slashes(text: str) -> str:
    return _SLASHES.sub("/", text)


def _with_slashes(text: str) -> str:
    return text.replace("\\", "/")


def _without_tail(text: str) -> str:
    """Cut off the query and fragment of a server that decodes before it splits."""
    return _TAIL.sub("", text)


def _as_windows_opens(text: str) -> str:
    """Remove NTFS streams (`x::$DATA`), and dots and spaces around names."""
    if not _PADDED.search(text):
        return text
    return "/".join(map(_windows_name, text.split("/")))


def _windows_name(name: str) -> str:
    if not name.strip(". "):
        return name.replace(" ", "")
    name = name.partition(":")[0] if ":$" in name else name
    return name.strip(" ").rstrip(". ")


def _without(piece: str, condition: str) -> Callable[[str], str]:
    """Return a step that removes a text once, as filters against traversal do.

    It applies only to texts that contain `condition`, because `./` also ends many names
    (`/St./x`).
    """

    def removed(text: str) -> str:
        if condition not in text:
            return text
        rest = text.replace(piece, "")
        return _DOT_SEGMENT.sub("", rest if rest.startswith("/") else f"/{rest}")

    return removed


def _as_latin_1(text: str) -> str:
    return to_bytes(text).decode("latin-1") if _BYTE.search(text) else text


def _without_bytes(text: str) -> str:
    return _BYTE.sub("", text)


def _overlong_decoded(text: str) -> str:
    if not _BYTE.search(text):
        return text
    return to_text(_OVERLONG.sub(_shortest, to_bytes(text)))


def _shortest(match: re.Match[bytes]) -> bytes:
    sequence = match[0]
    number = sequence[0] & (0xFF >> (len(sequence) + 1))
    for byte in sequence[1:]:
        number = number << 6 | byte & 0x3F
    return sequence if 0xD800 <= number < 0xE000 else chr(number).encode()


_REMOVALS: tuple[Callable[[str], str], ...] = (
    _as_windows_opens,
    _without("../", "../"),
    _without("./", ".../"),
    _without("..", ".."),
)
_STEPS: tuple[Callable[[str], str], ...] = (
    decoded,
    decoded_by_iis,
    _best_fit_by_iis,
    _folded,
    _without_parameters,
    _with_single_slashes,
    _with_slashes,
    _without_tail,
    *_REMOVALS,
    _as_latin_1,
    _without_bytes,
    _overlong_decoded,
)
