"""Forms of our own pages, read strictly, and proof that a page of ours sent them."""

import hmac
import re
from urllib.parse import parse_qsl

from aiohttp import web

from authgw.core.errors import (
    BodyMalformedError,
    BodyTooLargeError,
    BodyUnsupportedError,
    CrossSiteError,
)
from authgw.core.limits import MAX_FORM_BYTES
from authgw.core.login_sites import LoginSite, host_of
from authgw.dialects.headers import values
from authgw.services.results import Identity
from authgw.web.cookies import helpers
from authgw.web.json_body import read_bytes

FORM = "application/x-www-form-urlencoded"
_BY_HTTP = (
    "this page is reached by http; browsers keep our cookie only over https. See the section "
    "`A login page needs https` of the README"
)
_PLAIN_ORIGIN = re.compile(r"http://[a-z0-9._-]+(:[0-9]{1,5})?")
_SECURED_BY_NAME = (".localhost", "localhost")  # browsers take Secure cookies of these over http


async def read_form(request: web.Request, *known: str) -> dict[str, str]:
    """The fields of a form, each at most once; those that did not come are empty.

    Raises:
        BodyUnsupportedError: another content type, or compressed.
        BodyTooLargeError: over 32 KiB.
        BodyTooSlowError: not there in time.
        BodyMalformedError: no form of UTF-8 text, a field twice, or one that is not `known`.
    """
    length = request.content_length
    if length is not None and length > MAX_FORM_BYTES:
        raise BodyTooLargeError
    if request.content_type != FORM or "Content-Encoding" in request.headers:
        raise BodyUnsupportedError
    raw = await read_bytes(request, MAX_FORM_BYTES)
    try:
        pairs = parse_qsl(
            raw.decode("ascii"),
            keep_blank_values=True,
            strict_parsing=bool(raw),
            errors="strict",
            max_num_fields=len(known),
        )
    except ValueError:
        raise BodyMalformedError("the body is not a form of ours") from None
    fields = dict(pairs)
    if len(fields) != len(pairs) or not set(fields) <= set(known):
        raise BodyMalformedError("the form has an unknown field, or one twice")
    return dict.fromkeys(known, "") | fields


async def own_form(request: web.Request, site: LoginSite, *known: str) -> dict[str, str]:
    """Return the fields of a form that a page of our origin sent; its token is still to check.

    Raises:
        CrossSiteError: another site sent it; as `read_form`.
    """
    check_origin(request, site)
    return await read_form(request, "token", *known)


def brings_cookie_token(request: web.Request, site: LoginSite, form: dict[str, str]) -> bool:
    """Return whether the form's token is one that this browser has as a cookie."""
    token, ours = form["token"].encode(), helpers(request, site, "csrf")
    return bool(token) and any(hmac.compare_digest(one.encode(), token) for one in ours)


def session_form_token(found: Identity) -> str:
    """Return the token of forms for who is signed in: no other session has it."""
    # The id of the cookie's token is 128 random bits that only its browser has.
    key, said = found.token.jti.encode(), f"form of {found.session.sid}".encode()
    return hmac.new(key, said, "sha256").hexdigest()


def brings_session_token(found: Identity, form: dict[str, str]) -> bool:
    """Return whether the form was shown to this very session."""
    return hmac.compare_digest(session_form_token(found).encode(), form["token"].encode())


def check_origin(request: web.Request, site: LoginSite) -> None:
    """Refuse a request of a page of another origin (Fetch, section 3.2; Fetch Metadata).

    Fetch Metadata decides where it is sent, for an operator's Referrer-Policy makes browsers send
    `Origin: null`. It is relative to the host that the browser saw, so that it counts only with
    our own Host; an Origin of another site always refuses.

    Raises:
        CrossSiteError: another origin; without Fetch Metadata also `null`, or no Origin.
    """
    said = values(request.raw_headers, "Origin")
    fetched = values(request.raw_headers, "Sec-Fetch-Site")
    is_own = said == [site.origin.encode("ascii")]
    if not is_own and said not in ([], [b"null"]):
        raise CrossSiteError(_BY_HTTP if is_by_http(request, site) else "")
    if fetched and fetched != [b"same-origin"]:
        raise CrossSiteError
    if not is_own and not (fetched and _has_own_host(request, site)):
        raise CrossSiteError


def is_by_http(request: web.Request, site: LoginSite) -> bool:
    """Return whether this page is reached by http, over which browsers keep no Secure cookie."""
    if not site.secure or site.host.endswith(_SECURED_BY_NAME):
        return False
    if site.origin.startswith("http:"):
        return True
    said = request.headers.get("Origin", "")
    return _PLAIN_ORIGIN.fullmatch(said) is not None and host_of(said) == site.host


def lost_cookie(request: web.Request, site: LoginSite) -> str:
    """Return why a form of our own page came without the token that its browser should have."""
    if is_by_http(request, site):
        return f"{_BY_HTTP[:1].upper()}{_BY_HTTP[1:]}."
    if helpers(request, site, "csrf"):
        return "This form was too old. Please send it again."
    return (
        "Your browser sent no cookie with this form: cookies were cleared, or are blocked for this "
        "page. Please send it again."
    )


def _has_own_host(request: web.Request, site: LoginSite) -> bool:
    return values(request.raw_headers, "Host") == [site.authority.encode("ascii")]
