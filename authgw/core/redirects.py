"""Safe targets (`rd=`) of redirects after a login or logout.

A browser parses a URL by the WHATWG URL Standard, which is more lenient than RFC 3986: it removes
tabs and newlines, treats a backslash as a slash, and does not need `//`. Therefore only the
plainest form is accepted, and the URL in the response is built from the checked parts.
"""

import re
from dataclasses import dataclass
from urllib.parse import quote

from authgw.core.errors import TargetMalformedError
from authgw.core.limits import MAX_RD_BYTES
from authgw.core.urls import canonical_host

# A single slash: a second slash, or a backslash, would begin another authority.
_REST = r"((?:/(?![/\\])[^\\?#]*)?(?:[?#].*)?)"
_ABSOLUTE = re.compile(r"([Hh][Tt][Tt][Pp][Ss]?)://([^/\\?#]+)" + _REST)
_AUTHORITY = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^:@%\[\]]+)(?::([0-9]{1,5}))?")
_PATH = re.compile(r"(?=/)" + _REST)
# RFC 3986 section 2; `%` preserves existing encoding, brackets are common in queries.
_UNQUOTED = "-._~:/?#[]@!$&'()*+,;=%"
_DEFAULT_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Redirects:
    """Allowed targets of redirects.

    `hosts` are canonical hosts, or `*.example.com` for all hosts below example.com but not
    itself; `own` is the origin of the login page, `https://auth.example.com`; `default` is an
    absolute URL.
    """

    hosts: tuple[str, ...]
    own: str
    default: str

    def target(self, rd: str) -> str:
        """Return `rd` in a form that a browser parses as it was checked, or the default.

        A path is resolved against the own origin.
        """
        return self._safe_url(rd) or self.default

    def is_safe(self, rd: str) -> bool:
        """Return True if a browser may be redirected to `rd`."""
        return self._safe_url(rd) is not None

    def host_of(self, rd: str) -> str:
        """Return the canonical host of `rd`, empty if it cannot be parsed."""
        if not _is_plain(rd):
            return ""
        url = _parsed(self.own + rd if _PATH.fullmatch(rd) else rd)
        return url.host if url else ""

    def _safe_url(self, rd: str) -> str | None:
        if not _is_plain(rd):
            return None
        if _PATH.fullmatch(rd):
            return self.own + _encoded(rd)
        url = _parsed(rd)
        if url is None or not any(_is_host(url.host, allowed) for allowed in self.hosts):
            return None
        return url.origin + _encoded(url.rest)


def fits(url: str) -> bool:
    """Return True if a URL is short enough for a return target."""
    return len(url.encode("utf-8", "surrogateescape")) <= MAX_RD_BYTES


def front_page(url: str) -> str:
    """Return the front page of the host of a URL that is too long, empty without a valid host."""
    parsed = _parsed(url) if url.isprintable() else None
    return f"{parsed.origin}/" if parsed else ""


@dataclass(frozen=True, slots=True)
class _Url:
    """Canonical origin and host; `rest` is the part after the authority."""

    origin: str
    host: str
    rest: str


def _parsed(url: str) -> _Url | None:
    absolute = _ABSOLUTE.fullmatch(url)
    authority = absolute and _AUTHORITY.fullmatch(absolute[2])
    if not absolute or not authority:
        return None
    try:
        scheme, host = absolute[1].lower(), canonical_host(authority[1])
    except TargetMalformedError:
        return None
    port = int(authority[2] or _DEFAULT_PORTS[scheme])
    if not 0 < port < 65536:
        return None
    suffix = "" if port == _DEFAULT_PORTS[scheme] else f":{port}"
    return _Url(f"{scheme}://{host}{suffix}", host, absolute[3])


def _is_plain(rd: str) -> bool:
    # Not printable: controls, zero-width and bidirectional characters, separators, lone surrogates.
    return rd.isprintable() and " " not in rd and fits(rd)


def _is_host(host: str, allowed: str) -> bool:
    return host.endswith(allowed[1:]) if allowed.startswith("*.") else host == allowed


def _encoded(rest: str) -> str:
    """Return path, query and fragment in ASCII; a missing path becomes `/`."""
    path = rest if rest.startswith("/") else f"/{rest}"
    return quote(path, safe=_UNQUOTED)
