"""The cookies that browsers are given, and taken again with the very attributes they had."""

import secrets
from http.cookies import SimpleCookie
from typing import Literal

from aiohttp import web

from authgw.core.limits import MAX_HELPER_COOKIES
from authgw.core.login_sites import LoginSite
from authgw.dialects.headers import SESSION_COOKIES, cookies
from authgw.services.results import BrowserSession
from authgw.web.context import GATEWAY, host_of

Purpose = Literal["csrf", "login", "device", "done", "visit"]
_FORM_TOKEN = 22  # characters of 128 random bits


def session_tokens(request: web.Request) -> tuple[str, ...]:
    """Every session token that came in a cookie."""
    names = request[GATEWAY].policy.sites.cookies_reaching(host_of(request))
    return cookies(request.raw_headers, names)


def every_session_token(request: web.Request) -> tuple[str, ...]:
    """Return the session tokens under every name that authgw ever gives, those in use first.

    The others are left over from another `cookie_domain`, or from before https.
    """
    found = cookies(request.raw_headers, frozenset(SESSION_COOKIES))
    return tuple(dict.fromkeys((*session_tokens(request), *found)))


def clear_other_spellings(request: web.Request, response: web.Response, site: LoginSite) -> None:
    """Have the browser forget all session cookies but the one that this page gives.

    Only cookies of this host and of the configured cookie domains, for others may belong to
    another gateway. Call it before `give_session` or `take_session`.
    """
    if not every_session_token(request):
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
    # aiohttp keeps one cookie of each name.
    jar = SimpleCookie({name: ""})
    jar[name].update({"path": "/", "max-age": "0", "samesite": "Lax"})
    jar[name]["httponly"] = True
    jar[name]["secure"] = site.secure or name.startswith("__")
    if domain is not None:
        jar[name]["domain"] = domain
    return jar[name].OutputString()


def give_session(response: web.Response, site: LoginSite, opened: BrowserSession) -> None:
    """Hand out the session cookie; it lasts as long as the session can."""
    _give_session(response, site, opened.token, opened.lifetime)


def take_session(response: web.Response, site: LoginSite) -> None:
    """Have the browser forget its session cookie."""
    _give_session(response, site, "", 0)


def helpers(request: web.Request, site: LoginSite, purpose: Purpose) -> tuple[str, ...]:
    """The values of a cookie that only the log-in pages use.

    A sibling domain can plant others beside ours: so one that is none must not hide it.
    """
    found = cookies(request.raw_headers, frozenset({site.helper_cookie(purpose)}))
    return found[:MAX_HELPER_COOKIES]


def give_helper(
    response: web.Response, site: LoginSite, purpose: Purpose, value: str, seconds: float | None
) -> None:
    """Set such a cookie for a time, None until the browser is closed; 0 takes it away."""
    response.set_cookie(
        site.helper_cookie(purpose),
        value,
        max_age=None if seconds is None else int(seconds),
        path=site.base,
        secure=site.secure,
        httponly=True,
        # Strict would keep it from the very first click on a link from another site.
        samesite="Lax",
    )


def form_token(request: web.Request, site: LoginSite) -> str:
    """What a form must bring back: 128 random bits, the same for every open tab."""
    known = [value for value in helpers(request, site, "csrf") if len(value) == _FORM_TOKEN]
    return known[0] if known else secrets.token_urlsafe(16)


def _give_session(response: web.Response, site: LoginSite, value: str, seconds: int) -> None:
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
