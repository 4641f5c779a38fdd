"""Pages and their response headers, and the pages of refusals."""

from typing import Any

from aiohttp import web

from authgw.core.limits import MAX_SHOWN_PATH_LENGTH
from authgw.core.login_sites import LoginSite, LoginSites
from authgw.core.model import AccessRequest, Decision, ProxyResponse
from authgw.core.reasons import REASONS
from authgw.dialects.responses import return_query
from authgw.forward_auth.response_bytes import Response
from authgw.web.context import GATEWAY, host_of, request_id
from authgw.web.return_target import ReturnTarget
from authgw.web.templating import SCRIPT_SOURCE, PageRenderer

_TITLES = {
    400: "This request is not valid",
    401: "You are not logged in",
    403: "Not allowed",
    404: "Page not found",
    421: "This address has no login page",
    429: "Too many attempts",
    503: "Not available right now",
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
    """Return a page that is not cached, not framed, and loads only our own style and icon.

    `answered` is the HTTP status. `base` is the address below which the style is, by default the
    login page of this host, or of another host if this host has no login page. A form that
    `leads_away` sends the browser to an app, which may redirect it: some browsers apply
    `form-action` to each redirect (CSP Level 3 section 4.2.6), and only the app knows its targets.
    """
    pages, (own, style) = request[GATEWAY].login.pages, _style_source(request)
    text = pages.render(f"{name}.html", base=base or own, **context)
    form = "'self' https: http:" if leads_away else "'self'"
    headers = {
        "Cache-Control": "no-store",
        "Content-Security-Policy": _policy(style, form),
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
        # Without a referrer browsers would also send `Origin: null` with our own forms.
        "Referrer-Policy": "same-origin",
        "Cross-Origin-Opener-Policy": "same-origin",
    }
    return web.Response(status=answered, text=text, content_type="text/html", headers=headers)


def see(where: str) -> web.Response:
    """Return a redirect that a browser follows with GET (RFC 9110 section 15.4.4)."""
    return web.Response(status=303, headers={"Location": where, "Cache-Control": "no-store"})


def _style_source(request: web.Request) -> tuple[str, str]:
    """Return the base address of the login page for this host, and the CSP source of its style."""
    sites, host = request[GATEWAY].policy.sites, host_of(request)
    own, other = sites.serving(host), sites.covering(host)
    if own is not None or other is None:
        return (own.base if own else "/login"), "'self'"
    return f"{other.origin}{other.base}", other.origin


def problem_page(request: web.Request, code: str, detail: str = "") -> web.Response:
    """Return the page of a refusal with this code."""
    reason, site = REASONS[code], request[GATEWAY].policy.sites.serving(host_of(request))
    return page(
        request,
        "problem",
        answered=reason.status,
        status=reason.status,
        title=_TITLES.get(reason.status, "Something went wrong"),
        message=f"{_sentence(detail or reason.meaning)} {_sentence(reason.remedy)}",
        code=code,
        request_id=request_id(request),
        # The configured URL, because a request over http may be the cause.
        again=ReturnTarget.of(request.query).after(
            site.url if site and site.is_ours else _style_source(request)[0]
        ),
    )


def refusal_page(
    pages: PageRenderer,
    sites: LoginSites,
    decision: Decision,
    access: AccessRequest,
    reply: ProxyResponse,
    request_id: str,
    *,
    show_groups: bool,
) -> Response:
    """Return the page of a proxy's refusal; its links are absolute, as it is on the app's host.

    With `show_groups` it lists the groups and users that the rule allows.
    """
    site = sites.covering(access.location.host)
    base = f"{site.origin}{site.base}" if site else ""
    if reply.status == 503:
        text = pages.render("unavailable.html", base=base, request_id=request_id)
    else:
        principal = decision.principal
        text = pages.render(
            "denied.html",
            base=base,
            who=(principal.profile.get("name") or principal.sub) if principal else "",
            needed=[need.replace(":", " ", 1) for need in decision.needs if show_groups],
            why=_sentence(REASONS[decision.reason].meaning),
            reason=decision.reason,
            request_id=request_id,
            login_url=_login_url(decision, access, site) if site else "",
            asked=f"{access.location.host}{_truncated(access.location.path)}",
        )
    style = site.origin if site else "'none'"
    headers = {
        **dict(reply.headers),
        "X-Request-ID": request_id,
        "X-Content-Type-Options": "nosniff",
        "Content-Security-Policy": _policy(style, "'none'"),
        "Content-Type": "text/html; charset=utf-8",
    }
    return Response(reply.status, (*headers.items(),), text.encode())


def _policy(own: str, form: str) -> str:
    """Return the Content-Security-Policy of a page that loads style and icon from `own`."""
    return (
        f"default-src 'none'; style-src {own}; img-src {own}; script-src {SCRIPT_SOURCE}; "
        f"form-action {form}; frame-ancestors 'none'; base-uri 'none'"
    )


def _login_url(decision: Decision, access: AccessRequest, site: LoginSite) -> str:
    """Return the URL to log in as another user, empty if the rule accepts no login of a browser."""
    if decision.reason == "programs_only" and decision.principal is None:
        return ""
    separator = "&" if "?" in site.url else "?"
    return f"{site.url}{separator}switch=yes&{return_query(access)}"


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}{'' if text.endswith('.') else '.'}"


def _truncated(path: str) -> str:
    text = path.encode("utf-8", "replace").decode()
    return text if len(text) <= MAX_SHOWN_PATH_LENGTH else f"{text[:MAX_SHOWN_PATH_LENGTH]}…"
