"""Strict parsing of forms, and checks that a page of this gateway sent them (CSRF)."""

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
from authgw.web.cookies import login_cookies
from authgw.web.json_body import read_bytes

FORM = "application/x-www-form-urlencoded"
_OVER_HTTP = (
    "this page is reached by http; browsers keep our cookie only over https. See "
    "docs/how-to/login-pages.md"
)
_PLAIN_ORIGIN = re.compile(r"http://[a-z0-9._-]+(:[0-9]{1,5})?")
# Browsers accept Secure cookies of these names over http.
_SECURE_NAMES = (".localhost", "localhost")


async def read_form(request: web.Request, *names: str) -> dict[str, str]:
    """Return the fields with these names; fields that are missing in the form are empty.

    Raises:
        BodyUnsupportedError: the content type differs, or the body is compressed.
        BodyTooLargeError: the body is larger than `MAX_FORM_BYTES`.
        BodyTooSlowError: the body did not arrive in time.
        BodyMalformedError: not a form of UTF-8 text, or a field is duplicated or unknown.
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
            max_num_fields=len(names),
        )
    except ValueError:
        raise BodyMalformedError("the body is not a form of ours") from None
    fields = dict(pairs)
    if len(fields) != len(pairs) or not set(fields) <= set(names):
        raise BodyMalformedError("the form has an unknown field, or one twice")
    return dict.fromkeys(names, "") | fields


async def read_own_form(request: web.Request, site: LoginSite, *names: str) -> dict[str, str]:
    """Return the fields of a form from a page of our origin; the caller checks its CSRF token.

    Raises:
        CrossSiteError: a page of another origin sent it.
        The errors of `read_form`.
    """
    check_origin(request, site)
    return await read_form(request, "token", *names)


def has_csrf_token(request: web.Request, site: LoginSite, form: dict[str, str]) -> bool:
    """Return True if the form's token equals a CSRF cookie of its browser."""
    token, cookies = form["token"].encode(), login_cookies(request, site, "csrf")
    return bool(token) and any(hmac.compare_digest(text.encode(), token) for text in cookies)


def session_csrf_token(identity: Identity) -> str:
    """Return the CSRF token of the forms that are shown to this session only."""
    # The id of the cookie's token is 128 random bits that only its browser has.
    key, message = identity.token.jti.encode(), f"form of {identity.session.sid}".encode()
    return hmac.new(key, message, "sha256").hexdigest()


def has_session_csrf_token(identity: Identity, form: dict[str, str]) -> bool:
    """Return True if the form was shown to this session."""
    return hmac.compare_digest(session_csrf_token(identity).encode(), form["token"].encode())


def check_origin(request: web.Request, site: LoginSite) -> None:
    """Refuse a request from a page of another origin (Fetch, section 3.2; Fetch Metadata).

    Fetch Metadata decides if it is present, because with some Referrer-Policies browsers send
    `Origin: null`. It is relative to the host that the browser saw, so it counts only with our own
    Host. The Origin of another site is always refused.

    Raises:
        CrossSiteError: another origin; without Fetch Metadata also `null`, or no Origin.
    """
    origins = values(request.raw_headers, "Origin")
    fetch_sites = values(request.raw_headers, "Sec-Fetch-Site")
    is_own = origins == [site.origin.encode("ascii")]
    if not is_own and origins not in ([], [b"null"]):
        if is_over_http(request, site):
            raise CrossSiteError(_OVER_HTTP, cause="form_http")
        raise CrossSiteError(cause="form_origin")
    if fetch_sites and fetch_sites != [b"same-origin"]:
        raise CrossSiteError(cause="form_origin")
    if not is_own and not (fetch_sites and has_own_host(request, site)):
        raise CrossSiteError(cause="form_origin")


def is_over_http(request: web.Request, site: LoginSite) -> bool:
    """Return True if browsers reach this page over http, so that they store no Secure cookie."""
    if not site.secure or site.host.endswith(_SECURE_NAMES):
        return False
    if site.origin.startswith("http:"):
        return True
    origin = request.headers.get("Origin", "")
    return _PLAIN_ORIGIN.fullmatch(origin) is not None and host_of(origin) == site.host


def missing_csrf_cookie(request: web.Request, site: LoginSite) -> str:
    """Return the message for the user if a form of our own page came without a valid token."""
    if is_over_http(request, site):
        return f"{_OVER_HTTP[:1].upper()}{_OVER_HTTP[1:]}."
    if login_cookies(request, site, "csrf"):
        return "This form was too old. Please send it again."
    return (
        "Your browser sent no cookie with this form: cookies were cleared, or are blocked for this "
        "page. Please send it again."
    )


def has_own_host(request: web.Request, site: LoginSite) -> bool:
    """Return True if the request was sent to the host of this login site."""
    return values(request.raw_headers, "Host") == [site.authority.encode("ascii")]
