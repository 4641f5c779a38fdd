"""Canonical host and method of the original request; the path stays as it was sent."""

import re
from dataclasses import replace
from functools import lru_cache
from ipaddress import IPv6Address

import idna

from authgw.core.errors import HostConflictError, TargetMalformedError
from authgw.core.limits import MAX_HOST_LENGTH
from authgw.core.model import Location

_METHOD = re.compile(r"[A-Z][A-Z-]{0,31}")
_URL = re.compile(r"(https?)://([^/?#\\]*)(/.*)", re.DOTALL)
_PORT = re.compile(r":[0-9]{0,5}\Z")
_REFERENCE = re.compile(r"(?:(https?)://([^/?#\\]*))?(/(?!/).*)", re.DOTALL | re.IGNORECASE)
_RELATIVE = re.compile(r"[A-Za-z0-9._~-][^/:\\]*")
# A path that is refused by all rules and app passwords with path patterns.
UNREADABLE_PATH = "\\"
_LABEL = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)")

# From the NGINX recipe; http.conf defines both variables.
ORIGINAL_URL_LINE = (
    "proxy_set_header X-Original-URL $authgw_scheme://$authgw_authority$request_uri;"
)


def canonical_method(text: str) -> str:
    """Return a valid method; it is case-sensitive (RFC 9110 section 9.1): `get` is not GET.

    Raises:
        TargetMalformedError: not an upper-case method name.
    """
    if not _METHOD.fullmatch(text):
        raise TargetMalformedError("the original method is malformed")
    return text


@lru_cache(4096)
def canonical_host(text: str) -> str:
    """Return a host in lower case, without port and trailing dot, IDNA-encoded.

    Raises:
        TargetMalformedError: not a host name or address.
    """
    if len(text) > MAX_HOST_LENGTH:
        raise TargetMalformedError("the original host is malformed")
    host = _PORT.sub("", text)
    if host.startswith("[") and host.endswith("]"):
        return _bracketed(host[1:-1])
    host = host.lower().removesuffix(".")
    if not host.isascii():
        host = _idna(host)
    if len(host) > 253 or not all(_LABEL.fullmatch(label) for label in host.split(".")):
        raise TargetMalformedError("the original host is malformed")
    return host


def location_of(url: str, host: str) -> Location:
    """Return the location of NGINX's X-Original-URL; `host` is its `$host`.

    The path is not passed to a URL parser, for which `//admin/x` would begin with a host.

    Raises:
        TargetMalformedError: not an absolute http(s) URL with a valid host.
        HostConflictError: the two name different hosts (absolute-form request line).
    """
    match = _URL.fullmatch(url)
    if match is None:
        raise TargetMalformedError("the original URL is malformed")
    scheme, authority, target = match.groups()
    if not authority:
        raise TargetMalformedError(
            "X-Original-URL has no host, since $http_host is empty in HTTP/3 and HTTP/1.0. In the "
            f"auth location write: {ORIGINAL_URL_LINE}"
        )
    if canonical_host(authority) != canonical_host(host):
        raise HostConflictError
    return location_from(scheme, authority, target)


def location_from(scheme: str, authority: str, target: str) -> Location:
    """Return the location of parts that a proxy sent; `target` is the path with its query.

    Raises:
        TargetMalformedError: not http(s), not a valid host, or a target that is not a path.
    """
    if scheme not in ("http", "https") or not target.startswith("/"):
        raise TargetMalformedError("the original URL is malformed")
    path, _, query = target.partition("?")
    port = _PORT.search(authority)
    return Location(scheme, canonical_host(authority), path, query, port[0] if port else "")


def resolved(reference: str, base: Location) -> Location | None:
    """Resolve a reference of RFC 4918 section 8.3: a URL or an absolute path.

    Its scheme and port are ignored, because proxies change them. The result is None if it names
    another host or cannot be parsed. Servers resolve a relative path differently, so it becomes
    UNREADABLE_PATH.
    """
    match = _REFERENCE.fullmatch(reference)
    if match is None:
        relative = _RELATIVE.fullmatch(reference)
        return replace(base, path=UNREADABLE_PATH, query="") if relative else None
    scheme, authority, target = match.groups()
    if scheme and not _is_host(authority, base.host):
        return None
    path, _, query = target.partition("?")
    return replace(base, path=path, query=query)


def _is_host(authority: str, host: str) -> bool:
    try:
        return canonical_host(authority) == host
    except TargetMalformedError:
        return False


def _bracketed(text: str) -> str:
    try:
        address = IPv6Address(text)
    except ValueError:
        raise TargetMalformedError("the original host is malformed") from None
    if address.scope_id is not None:
        raise TargetMalformedError("the original host has a zone, which a URL cannot have")
    return f"[{address.compressed}]"


def _idna(host: str) -> str:
    try:
        return idna.encode(host, uts46=True).decode("ascii")
    except UnicodeError:
        raise TargetMalformedError("the original host is malformed") from None
