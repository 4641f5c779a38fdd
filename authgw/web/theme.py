"""Readable companion colours of the configured accent colour.

Luminance and contrast are those of WCAG 2.2 (`relative luminance`, `contrast ratio`).
"""

import re
from typing import NamedTuple

_HEX = re.compile(r"#[0-9a-fA-F]{6}")
# The lightest and the darkest background of a button, each with its text colour: see style.css.
_LIGHT = ("#f4f5f7", "#1b2027")
_DARK = ("#181c22", "#e9ebee")
# Contrast of a control and its background: WCAG 2.2, 1.4.11.
_MIN_CONTRAST = 3.0
_HOVER_SHARE = 0.12


class Accent(NamedTuple):
    """Colours as `#rrggbb`; `edge_...` are borders of elements with the accent as background."""

    accent: str
    accent_hover: str
    on_accent: str
    edge_light: str
    edge_dark: str


def accent_of(color: str) -> Accent:
    """Return the accent and its companions.

    Text on it is black or white, whichever has more contrast, at least 4.58:1; hovering moves the
    accent away from its text. An accent with little contrast to the background gets a border in a
    shade nearer to the text colour.

    Raises:
        ValueError: the colour is not `#` and six hexadecimal digits.
    """
    if not _HEX.fullmatch(color):
        raise ValueError("a colour is # and six hexadecimal digits, such as #0a7a70")
    away, on_accent = sorted(("#000000", "#ffffff"), key=lambda text: contrast(color, text))
    return Accent(
        accent=color,
        accent_hover=_mixed(color, away, _HOVER_SHARE),
        on_accent=on_accent,
        edge_light=_edge(color, *_LIGHT),
        edge_dark=_edge(color, *_DARK),
    )


def contrast(color: str, other: str) -> float:
    """Return the contrast ratio of two colours, 1 to 21 (WCAG 2.2)."""
    darker, lighter = sorted((luminance(color), luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


def luminance(color: str) -> float:
    """Return the relative luminance of `#rrggbb`, 0 for black to 1 for white (WCAG 2.2)."""
    red, green, blue = map(_linear, _channels(color))
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _edge(color: str, ground: str, text: str) -> str:
    shades = (_mixed(color, text, step / 10) for step in range(11))
    return next(shade for shade in shades if contrast(shade, ground) >= _MIN_CONTRAST)


def _mixed(color: str, other: str, share: float) -> str:
    pairs = zip(_channels(color), _channels(other), strict=True)
    return "#" + "".join(
        f"{round(first + (second - first) * share):02x}" for first, second in pairs
    )


def _channels(color: str) -> tuple[int, ...]:
    return tuple(bytes.fromhex(color[1:]))


def _linear(channel: int) -> float:
    part = channel / 255
    return part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4
