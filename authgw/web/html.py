"""Pages: how each is sent, and what a browser sees of a refusal."""

from typing import Any

from aiohttp import web

from authgw.core.errors import REASONS, MisdirectedError
from authgw.core.login_sites import LoginSite
from authgw.core.model import AccessRequest, Decision, ProxyResponse
from authgw.dialects.responses import return_query
from authgw.web.context import GATEWAY, host_of, request_id
from authgw.web.ways import ReturnTarget

_MAX_SHOWN = 200
_TITLES = {
    400: "This request cannot be read",
    401: "You are not logged in",
    403: "Not allowed",
    404: "There is no such page",
    421: "This is not the login page's address",
    429: "Too many attempts",
    503: "Not available now",
}


def page(
    request: web.Request,
    name: str,
    /,
    *,
    answered: int = 200,
    leads_away: bool = False,
    base: str = "",
    **context: Any,
) -> web.Response:
    """A page that no cache keeps, no frame shows, and nothing from elsewhere gets into.

    `answered` is the HTTP status, `base` where the style is, if not below the login page that this
    request was made for; on a host without one it is another host's. A form that `leads_away`
    sends the browser to an app, which may send it on: `form-action` binds every step of that way in
    some browsers (CSP Level 3 section 4.2.6), and nobody but the app knows it.
    """
    pages, (own, style) = request[GATEWAY].login.pages, _place_of(request)
    text = pages.render(f"{name}.html", base=base or own, **context)
    form = "'self' https: http:" if leads_away else "'self'"
    headers = {
        "Cache-Control": "no-store",
        "Content-Security-Policy": (
            f"default-src 'none'; style-src {style}; form-action {form}; "
            "frame-ancestors 'none'; base-uri 'none'"
        ),
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
        # Without a referrer browsers would also send `Origin: null` with our own forms.
        "Referrer-Policy": "same-origin",
        "Cross-Origin-Opener-Policy": "same-origin",
    }
    return web.Response(status=answered, text=text, content_type="text/html", headers=headers)


def see(where: str) -> web.Response:
    """Send a browser on; it asks there by GET (RFC 9110 section 15.4.4)."""
    return web.Response(status=303, headers={"Location": where, "Cache-Control": "no-store"})


def site_of(request: web.Request) -> LoginSite:
    """The log-in page that this request was made for.

    Raises:
        MisdirectedError: this host has none, but others have.
        HTTPNotFound: browsers do not log in anywhere.
        HTTPMethodNotAllowed: nor do they here; programs ask here by POST.
    """
    sites = request[GATEWAY].policy.sites
    site = sites.serving(host_of(request))
    if site is not None:
        return site
    if sites.all:
        raise MisdirectedError
    if request.method != "POST" and request.path in ("/login", "/logout"):
        raise web.HTTPMethodNotAllowed(request.method, ["POST"])
    raise web.HTTPNotFound


def _place_of(request: web.Request) -> tuple[str, str]:
    """Where the login page is that a page of this host leads to, and whose style it may load."""
    sites, host = request[GATEWAY].policy.sites, host_of(request)
    own, other = sites.serving(host), sites.covering(host)
    if own is not None or other is None:
        return (own.base if own else "/login"), "'self'"
    return f"{other.origin}{other.base}", other.origin


def problem_page(request: web.Request, code: str, detail: str = "") -> web.Response:
    """What a browser sees of a refusal with this code."""
    reason, site = REASONS[code], request[GATEWAY].policy.sites.serving(host_of(request))
    answer = page(
        request,
        "problem",
        answered=reason.status,
        status=reason.status,
        title=_TITLES.get(reason.status, "Something went wrong"),
        message=f"{_sentence(detail or reason.meaning)} {_sentence(reason.remedy)}",
        code=code,
        request_id=request_id(request),
        # Not over http, if that was the fault.
        again=ReturnTarget.of(request.query).after(
            site.url if site and site.is_ours else _place_of(request)[0]
        ),
    )
    answer.headers["X-Authgw-Reason"] = code
    answer.headers["X-Request-ID"] = request_id(request)
    return answer


def refusal_page(
    request: web.Request, decision: Decision, access: AccessRequest, reply: ProxyResponse
) -> web.Response:
    """The body of a proxy's refusal, for a browser: on the app's own host, so links are whole."""
    gateway = request[GATEWAY]
    site = gateway.policy.sites.covering(access.location.host)
    base = f"{site.origin}{site.base}" if site else ""
    if reply.status == 503:
        text = gateway.login.pages.render(
            "unavailable.html", base=base, request_id=request_id(request)
        )
    else:
        who = decision.principal
        text = gateway.login.pages.render(
            "denied.html",
            base=base,
            who=(who.profile.get("name") or who.sub) if who else "",
            needed=[whom.replace(":", " ", 1) for whom in decision.needs],
            why=_sentence(REASONS[decision.reason].meaning),
            reason=decision.reason,
            request_id=request_id(request),
            login_url=_login_url(decision, access, site) if site else "",
            asked=f"{access.location.host}{_shown(access.location.path)}",
        )
    style = site.origin if site else "'none'"
    headers = {
        **dict(reply.headers),
        "X-Request-ID": request_id(request),
        "X-Content-Type-Options": "nosniff",
        "Content-Security-Policy": (
            f"default-src 'none'; style-src {style}; "
            "form-action 'none'; frame-ancestors 'none'; base-uri 'none'"
        ),
    }
    return web.Response(status=reply.status, text=text, content_type="text/html", headers=headers)


def _login_url(decision: Decision, access: AccessRequest, site: LoginSite) -> str:
    """The login page for another try; a rule for programs has none for a stranger."""
    if decision.reason == "programs_only" and decision.principal is None:
        return ""
    joint = "&" if "?" in site.url else "?"
    return f"{site.url}{joint}switch=yes&{return_query(access)}"


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}{'' if text.endswith('.') else '.'}"


def _shown(path: str) -> str:
    plain = path.encode("utf-8", "replace").decode()
    return plain if len(plain) <= _MAX_SHOWN else f"{plain[:_MAX_SHOWN]}…"
