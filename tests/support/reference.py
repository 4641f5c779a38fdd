"""A minimal evaluator of rules, with which the product is compared.

It shares no code with it: slow, recursive, rule after rule.
"""

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network
from urllib.parse import unquote_to_bytes

KINDS = {"slash", "percent", "semicolon", "double-slash", "backslash", "bytes"}
MOST_VIEWS = 64


@dataclass(frozen=True)
class WrittenRule:
    """A rule as written in YAML."""

    allow: tuple[str, ...]
    host: str | None = None
    path: tuple[str, ...] = ()
    method: tuple[str, ...] = ()
    networks: tuple[str, ...] = ()
    preflight: bool = False
    encoded: tuple[str, ...] = ()


@dataclass(frozen=True)
class RuleQuery:
    host: str
    path: str
    method: str = "GET"
    address: str = "192.0.2.1"
    preflight: str | None = None
    groups: tuple[str, ...] = field(default=())
    sub: str | None = None


def allows(lines: list[WrittenRule], asked: RuleQuery) -> bool:
    candidates = [line for line in lines if _concerns(line, asked)]
    views = _views(asked.path)
    for line in candidates:
        if not line.path:
            if _odd(asked.path) and any(other.path for other in candidates):
                return False
            return _lets(line, asked)
        exactly = any(_glob(pattern, view) for pattern in line.path for view in views)
        roughly = any(
            _glob(pattern.casefold(), view.casefold()) for pattern in line.path for view in views
        )
        if exactly:
            return _clear(line, asked.path, views) and _lets(line, asked)
        if roughly:
            return False
    return False


def _concerns(line: WrittenRule, asked: RuleQuery) -> bool:
    if line.host is not None:
        if line.host.startswith("*."):
            if not asked.host.endswith(line.host[1:]) or asked.host == line.host[2:]:
                return False
        elif line.host != asked.host:
            return False
    if line.networks and not any(
        ip_address(asked.address) in ip_network(network) for network in line.networks
    ):
        return False
    if asked.method == "HEAD" and "GET" in line.method:
        return True
    return not line.method or asked.method in line.method or _preflight(line, asked)


def _preflight(line: WrittenRule, asked: RuleQuery) -> bool:
    if not line.preflight or asked.method != "OPTIONS" or asked.preflight is None:
        return False
    return not line.method or asked.preflight in line.method


def _lets(line: WrittenRule, asked: RuleQuery) -> bool:
    if "anyone" in line.allow:
        return True
    if line.preflight and asked.method == "OPTIONS" and asked.preflight is not None:
        return True
    if asked.sub is None:
        return False
    return (
        "authenticated" in line.allow
        or f"user:{asked.sub}" in line.allow
        or any(f"group:{group}" in line.allow for group in asked.groups)
    )


def _clear(line: WrittenRule, raw: str, views: set[str]) -> bool:
    odd = _odd(raw)
    if not odd <= set(line.encoded) & KINDS:
        return False
    return any(
        (not odd or raw.startswith(pattern.lstrip("=").partition("*")[0]))
        and all(_glob(pattern, view) for view in views)
        for pattern in line.path
    )


def _decode(text: str) -> str:
    return unquote_to_bytes(text.encode("utf-8", "surrogateescape")).decode(
        "utf-8", "surrogateescape"
    )


def _wide(text: str) -> str:
    """`%uXXXX` as the character that it names."""
    return re.sub("(?i)%u([0-9a-f]{4})", lambda found: chr(int(found[1], 16)), text)


def _wide_narrowed(text: str) -> str:
    """`%uXXXX` as the ASCII letter that a code page has in its place."""

    def letter(found: re.Match[str]) -> str:
        base = unicodedata.normalize("NFKD", chr(int(found[1], 16)))[0]
        return base if base.isascii() else chr(int(found[1], 16))

    return re.sub("(?i)%u([0-9a-f]{4})", letter, text)


def _narrow(text: str) -> str:
    """Characters that are another character in full width, and those that cannot be seen."""
    seen = (c for c in unicodedata.normalize("NFKC", text) if unicodedata.category(c) != "Cf")
    return "".join({"\u2215": "/", "\u2044": "/", "\u2216": "\\"}.get(c, c) for c in seen)


def _windows(text: str) -> str:
    names = []
    for name in text.split("/"):
        if ":$" in name:
            name = name[: name.index(":")]
        if set(name) <= {".", " "}:
            names.append(name.replace(" ", ""))
        else:
            names.append(re.sub("[. ]+$", "", name).lstrip(" "))
    return "/".join(names)


def _filtered(piece: str, wherever: str) -> Callable[[str], str]:
    def once(text: str) -> str:
        if wherever not in text:
            return text
        left = "".join(text.split(piece))
        left = left if left.startswith("/") else "/" + left
        return re.sub(r"/(\./)+", "/", re.sub(r"/\.$", "/", left))

    return once


def _latin(text: str) -> str:
    if not any(0xDC80 <= ord(c) <= 0xDCFF for c in text):
        return text
    return text.encode("utf-8", "surrogateescape").decode("latin-1")


SERVERS: list[Callable[[str], str]] = [
    _decode,
    _wide,
    _wide_narrowed,
    _narrow,
    _windows,
    *(_filtered("../", "../"), _filtered("./", ".../"), _filtered("..", "..")),
    lambda text: re.sub(";[^/]*", "", text),
    lambda text: re.sub("/+", "/", text),
    lambda text: text.replace("\\", "/"),
    lambda text: re.split("[?#]", text)[0],
    lambda text: "".join(c for c in text if not 0xDC80 <= ord(c) <= 0xDCFF),
    _latin,
]


def _closure(raw: str) -> set[str]:
    """All that servers make of a path, in any order and as often as they like."""
    found: set[str] = set()
    fresh = {_decode(raw), _decode(re.sub("(?i)%2f", "%252f", raw))}
    while fresh and len(found) <= MOST_VIEWS:
        found |= fresh
        fresh = {server(one) for one in fresh for server in SERVERS} - found
    return found


def _views(raw: str) -> set[str]:
    return {one.encode("utf-8", "replace").decode() for one in _closure(raw)}


def _odd(raw: str) -> set[str]:
    kinds = set()
    if "%2f" in raw.lower():
        kinds.add("slash")
    text = _decode(raw)
    if "%" in text:
        kinds.add("percent")
    if "#" in raw or "\\" in raw:
        kinds.add("never")
    for _ in range(8):
        if ";" in text:
            kinds.add("semicolon")
        if "//" in text:
            kinds.add("double-slash")
        if "\\" in text:
            kinds.add("backslash")
        if any(127 < ord(c) < 160 for c in text):
            kinds.add("never")
        if any(0xD800 <= ord(c) <= 0xDFFF for c in text):
            kinds.add("bytes")
        text = _wide(_decode(text))
    views = _closure(raw)
    if len(views) > MOST_VIEWS:
        kinds.add("never")
    for view in views:
        for segment in re.split(r"[/\\]", view):
            if segment.split(";")[0] in (".", ".."):
                kinds.add("never")
        if any(ord(c) < 32 or ord(c) == 127 for c in view):
            kinds.add("never")
    return kinds


def _glob(pattern: str, text: str) -> bool:
    if pattern.startswith("="):
        return pattern[1:] == text
    if pattern.endswith("/**") and _glob_at(pattern[:-3], text):
        return True
    return _glob_at(pattern, text)


def _glob_at(pattern: str, text: str) -> bool:
    if not pattern:
        return not text
    if pattern.startswith("**"):
        return any(_glob_at(pattern[2:], text[at:]) for at in range(len(text) + 1))
    if pattern[0] == "*":
        for at in range(len(text) + 1):
            if _glob_at(pattern[1:], text[at:]):
                return True
            if at < len(text) and text[at] == "/":
                return False
        return False
    return bool(text) and pattern[0] == text[0] and _glob_at(pattern[1:], text[1:])
