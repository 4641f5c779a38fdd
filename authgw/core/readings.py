"""Every text that some upstream could take a path for.

Servers decode once more, understand IIS's `%u002e`, cut `;` parameters, merge slashes, fold
full-width characters, drop dots and spaces at the end of a name as Windows does, or remove `../`
once and forget to look again. Each of these is a step from one text to another; the readings of
a path are all texts that any sequence of steps leads to.
"""

import re
import unicodedata
from collections.abc import Callable, Iterable
from urllib.parse import unquote_to_bytes

MAX_READINGS = 64
MAX_CHARACTERS = 64 * 1024  # of all readings together
# Combining characters in a row (UAX #15, Stream-Safe): sorting more takes time by their square.
MAX_MARKS = 30

_PERCENT_U = re.compile(r"%[uU]([0-9A-Fa-f]{4})")
_PARAMETERS = re.compile(r";[^/]*")
_SLASHES = re.compile(r"/{2,}")
_DOT_SEGMENT = re.compile(r"(?<=/)\.(?:/|\Z)")
_PADDED = re.compile(r"[. ](?=/|\Z)|/ |:\$")
_TAIL = re.compile(r"[?#].*", re.DOTALL)
_BYTE = re.compile("[\udc80-\udcff]")
# What Windows' code pages (best fit) take for ASCII, besides what NFKC does.
_BEST_FIT = str.maketrans(
    {"\u2044": "/", "\u2215": "/", "\u2216": "\\", "\u00a5": "\\", "\u20a9": "\\", "\u066a": "%"}
)
# UTF-8 of more bytes than needed: `%c0%ae` is a dot to decoders that do not check (RFC 3629, 10).
_OVERLONG = re.compile(
    rb"[\xc0\xc1][\x80-\xbf]|\xe0[\x80-\x9f][\x80-\xbf]|\xf0[\x80-\x8f][\x80-\xbf]{2}"
)


class EndlessReadingsError(ValueError):
    """A path with more readings than are worth following."""


def to_bytes(text: str) -> bytes:
    """Return the bytes of a text whose surrogate escapes stand for bytes that are not UTF-8."""
    return text.encode("utf-8", "surrogateescape")


def to_text(raw: bytes) -> str:
    """Return the text of these bytes, with surrogate escapes for those that are not UTF-8."""
    return raw.decode("utf-8", "surrogateescape")


def decoded(text: str) -> str:
    """Return the text after one (further) round of percent-decoding."""
    return to_text(unquote_to_bytes(to_bytes(text))) if "%" in text else text


def decoded_by_iis(text: str) -> str:
    """Return the text with `%uXXXX` decoded, which only IIS and its like understand."""
    return _PERCENT_U.sub(_character, text) if "%" in text else text


def readings_of(texts: Iterable[str]) -> frozenset[str]:
    """Return these texts and every other one that steps of servers lead to.

    Raises:
        EndlessReadingsError: more than MAX_READINGS, or too long together.
    """
    found: set[str] = set()
    fresh, characters = set(texts), 0
    while fresh:
        found |= fresh
        characters += sum(map(len, fresh))
        if len(found) > MAX_READINGS or characters > MAX_CHARACTERS:
            raise EndlessReadingsError
        fresh = {step(text) for text in fresh for step in _STEPS} - found
    return frozenset(found)


def filtered_first(raw: str) -> frozenset[str]:
    """Return what servers read that remove dots before they decode, and not after."""
    return frozenset(decoded(step(raw)) for step in _REMOVALS)


def _character(match: re.Match[str]) -> str:
    number = int(match[1], 16)
    return "\ufffd" if 0xD800 <= number < 0xE000 else chr(number)


def _best_fit_by_iis(text: str) -> str:
    if "%" not in text:
        return text
    return _PERCENT_U.sub(lambda match: _best_fit(_character(match)), text)


def _best_fit(character: str) -> str:
    # A letter without its accents; `%u0101dmin` is `admin` where the code page lacks it.
    base = unicodedata.normalize("NFKD", character)[0]
    return base if base.isascii() else character


def _folded(text: str) -> str:
    if text.isascii():
        return text
    marks = 0
    for char in text:
        marks = marks + 1 if unicodedata.combining(char) else 0
        if marks > MAX_MARKS:
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
    """Leave out what a server takes for query or fragment that decodes before it splits."""
    return _TAIL.sub("", text)


def _as_windows_opens(text: str) -> str:
    """Drop dots and spaces around names and NTFS streams (`x::$DATA`)."""
    if not _PADDED.search(text):
        return text
    return "/".join(map(_name_that_windows_opens, text.split("/")))


def _name_that_windows_opens(name: str) -> str:
    if not name.strip(". "):
        return name.replace(" ", "")
    name = name.partition(":")[0] if ":$" in name else name
    return name.strip(" ").rstrip(". ")


def _without(piece: str, wherever: str) -> Callable[[str], str]:
    """Return a step that removes a text once, as filters against traversal do.

    It applies where `wherever` stands: `./` also ends many names (`/St./x`).
    """

    def removed(text: str) -> str:
        if wherever not in text:
            return text
        left = text.replace(piece, "")
        return _DOT_SEGMENT.sub("", left if left.startswith("/") else f"/{left}")

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
