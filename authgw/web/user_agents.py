"""Descriptions of devices and of elapsed times for the account page."""

import re

from authgw.core.limits import MAX_PARSED_USER_AGENT_LENGTH

# The first match decides: most browsers also name the browsers that they derive from.
_BROWSERS = (
    (r"\bEdg(?:e|A|iOS)?/", "Edge"),
    (r"\bOP(?:R|T|X)/|\bOpera\b", "Opera"),
    (r"\bSamsungBrowser/", "Samsung Internet"),
    (r"\bVivaldi/", "Vivaldi"),
    (r"\bYaBrowser/", "Yandex Browser"),
    (r"\b(?:DuckDuckGo|Ddg)/", "DuckDuckGo"),
    (r"\b(?:Firefox|FxiOS)/", "Firefox"),
    (r"\b(?:Chrome|Chromium|CriOS)/", "Chrome"),
    (r"\bVersion/\S+ (?:Mobile/\S+ )?Safari/", "Safari"),
)
_SYSTEMS = (
    (r"\biPhone\b", "iPhone"),
    (r"\biPad\b", "iPad"),
    (r"\bAndroid\b", "Android"),
    (r"\bWindows\b", "Windows"),
    (r"\bCrOS\b", "ChromeOS"),
    (r"\bMacintosh\b", "macOS"),
    (r"\bLinux\b", "Linux"),
    (r"\bFreeBSD\b", "FreeBSD"),
    (r"\bOpenBSD\b", "OpenBSD"),
)
_PROGRAM = re.compile(r"(?!Mozilla/)([A-Za-z][A-Za-z0-9._-]{0,29})/\d")


def describe_device(user_agent: str) -> str:
    """Return a short description: `Firefox on Windows`, `curl`, `Unknown device`.

    A program is named by its first product (RFC 9110 section 10.1.5), at most 30 letters, digits,
    `.`, `_` and `-`. An iPad that requests desktop pages identifies itself as a Mac.
    """
    text = user_agent[:MAX_PARSED_USER_AGENT_LENGTH]
    program = _PROGRAM.match(text)
    if program is not None:
        return program[1]
    browser, system = _first_match(_BROWSERS, text), _first_match(_SYSTEMS, text)
    if system:
        return f"{browser or 'Browser'} on {system}"
    return browser or "Unknown device"


def ago(seconds: float) -> str:
    """Return a duration in words, rounded down; a negative duration is `just now`."""
    for unit, length in (("day", 86400), ("hour", 3600), ("minute", 60)):
        count = int(seconds // length)
        if count >= 1:
            return f"{count} {unit}{'s' if count > 1 else ''} ago"
    return "just now"


def _first_match(table: tuple[tuple[str, str], ...], text: str) -> str:
    return next((name for pattern, name in table if re.search(pattern, text)), "")
