"""Parsing of a subrequest's raw headers, for all dialects."""

import re
from collections.abc import Sequence
from functools import lru_cache

from authgw.core.errors import (
    IdentityHeaderFromClientError,
    TargetDuplicatedError,
    TargetMalformedError,
    TargetMissingError,
    UntrustedProxyError,
)
from authgw.core.limits import MAX_CACHED_NAME_LENGTH, MAX_CACHED_NAMES
from authgw.core.model import AccessRequest, IdentityHeaders, Location
from authgw.core.networks import TrustedProxies, entry_for
from authgw.dialects.further import NAMES, further_targets

RawHeaders = Sequence[tuple[bytes, bytes]]

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_SEPARATORS = re.compile(r"[^a-z0-9]")
_HTML_TYPES = frozenset({b"text/html", b"application/xhtml+xml"})
_ZERO_QUALITY = re.compile(rb"q[ \t]*=[ \t]*0(\.0{0,3})?")
_CONTROL_BYTE = re.compile(rb"[\x00-\x1f\x7f]")
_NAME = "authgw"  # part of the names of all cookies of this gateway
# All possible names of session cookies; the configuration determines which of them are in use.
SESSION_COOKIES = ("__Host-authgw", "__Secure-authgw", "authgw")
# Names of all cookies of this gateway: sessions, and helpers of the login pages.
_OWN_COOKIE = re.compile(rb"(?:__Host-|__Secure-)?authgw(?:-.*)?", re.DOTALL)


class IndexedHeaders(tuple[tuple[bytes, bytes], ...]):
    """Headers in their original order, with an index by name."""

    by_name: dict[bytes, list[bytes]]

    @classmethod
    def of(cls, headers: RawHeaders) -> "IndexedHeaders":
        """Return the same headers in the same order, indexed."""
        named = cls(headers)
        named.by_name = {}
        for key, value in headers:
            named.by_name.setdefault(key.lower(), []).append(value)
        return named


def values(headers: RawHeaders, name: str) -> list[bytes]:
    """Return all values of the header with this name (compared without case)."""
    key = _wire_name(name)
    if isinstance(headers, IndexedHeaders):
        return headers.by_name.get(key, [])
    return [value for name_sent, value in headers if name_sent.lower() == key]


def present(headers: RawHeaders, *names: str) -> str | None:
    """Return the first of these names that is present, or None."""
    return next((name for name in names if values(headers, name)), None)


def target(headers: RawHeaders, name: str) -> str:
    """Return the value of a header about the original request.

    Raises:
        TargetMissingError, TargetDuplicatedError: it is not present exactly once.
        TargetMalformedError: it contains a control character.
    """
    sent = values(headers, name)
    if not sent or not sent[0]:
        raise TargetMissingError(f"{name} is missing")
    if len(sent) > 1:
        raise TargetDuplicatedError(f"{name} was sent {len(sent)} times")
    # A path need not be UTF-8; it only matters to rules with path patterns.
    text = sent[0].decode("utf-8", "surrogateescape")
    if _CONTROL.search(text):
        raise TargetMalformedError(f"{name} contains a control character")
    return text


def authorization(headers: RawHeaders) -> list[bytes]:
    """Return all Authorization lines in order; Proxy-Authorization is for another hop."""
    return values(headers, "Authorization")


def cookies(headers: RawHeaders, names: frozenset[str]) -> tuple[str, ...]:
    """Return the values of all cookies with these names, from all Cookie headers."""
    return tuple([value for name, value in own_cookies(headers) if name in names])


def own_cookies(headers: RawHeaders) -> tuple[tuple[str, str], ...]:
    """Return name and value of all cookies that can be authgw's, from all Cookie headers.

    Proxies join two Cookie headers with a comma, which does not separate cookies within a header
    (RFC 6265 section 4.2.1). A name with the prefix `__Host-` is not accepted after a comma: a
    sibling domain can set a value that contains it, but not a cookie of that name.
    """
    pairs = []
    for line in values(headers, "Cookie"):
        for element in line.decode("latin-1").split(";"):
            for index, text in enumerate(element.split(",")):
                pair = _own_pair(text)
                if pair is not None and not (index and pair[0].startswith("__Host-")):
                    pairs.append(pair)
    return tuple(pairs)


def _own_pair(text: str) -> tuple[str, str] | None:
    # Strip only the white space of RFC 6265: a name that begins with U+00A0 is another name, which
    # any sibling domain can set.
    name, equals, value = text.partition("=")
    return (name.strip(" \t"), value.strip(" \t")) if equals and _NAME in name else None


def other_cookies(headers: RawHeaders) -> str | None:
    """Return all cookies except authgw's as a header for the app; None without a Cookie header.

    It also splits at commas, as `cookies` does. A cookie with a control character or that is not
    UTF-8 is omitted: RFC 6265 section 4.1.1 does not allow it, and a response cannot repeat it.
    """
    lines = values(headers, "Cookie")
    if not lines:
        return None
    pairs = (_without_own(pair) for line in lines for pair in line.split(b";"))
    return "; ".join(pair for pair in pairs if pair)


def _without_own(pair: bytes) -> str:
    foreign = b",".join(part for part in pair.split(b",") if not _is_own_cookie(part))
    stripped = foreign.strip(b" \t")
    try:
        return "" if _CONTROL_BYTE.search(stripped) else stripped.decode("utf-8")
    except UnicodeDecodeError:
        return ""


def _is_own_cookie(pair: bytes) -> bool:
    return _OWN_COOKIE.fullmatch(pair.partition(b"=")[0].strip(b" \t")) is not None


def refuse_untrusted(
    headers: RawHeaders, peer: str, trusted: TrustedProxies, target_headers: Sequence[str]
) -> None:
    """Refuse a peer (an address, or `unix`) that may not describe requests of others.

    The message names the first of the `target_headers` that the peer sent.

    Raises:
        UntrustedProxyError: it is not in `server.trusted_proxies`.
    """
    if not trusted.trusts(peer):
        sent = present(headers, *target_headers) or "a subrequest"
        raise UntrustedProxyError(
            f"Ignored {sent} from {peer}: not in server.trusted_proxies. "
            f"If this is your proxy, add {entry_for(peer)}."
        )


def client_address(headers: RawHeaders, peer: str, trusted: TrustedProxies) -> str:
    """Return the address of the client according to the trusted proxies."""
    lines = tuple(line.decode("latin-1") for line in values(headers, "X-Forwarded-For"))
    return trusted.client_address(peer, lines)


def access_request(
    headers: RawHeaders,
    method: str,
    location: Location,
    *,
    peer: str,
    trusted: TrustedProxies,
    own: bytes = b"",
) -> AccessRequest:
    """Return the original request with the client's headers that every proxy passes on.

    `own` is the header (in lower case) in which the proxy itself sends the URL.

    Raises:
        OverrideDeniedError, DestinationDeniedError: see `further_targets`.
    """
    return AccessRequest(
        method=method,
        location=location,
        client_address=client_address(headers, peer, trusted),
        preflight_method=preflight_method(headers),
        wants_html=wants_html(headers),
        further=further_targets(_further(headers, own), method, location),
        referer=_referer(headers),
    )


def _further(headers: RawHeaders, own: bytes) -> list[tuple[str, str]]:
    named = []
    for key, value in headers:
        name = folded(key.decode("latin-1"))
        if name in NAMES and key.lower() != own:
            named.append((name, value.decode("utf-8", "surrogateescape")))
    return named


def wants_html(headers: RawHeaders) -> bool:
    """Return True if a browser navigates, so that it would show the response as a page.

    Fetch Metadata decides if it is present (W3C Fetch Metadata, section 2), otherwise Accept. Of
    X-Requested-With only the value of scripts counts, because Android's WebView sends the name of
    its app there.
    """
    modes = values(headers, "Sec-Fetch-Mode")
    if modes:
        return modes == [b"navigate"]
    if any(
        value.strip().lower() == b"xmlhttprequest" for value in _listed(headers, "X-Requested-With")
    ):
        return False
    if b"websocket" in [value.strip().lower() for value in _listed(headers, "Upgrade")]:
        return False
    return any(_is_html(media) for media in _listed(headers, "Accept"))


def _listed(headers: RawHeaders, name: str) -> list[bytes]:
    """Return the elements of a comma-separated header, from all its lines."""
    return [element for line in values(headers, name) for element in line.split(b",")]


def _is_html(media: bytes) -> bool:
    """Return True if an element of Accept names HTML with a quality above 0.

    See RFC 9110 section 12.4.2.
    """
    kind, *parameters = [part.strip().lower() for part in media.split(b";")]
    return kind in _HTML_TYPES and not any(map(_ZERO_QUALITY.fullmatch, parameters))


def _referer(headers: RawHeaders) -> str:
    sent = values(headers, "Referer")
    return sent[0].decode("utf-8", "surrogateescape") if len(sent) == 1 else ""


def preflight_method(headers: RawHeaders) -> str | None:
    """Return the method that a CORS preflight requests (Fetch, CORS-preflight), else None."""
    methods = values(headers, "Access-Control-Request-Method")
    if len(methods) != 1 or len(values(headers, "Origin")) != 1:
        return None
    return methods[0].decode("latin-1")


def refuse_identity(headers: RawHeaders, identity: IdentityHeaders) -> None:
    """Refuse a request with an identity header, in any spelling that an upstream could fold.

    CGI-like servers replace every separator by `_`, so all separators count as the same.

    Raises:
        IdentityHeaderFromClientError: the request has an identity header, or names it in Connection
            so that a proxy removes it.
    """
    sent = {folded(key.decode("latin-1")) for key, _ in headers}
    for line in values(headers, "Connection"):
        sent |= {folded(option.strip()) for option in line.decode("latin-1").split(",")}
    if folded_names(identity) & sent:
        raise IdentityHeaderFromClientError


def folded(name: str) -> str:
    """Return a header's name as upstreams may fold it, without case and kind of separators."""
    # A name can be as long as the header section, and any client can fill this cache.
    return _folded(name) if len(name) <= MAX_CACHED_NAME_LENGTH else _fold(name)


def _fold(name: str) -> str:
    return _SEPARATORS.sub("-", name.lower())


_folded = lru_cache(MAX_CACHED_NAMES)(_fold)


@lru_cache(8)
def folded_names(identity: IdentityHeaders) -> frozenset[str]:
    """Return the folded names of the identity headers."""
    return frozenset(folded(name) for name in identity.names)


@lru_cache(MAX_CACHED_NAMES)
def _wire_name(name: str) -> bytes:
    return name.lower().encode("ascii")
