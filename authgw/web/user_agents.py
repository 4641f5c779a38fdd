"""What a session's line on the account page says of its device and of times gone by."""

import re

from authgw.core.limits import MAX_PARSED_USER_AGENT_LENGTH

# The first that occurs decides: most browsers also name those that they descend from.
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
    """A few words for a User-Agent: `Firefox on Windows`, `curl`, `Unknown device`.

    A program is called what it calls itself first (RFC 9110, 10.1.5): at most 30 letters,
    digits, `.`, `_` and `-`. An iPad that asks for desktop pages says that it is a Mac.
    """
    said = user_agent[:MAX_PARSED_USER_AGENT_LENGTH]
    program = _PROGRAM.match(said)
    if program is not None:
        return program[1]
    browser, system = _first(_BROWSERS, said), _first(_SYSTEMS, said)
    if system:
        return f"{browser or 'Browser'} on {system}"
    return browser or "Unknown device"


def ago(seconds: float) -> str:
    """How long ago in words, rounded down; what lies ahead by a clock's error is `just now`."""
    for unit, length in (("day", 86400), ("hour", 3600), ("minute", 60)):
        count = int(seconds // length)
        if count >= 1:
            return f"{count} {unit}{'s' if count > 1 else ''} ago"
    return "just now"


def _first(table: tuple[tuple[str, str], ...], said: str) -> str:
    return next((name for pattern, name in table if re.search(pattern, said)), "")
