"""Which `rd=` targets are safe: where a browser may be sent after a log-in or a log-out.

A browser reads a URL by the WHATWG URL Standard, which forgives what RFC 3986 does not allow:
it drops tabs and newlines, takes a backslash for a slash, and needs no `//`. So only the plainest
form is accepted, and what is sent is put together anew from what was checked.
"""

import re
from dataclasses import dataclass
from urllib.parse import quote

from authgw.core.errors import TargetMalformedError
from authgw.core.urls import canonical_host

# Bytes of a way back as the browser sent it. Every part keeps to this limit: the Location of each
# dialect, the forms of the login pages and the buffers of the recipes. Percent-encoding makes
# three bytes of one, so a header with a way back takes up to 24 KiB.
MAX_RD_BYTES = 8192
# One slash: a second one, or a backslash, would begin another authority.
_REST = r"((?:/(?![/\\])[^\\?#]*)?(?:[?#].*)?)"
_ABSOLUTE = re.compile(r"([Hh][Tt][Tt][Pp][Ss]?)://([^/\\?#]+)" + _REST)
_AUTHORITY = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^:@%\[\]]+)(?::([0-9]{1,5}))?")
_PATH = re.compile(r"(?=/)" + _REST)
# RFC 3986 section 2; `%` keeps what is encoded as it is, brackets are common in queries.
_KEPT = "-._~:/?#[]@!$&'()*+,;=%"
_DEFAULT_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Redirects:
    """Where a browser may be sent.

    `hosts` are canonical hosts, or `*.example.com` for everything below example.com but not
    itself; `own` is the origin of the log-in page, `https://auth.example.com`; `default` is an
    absolute URL.
    """

    hosts: tuple[str, ...]
    own: str
    default: str

    def target(self, rd: str) -> str:
        """Where to go: `rd`, written so that a browser reads what was checked, or the default.

        A path leads to the own origin.
        """
        return self._checked(rd) or self.default

    def is_safe(self, rd: str) -> bool:
        """Whether a browser may be sent to `rd`."""
        return self._checked(rd) is not None

    def host_of(self, rd: str) -> str:
        """Return the canonical host that `rd` leads to, nothing if it cannot be read."""
        if not _is_plain(rd):
            return ""
        read = _read(self.own + rd if _PATH.fullmatch(rd) else rd)
        return read.host if read else ""

    def _checked(self, rd: str) -> str | None:
        if not _is_plain(rd):
            return None
        if _PATH.fullmatch(rd):
            return self.own + _encoded(rd)
        read = _read(rd)
        if read is None or not any(_is_host(read.host, allowed) for allowed in self.hosts):
            return None
        return read.origin + _encoded(read.rest)


def fits(url: str) -> bool:
    """Return whether a URL is short enough to be a way back."""
    return len(url.encode("utf-8", "surrogateescape")) <= MAX_RD_BYTES


def front_page(url: str) -> str:
    """Return the front page of the host of a URL that is too long, nothing if it has no host."""
    read = _read(url) if url.isprintable() else None
    return f"{read.origin}/" if read else ""


@dataclass(frozen=True, slots=True)
class _Url:
    """Canonical origin and host; `rest` is what followed the authority."""

    origin: str
    host: str
    rest: str


def _read(url: str) -> _Url | None:
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
    shown = "" if port == _DEFAULT_PORTS[scheme] else f":{port}"
    return _Url(f"{scheme}://{host}{shown}", host, absolute[3])


def _is_plain(rd: str) -> bool:
    # Not printable: controls, what has no width or turns the text, separators, lone surrogates.
    return rd.isprintable() and " " not in rd and fits(rd)


def _is_host(host: str, allowed: str) -> bool:
    return host.endswith(allowed[1:]) if allowed.startswith("*.") else host == allowed


def _encoded(rest: str) -> str:
    """The path, query and fragment in plain ASCII, with a path even if there was none."""
    path = rest if rest.startswith("/") else f"/{rest}"
    return quote(path, safe=_KEPT)
