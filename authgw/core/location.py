"""Canonical host and method of the request asked about; the path stays as it was sent."""

import re
from functools import lru_cache
from ipaddress import IPv6Address

import idna

from authgw.core.errors import HostConflict, TargetMalformed
from authgw.core.model import Location

_METHOD = re.compile(r"[A-Z][A-Z-]{0,31}")
_URL = re.compile(r"(https?)://([^/?#\\]*)(/.*)", re.DOTALL)
_PORT = re.compile(r":[0-9]{0,5}\Z")
_LONGEST = 260  # characters: 253 of a name, a dot, a port
_LABEL = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)")


def canonical_method(text: str) -> str:
    """The method, which is case-sensitive (RFC 9110 section 9.1): `get` is not GET.

    Raises:
        TargetMalformed: not an upper-case method name.
    """
    if not _METHOD.fullmatch(text):
        raise TargetMalformed("the original method is malformed")
    return text


@lru_cache(4096)
def canonical_host(text: str) -> str:
    """Lower case, without port and trailing dot, IDNA-encoded.

    Raises:
        TargetMalformed: not one host name or address.
    """
    if len(text) > _LONGEST:
        raise TargetMalformed("the original host is malformed")
    host = _PORT.sub("", text)
    if host.startswith("[") and host.endswith("]"):
        return _bracketed(host[1:-1])
    host = host.lower().removesuffix(".")
    if not host.isascii():
        host = _idna(host)
    if len(host) > 253 or not all(_LABEL.fullmatch(label) for label in host.split(".")):
        raise TargetMalformed("the original host is malformed")
    return host


def location_of(url: str, host: str) -> Location:
    """Take apart NGINX's `$authgw_scheme://$authgw_authority$request_uri`, with `$host` beside it.

    The path is never handed to a URL parser: `//admin/x` would become a host.

    Raises:
        TargetMalformed: not an absolute http(s) URL, or no readable host.
        HostConflict: the two name different hosts (absolute-form request line).
    """
    match = _URL.fullmatch(url)
    if match is None:
        raise TargetMalformed("the original URL is malformed")
    scheme, authority, target = match.groups()
    if canonical_host(authority) != canonical_host(host):
        raise HostConflict
    return location_from(scheme, authority, target)


def location_from(scheme: str, authority: str, target: str) -> Location:
    """Put together what a proxy sends in parts; `target` is the path with its query.

    Raises:
        TargetMalformed: no http(s), no readable host, or a target that is no path.
    """
    if scheme not in ("http", "https") or not target.startswith("/"):
        raise TargetMalformed("the original URL is malformed")
    path, _, query = target.partition("?")
    port = _PORT.search(authority)
    return Location(scheme, canonical_host(authority), path, query, port[0] if port else "")


def _bracketed(text: str) -> str:
    try:
        return f"[{IPv6Address(text).compressed}]"
    except ValueError:
        raise TargetMalformed("the original host is malformed") from None


def _idna(host: str) -> str:
    try:
        return idna.encode(host, uts46=True).decode("ascii")
    except UnicodeError:
        raise TargetMalformed("the original host is malformed") from None
