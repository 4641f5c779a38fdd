"""Reading a subrequest's raw headers, for every dialect."""

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
from authgw.core.model import AccessRequest, IdentityHeaders, Location
from authgw.core.networks import TrustedProxies, entry_for
from authgw.dialects.further import NAMES, further_targets

RawHeaders = Sequence[tuple[bytes, bytes]]

ABOUT_A_REQUEST = (
    "X-Original-URL",
    "X-Original-Host",
    "X-Original-Method",
    "X-Forwarded-Uri",
    "X-Forwarded-Method",
    "X-Forwarded-Host",
    "X-Forwarded-Proto",
)
MOST_SPELLINGS = 1024  # of names, that are remembered
_LONGEST_REMEMBERED = 256  # characters of such a name
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_SEPARATORS = re.compile(r"[^a-z0-9]")
_BY = "X-Requested-With"
_PAGES = frozenset({b"text/html", b"application/xhtml+xml"})
_ZERO = re.compile(rb"q[ \t]*=[ \t]*0(\.0{0,3})?")
_CONTROL_BYTE = re.compile(rb"[\x00-\x1f\x7f]")
# Every name that a session cookie can have, whichever of them this gateway gives.
SESSION_COOKIES = ("__Host-authgw", "__Secure-authgw", "authgw")
# The names of all cookies of this gateway: sessions, and helpers of the log-in pages.
_OURS = re.compile(rb"(?:__Host-|__Secure-)?authgw(?:-.*)?", re.DOTALL)


class Named(tuple[tuple[bytes, bytes], ...]):
    """Headers as they came, looked through once for all that will be asked about them."""

    by_name: dict[bytes, list[bytes]]

    @classmethod
    def of(cls, headers: RawHeaders) -> "Named":
        """The same headers in the same order."""
        named = cls(headers)
        named.by_name = {}
        for key, value in headers:
            named.by_name.setdefault(key.lower(), []).append(value)
        return named


def values(headers: RawHeaders, name: str) -> list[bytes]:
    """Every value that came under this name (compared without case)."""
    wanted = _wire(name)
    if isinstance(headers, Named):
        return headers.by_name.get(wanted, [])
    return [value for key, value in headers if key.lower() == wanted]


def present(headers: RawHeaders, *names: str) -> str | None:
    """The first of these names that came at all."""
    return next((name for name in names if values(headers, name)), None)


def target(headers: RawHeaders, name: str) -> str:
    """The one value of a header about the original request.

    Raises:
        TargetMissingError, TargetDuplicatedError: it did not come exactly once.
        TargetMalformedError: it holds a control character.
    """
    found = values(headers, name)
    if not found or not found[0]:
        raise TargetMissingError(f"{name} is missing")
    if len(found) > 1:
        raise TargetDuplicatedError(f"{name} came {len(found)} times")
    # A path need not be UTF-8; only a rule that looks at it may mind.
    text = found[0].decode("utf-8", "surrogateescape")
    if _CONTROL.search(text):
        raise TargetMalformedError(f"{name} holds a control character")
    return text


def authorization(headers: RawHeaders) -> list[bytes]:
    """Every Authorization line, in order. Proxy-Authorization is another hop's."""
    return values(headers, "Authorization")


def cookies(headers: RawHeaders, names: frozenset[str]) -> tuple[str, ...]:
    """The values of every cookie with one of these names, in whatever header it came.

    Proxies join two Cookie headers with a comma, which is no separator within one (RFC 6265
    section 4.2.1). A name with the prefix `__Host-` is not looked for behind a comma: a sibling
    domain can set a value that holds one, but no cookie of that name.
    """
    found = []
    for line in values(headers, "Cookie"):
        for pair in line.decode("latin-1").split(";"):
            first, *joined = pair.split(",")
            found += [_cookie(first, names)]
            found += [_cookie(one, names - _of_one_host(names)) for one in joined]
    return tuple(value for value in found if value is not None)


def _cookie(pair: str, names: frozenset[str]) -> str | None:
    # Only what RFC 6265 calls white space: a name that begins with U+00A0 is another name, which
    # any sibling domain can set.
    name, equals, value = pair.partition("=")
    return value.strip(" \t") if equals and name.strip(" \t") in names else None


def _of_one_host(names: frozenset[str]) -> set[str]:
    return {name for name in names if name.startswith("__Host-")}


def other_cookies(headers: RawHeaders) -> str | None:
    """Return all cookies but ours as one header for the app; None if no Cookie header came.

    Looks behind a comma too, as `cookies` does. A cookie that holds a control character or is not
    UTF-8 is left out: RFC 6265 section 4.1.1 knows none, and no answer of ours could repeat it.
    """
    lines = values(headers, "Cookie")
    if not lines:
        return None
    pairs = (_without_ours(pair) for line in lines for pair in line.split(b";"))
    return "; ".join(pair for pair in pairs if pair)


def _without_ours(pair: bytes) -> str:
    joined = pair.split(b",")
    kept = b",".join(one for one in joined if not _is_ours(one))
    plain = kept.strip(b" \t")
    try:
        return "" if _CONTROL_BYTE.search(plain) else plain.decode("utf-8")
    except UnicodeDecodeError:
        return ""


def _is_ours(pair: bytes) -> bool:
    return _OURS.fullmatch(pair.partition(b"=")[0].strip(b" \t")) is not None


def refuse_untrusted(headers: RawHeaders, peer: str, trusted: TrustedProxies) -> None:
    """Refuse a peer (an address, or `unix`) that may not speak about others' requests.

    Raises:
        UntrustedProxyError: it is none of `server.trusted_proxies`.
    """
    if not trusted.trusts(peer):
        seen = present(headers, *ABOUT_A_REQUEST) or "a subrequest"
        raise UntrustedProxyError(
            f"Ignored {seen} from {peer}: not in server.trusted_proxies. "
            f"If this is your proxy, add {entry_for(peer)}."
        )


def client_address(headers: RawHeaders, peer: str, trusted: TrustedProxies) -> str:
    """Whose request this is, as far as trusted proxies say."""
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
    """The original request with what every proxy passes on from the client as it came.

    `own` is the header (in lower case) by which the proxy itself names the address.

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
    found = []
    for key, value in headers:
        name = folded(key.decode("latin-1"))
        if name in NAMES and key.lower() != own:
            found.append((name, value.decode("utf-8", "surrogateescape")))
    return found


def wants_html(headers: RawHeaders) -> bool:
    """Return whether a browser navigates, so that it would show an answer as a page.

    Fetch Metadata decides where it is sent (W3C Fetch Metadata, section 2). Other clients are
    judged by Accept; of X-Requested-With only a script's value counts, for Android's WebView
    names its app there.
    """
    modes = values(headers, "Sec-Fetch-Mode")
    if modes:
        return modes == [b"navigate"]
    if any(value.strip().lower() == b"xmlhttprequest" for value in _listed(headers, _BY)):
        return False
    if b"websocket" in [value.strip().lower() for value in _listed(headers, "Upgrade")]:
        return False
    return any(_is_page(media) for media in _listed(headers, "Accept"))


def _listed(headers: RawHeaders, name: str) -> list[bytes]:
    """Return the elements of a comma-separated header, of all its lines."""
    return [element for line in values(headers, name) for element in line.split(b",")]


def _is_page(media: bytes) -> bool:
    """Return whether an element of Accept names HTML with a quality above 0 (RFC 9110 12.4.2)."""
    kind, *parameters = [part.strip().lower() for part in media.split(b";")]
    return kind in _PAGES and not any(_ZERO.fullmatch(one) for one in parameters)


def _referer(headers: RawHeaders) -> str:
    found = values(headers, "Referer")
    return found[0].decode("utf-8", "surrogateescape") if len(found) == 1 else ""


def preflight_method(headers: RawHeaders) -> str | None:
    """What a CORS preflight asks leave for (Fetch, CORS-preflight request), else None."""
    asked = values(headers, "Access-Control-Request-Method")
    if len(asked) != 1 or len(values(headers, "Origin")) != 1:
        return None
    return asked[0].decode("latin-1")


def refuse_identity(headers: RawHeaders, identity: IdentityHeaders) -> None:
    """Refuse a request that brings an identity header, in any spelling an upstream folds.

    CGI-like servers turn every separator into `_`, so all separators count as the same.

    Raises:
        IdentityHeaderFromClientError: it brings one, or names one in Connection to have it dropped.
    """
    names = folded_names(identity)
    brought = {folded(key.decode("latin-1")) for key, _ in headers}
    for line in values(headers, "Connection"):
        brought |= {folded(option.strip()) for option in line.decode("latin-1").split(",")}
    if names & brought:
        raise IdentityHeaderFromClientError


def folded(name: str) -> str:
    """A header's name as an upstream may fold it: case and separators make no difference."""
    # A name can be as long as a head, and whoever sends it need not be let in.
    return _folded(name) if len(name) <= _LONGEST_REMEMBERED else _fold(name)


def _fold(name: str) -> str:
    return _SEPARATORS.sub("-", name.lower())


_folded = lru_cache(MOST_SPELLINGS)(_fold)


@lru_cache(8)
def folded_names(identity: IdentityHeaders) -> frozenset[str]:
    """The names of identity headers, folded."""
    return frozenset(folded(name) for name in identity.names)


@lru_cache(MOST_SPELLINGS)
def _wire(name: str) -> bytes:
    return name.lower().encode("ascii")
