"""The login page, redirects of users who are logged in already, and detection of redirect loops."""

from collections.abc import Awaitable, Callable

from aiohttp import web

from authgw.core.errors import AuthgwError, CredentialsAmbiguousError, StoreUnavailableError
from authgw.core.limits import LOOP_VISITS, LOOP_WINDOW
from authgw.core.login_sites import LoginSite
from authgw.core.providers.model import LOGGED_OUT_STATE
from authgw.dialects.headers import values
from authgw.dialects.responses import RECHECK
from authgw.services.results import Identity, VerifiedLogin
from authgw.web.context import GATEWAY, record, request_id
from authgw.web.cookies import all_session_tokens, login_cookies, session_tokens, set_login_cookie
from authgw.web.forms import has_csrf_token, is_over_http, missing_csrf_cookie, read_own_form
from authgw.web.html import page, see
from authgw.web.login_site import login_site
from authgw.web.login_steps import (
    continue_login,
    error_message,
    form_page,
    next_location,
    record_failure,
    refused,
    without_csrf_token,
)
from authgw.web.provider_entry import automatic_start, confirm_session
from authgw.web.return_target import ReturnTarget
from authgw.web.return_targets import (
    CUT,
    asks_for_totp,
    cause_of_loop,
    out_of_reach,
    why_out_of_reach,
)
from authgw.web.visits import next_visit

_SEVERAL = (
    "This browser has several sessions. Logging in ends all of them and starts a new session."
)


async def show(request: web.Request) -> web.Response:
    """Show the login page, or redirect a user who is logged in already."""
    site, target = login_site(request), ReturnTarget.of(request.query)
    identity, note = await _browser_session(request)
    if identity is None and RECHECK in request.query:
        problem = await confirm_session(request, site, target)
        if problem is not None:
            return problem
        identity, note = await _browser_session(request)
    start = automatic_start(request, site, target) if identity is None and not note else ""
    if start:
        return see(start)
    if identity is None and request.query.get("state") == LOGGED_OUT_STATE:
        note = note or "You are logged out."
    if identity is None or "switch" in request.query:
        message = _lost_session(request, site) if identity is None and not note else ""
        sub = identity.session.sub if identity else ""
        return login_page(request, site, target, message=message, note=note, signed_in_as=sub)
    if not target.rd and not target.cut:
        return see(f"{site.base}/account")
    if asks_for_totp(request, site, target) and not identity.principal.totp:
        login = request[GATEWAY].login
        user = login.users.find(identity.session.sub)
        return see(target.after(f"{site.base}{login.factor_of(user).page}"))
    return _redirect(request, site, target, identity)


async def submit_form(
    request: web.Request,
    verify: Callable[[web.Request, LoginSite, dict[str, str]], Awaitable[VerifiedLogin]],
    *fields: str,
    credential: str,
) -> web.Response:
    """Handle the form of a login method on the login page.

    `verify` takes the `fields` of the form and raises AuthgwError; `credential` names for the user
    the input that can be wrong.
    """
    site = login_site(request)
    form = await read_own_form(request, site, "rd", "cut", *fields)
    target, username = ReturnTarget.of(form), form.get("username", "")
    if not has_csrf_token(request, site, form):
        message = missing_csrf_cookie(request, site)
        return without_csrf_token(request, login_page(request, site, target, username, message))
    try:
        request[GATEWAY].services.check_keys()
        verified = await verify(request, site, form)
        return await continue_login(request, site, target, verified)
    except AuthgwError as error:
        record_failure(request, error)
        message = error_message(error, credential)
        return refused(login_page(request, site, target, username, message), error)


def login_page(
    request: web.Request,
    site: LoginSite,
    target: ReturnTarget,
    username: str = "",
    message: str = "",
    *,
    note: str = "",
    signed_in_as: str = "",
) -> web.Response:
    """Return the login page with the parts of all login methods."""
    host = out_of_reach(request, site, target)
    notes = [note, CUT if target.cut else "", why_out_of_reach(site, host) if host else ""]
    methods = [method for method in request[GATEWAY].login.methods if method.template]
    parts = [method.part(request, site, target) for method in methods]
    return form_page(
        request,
        site,
        "login",
        target,
        methods=[method.template for method in methods],
        has_form=len(methods) > 1,
        username=username,
        message=message,
        notes=[text for text in notes if text],
        signed_in_as=signed_in_as,
        **{name: value for part in parts for name, value in part.items()},
    )


async def _browser_session(request: web.Request) -> tuple[Identity | None, str]:
    """Return the only active session of this browser, and a note if it has several."""
    try:
        identity = await request[GATEWAY].services.identification.identify(
            None, session_tokens(request)
        )
    except StoreUnavailableError:
        raise
    except CredentialsAmbiguousError:
        return None, _SEVERAL
    except AuthgwError:
        return None, ""
    return identity, ""


def _redirect(
    request: web.Request, site: LoginSite, target: ReturnTarget, identity: Identity
) -> web.Response:
    """Redirect to the return target, unless the browser is in a redirect loop."""
    sid, url = identity.session.sid, site.redirects.target(target.rd)
    location = next_location(request, site, target, identity.session.sub, sid)
    if location != url or b"prefetch" in values(request.raw_headers, "Sec-Purpose"):
        return see(location)
    host, allowed = site.redirects.host_of(url), request[GATEWAY].login.allowed_checks
    visit = next_visit(login_cookies(request, site, "visit"), sid, host, url, allowed)
    is_loop = visit.number >= LOOP_VISITS
    response = _loop_page(request, site, url, identity) if is_loop else see(url)
    set_login_cookie(response, site, "visit", visit.text, LOOP_WINDOW)
    allowed.watch(sid)
    return response


def _loop_page(request: web.Request, site: LoginSite, url: str, identity: Identity) -> web.Response:
    host = site.redirects.host_of(url)
    cause = cause_of_loop(request, site, url, identity)
    message = f"Third login redirect in {LOOP_WINDOW:.0f} s for {host}. {cause}"
    session = identity.session
    record(request, "loop", sub=session.sub, sid=session.sid, sentence=message)
    return page(
        request,
        "loop",
        answered=508,
        host=host,
        message=message,
        rd=url,
        request_id=request_id(request),
    )


def _lost_session(request: web.Request, site: LoginSite) -> str:
    """Return the message for a browser without the cookie of a login that has just succeeded."""
    if not login_cookies(request, site, "done") or all_session_tokens(request):
        return ""
    record(request, "loop", sentence="the session cookie did not come back after a login")
    if is_over_http(request, site):
        return (
            "You logged in, but this page is reached by http, and your browser keeps the session "
            "cookie over https only."
        )
    scope = f"login.cookie_domain ({site.cookie_domain})" if site.cookie_domain else site.host
    return (
        "You logged in, but your browser did not keep the session cookie. It may block cookies, or "
        f"refuse those for {scope}."
    )
