"""Session cookies and the login pages' own cookies: read, set and delete them."""

import secrets
from http.cookies import SimpleCookie
from typing import Literal

from aiohttp import web

from authgw.core.limits import MAX_FLOW_COOKIES, MAX_HELPER_COOKIES
from authgw.core.login_sites import LoginSite
from authgw.core.providers.flow import FLOW_LIFETIME
from authgw.dialects.headers import SESSION_COOKIES, own_cookies
from authgw.services.results import BrowserSession
from authgw.web.context import GATEWAY, host_of

Purpose = Literal["csrf", "login", "device", "done", "out", "visit"]
_CSRF_TOKEN_LENGTH = 22  # characters of 128 random bits
_PARSED = web.RequestKey("cookies", tuple[tuple[str, str], ...])


def _named(request: web.Request, names: frozenset[str]) -> tuple[str, ...]:
    """Return the values of the cookies with these names; the header is parsed once a request."""
    parsed = request.get(_PARSED)
    if parsed is None:
        parsed = request[_PARSED] = own_cookies(request.raw_headers)
    return tuple(value for name, value in parsed if name in names)


def session_tokens(request: web.Request) -> tuple[str, ...]:
    """Return the session tokens from cookies that are accepted on this host."""
    return _named(request, request[GATEWAY].policy.sites.cookies_reaching(host_of(request)))


def all_session_tokens(request: web.Request) -> tuple[str, ...]:
    """Return the session tokens from cookies of every possible name, accepted names first.

    The others were set with another `cookie_domain`, or before https.
    """
    others = _named(request, frozenset(SESSION_COOKIES))
    return tuple(dict.fromkeys((*session_tokens(request), *others)))


def delete_other_session_cookies(
    request: web.Request, response: web.Response, site: LoginSite
) -> None:
    """Delete all session cookies of the browser except the session cookie of this site.

    Only cookies of this host and of the configured cookie domains are deleted: others may belong
    to another gateway. Call it before `set_session_cookie` or `delete_session_cookie`.
    """
    if not all_session_tokens(request):
        return
    for name in SESSION_COOKIES:
        domains = (
            ()
            if name.startswith("__Host-")
            else request[GATEWAY].policy.sites.domains_of(site.host)
        )
        for domain in (None, *domains):
            if (name, domain) != (site.session_cookie, site.cookie_domain):
                response.headers.add("Set-Cookie", _deletion(name, domain, site))


def _deletion(name: str, domain: str | None, site: LoginSite) -> str:
    # aiohttp keeps a single cookie of each name.
    jar = SimpleCookie({name: ""})
    jar[name].update({"path": "/", "max-age": "0", "samesite": "Lax"})
    jar[name]["httponly"] = True
    jar[name]["secure"] = site.secure or name.startswith("__")
    if domain is not None:
        jar[name]["domain"] = domain
    return jar[name].OutputString()


def set_session_cookie(response: web.Response, site: LoginSite, opened: BrowserSession) -> None:
    """Set the session cookie; it expires with the session's maximum lifetime."""
    _set_session_cookie(response, site, opened.token, opened.lifetime)


def delete_session_cookie(response: web.Response, site: LoginSite) -> None:
    """Delete the session cookie of this site."""
    _set_session_cookie(response, site, "", 0)


def login_cookies(request: web.Request, site: LoginSite, purpose: Purpose) -> tuple[str, ...]:
    """Return the values of a cookie of the login pages, at most 4.

    A sibling domain can set further cookies of the same name, so an invalid value must not hide
    the valid value.
    """
    return _named(request, frozenset({site.helper_cookie(purpose)}))[:MAX_HELPER_COOKIES]


def set_login_cookie(
    response: web.Response, site: LoginSite, purpose: Purpose, value: str, seconds: float | None
) -> None:
    """Set a cookie of the login pages for some seconds.

    With None it lasts until the browser is closed, with 0 it is deleted.
    """
    response.set_cookie(
        site.helper_cookie(purpose),
        value,
        max_age=None if seconds is None else int(seconds),
        path=site.base,
        secure=site.secure,
        httponly=True,
        # With Strict, the first click on a link from another site would come without it.
        samesite="Lax",
    )


def flow_cookies(request: web.Request, site: LoginSite) -> dict[str, list[str]]:
    """Return the tickets of this browser's logins at identity providers, the oldest first.

    The keys are the ends of the cookies' names. Over http the name has no `__Host-`, so that
    several cookies can have it, and an invalid value must not hide the valid value.
    """
    prefix = site.flow_cookie("")
    found: dict[str, list[str]] = {}
    for name, value in own_cookies(request.raw_headers):
        if name.startswith(prefix):
            found.setdefault(name.removeprefix(prefix), []).append(value)
    return found


def set_flow_cookie(
    request: web.Request, response: web.Response, site: LoginSite, suffix: str, ticket: str
) -> None:
    """Set the cookie of a new login at a provider; of the older ones the newest is kept."""
    # RFC 6265 section 5.4: cookies of the same path are sent in the order of their creation.
    older = [name for name in flow_cookies(request, site) if name != suffix]
    for name in older[: max(0, len(older) + 1 - MAX_FLOW_COOKIES)]:
        delete_flow_cookie(response, site, name)
    _set_flow_cookie(response, site, suffix, ticket, int(FLOW_LIFETIME))


def delete_flow_cookie(response: web.Response, site: LoginSite, suffix: str) -> None:
    """Delete the cookie of a login at a provider."""
    _set_flow_cookie(response, site, suffix, "", 0)


def _set_flow_cookie(
    response: web.Response, site: LoginSite, suffix: str, value: str, seconds: int
) -> None:
    response.set_cookie(
        site.flow_cookie(suffix),
        value,
        max_age=seconds,
        # As `__Host-` demands.
        path="/",
        secure=site.secure,
        httponly=True,
        # The provider leads back by a navigation from another site.
        samesite="Lax",
    )


def csrf_token(request: web.Request, site: LoginSite) -> str:
    """Return the CSRF token of this browser, 128 random bits, the same for every open tab."""
    tokens = login_cookies(request, site, "csrf")
    valid = (token for token in tokens if len(token) == _CSRF_TOKEN_LENGTH)
    return next(valid, "") or secrets.token_urlsafe(16)


def _set_session_cookie(response: web.Response, site: LoginSite, value: str, seconds: int) -> None:
    response.set_cookie(
        site.session_cookie,
        value,
        max_age=seconds,
        path="/",
        domain=site.cookie_domain,
        secure=site.secure,
        httponly=True,
        samesite="Lax",
    )
