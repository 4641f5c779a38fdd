"""The login pages: password, second factor, and a redirect loop that no login can end."""

import math

from aiohttp import web

from authgw.core.errors import (
    REASONS,
    AuthgwError,
    CredentialsAmbiguousError,
    CrossSiteError,
    StoreUnavailableError,
    TooManyFailuresError,
    TotpRequiredError,
    UsersFileUnwritableError,
)
from authgw.core.login_sites import LoginSite
from authgw.dialects.headers import values
from authgw.dialects.responses import challenge
from authgw.services.login_tickets import PENDING_LIFETIME
from authgw.services.results import Identity, VerifiedLogin
from authgw.web.audit import record_login
from authgw.web.context import GATEWAY, client_address, device_of, record, request_id
from authgw.web.cookies import (
    clear_other_spellings,
    every_session_token,
    form_token,
    give_helper,
    give_session,
    helpers,
    session_tokens,
)
from authgw.web.dispatcher import DISPATCHER
from authgw.web.forms import brings_cookie_token, is_by_http, lost_cookie, own_form
from authgw.web.html import page, see, site_of
from authgw.web.visits import LOOP_VISITS, WINDOW, next_visit
from authgw.web.ways import (
    CUT,
    ReturnTarget,
    asks_for_totp,
    cause_of_loop,
    out_of_reach,
    why_out_of_reach,
)

_DONE_FOR = 60.0  # seconds in which a browser that comes back must have the session cookie
_SEVERAL = "This browser holds several sessions. Logging in ends all of them and begins a new one."


async def show(request: web.Request) -> web.Response:
    """The log-in page; who is logged in already is sent on."""
    site, way = site_of(request), ReturnTarget.of(request.query)
    found, note = await _browser_session(request)
    if found is None or "switch" in request.query:
        lost = _lost_session(request, site) if found is None and not note else ""
        who = found.session.sub if found else ""
        return _login_page(request, site, way, message=lost, note=note, signed_in_as=who)
    if not way.rd and not way.cut:
        return see(f"{site.base}/account")
    if asks_for_totp(request, site, way) and not found.principal.totp:
        return see(way.after(f"{site.base}/totp"))
    return _send_on(request, site, way, found)


async def submit(request: web.Request) -> web.Response:
    """Take a name and a password."""
    site = site_of(request)
    form = await own_form(request, site, "rd", "cut", "username", "password")
    way, user = ReturnTarget.of(form), form["username"]
    if not brings_cookie_token(request, site, form):
        return _stale(request, _login_page(request, site, way, user, lost_cookie(request, site)))
    try:
        return await _by_password(request, site, way, user, form["password"])
    except AuthgwError as error:
        _record_failure(request, error)
        return _refused(_login_page(request, site, way, user, _in_words(error)), error)


async def _by_password(
    request: web.Request, site: LoginSite, way: ReturnTarget, user: str, password: str
) -> web.Response:
    gateway = request[GATEWAY]
    gateway.services.check_keys()
    device = gateway.login.service.tickets.device(helpers(request, site, "device"), user)
    known = await gateway.login.service.by_password(
        user, password, address=client_address(request), device=device
    )
    if not gateway.login.service.requires_code(known.user):
        return await _log_in(request, site, way, known)
    response = see(way.after(f"{site.base}/totp"))
    give_helper(
        response, site, "login", gateway.login.service.tickets.pending(known), PENDING_LIFETIME
    )
    return response


async def show_code(request: web.Request) -> web.Response:
    """The page of the second factor."""
    site, way = site_of(request), ReturnTarget.of(request.query)
    known = await _half_known(request, site)
    if known is None:
        return see(way.after(site.base))
    return _code_page(request, site, way, known)


async def submit_code(request: web.Request) -> web.Response:
    """Take a code of somebody whose password was right, now or when the session began."""
    site = site_of(request)
    form = await own_form(request, site, "rd", "cut", "code")
    way = ReturnTarget.of(form)
    known = await _half_known(request, site)
    if known is None:
        return see(way.after(site.base))
    if not brings_cookie_token(request, site, form):
        return _stale(request, _code_page(request, site, way, known, lost_cookie(request, site)))
    try:
        return await _by_code(request, site, way, known, form["code"])
    except AuthgwError as error:
        _record_failure(request, error)
        message = "" if isinstance(error, TotpRequiredError) else _in_words(error, what="The code")
        return _refused(_code_page(request, site, way, known, message), error)


async def _by_code(
    request: web.Request, site: LoginSite, way: ReturnTarget, known: VerifiedLogin, code: str
) -> web.Response:
    gateway = request[GATEWAY]
    gateway.services.check_keys()
    devices = helpers(request, site, "device")
    device = gateway.login.service.tickets.device(devices, known.user.sub, by_code=True)
    verified = await gateway.login.service.by_code(known, code, device=device)
    return await _log_in(request, site, way, verified)


async def _log_in(
    request: web.Request, site: LoginSite, way: ReturnTarget, known: VerifiedLogin
) -> web.Response:
    gateway = request[GATEWAY]
    opened = await gateway.services.sessions.open(
        known.login(device_of(request)), cookies=every_session_token(request)
    )
    how = f"browser, {' and '.join(known.amr)}"
    record_login(request, known.user.sub, opened.session.sid, how, opened.displaced)
    for old in opened.replaced:
        record(request, "revoke", sub=old.sub, sid=old.sid, detail="replaced by a new log-in")
    response = see(_onward(request, site, way, known.user.sub, opened.session.sid))
    clear_other_spellings(request, response, site)
    give_helper(response, site, "done", "yes", _DONE_FOR)
    give_session(response, site, opened)
    give_helper(
        response,
        site,
        "device",
        gateway.login.service.tickets.remember(known),
        gateway.login.device_lifetime,
    )
    give_helper(response, site, "login", "", 0)
    return response


async def _browser_session(request: web.Request) -> tuple[Identity | None, str]:
    """The one live session of this browser, and a note if it has several."""
    try:
        found = await request[GATEWAY].services.identification.identify(
            None, session_tokens(request)
        )
    except StoreUnavailableError:
        raise
    except CredentialsAmbiguousError:
        return None, _SEVERAL
    except AuthgwError:
        return None, ""
    return found, ""


async def _half_known(request: web.Request, site: LoginSite) -> VerifiedLogin | None:
    """Whose password was right: a log-in that waits for its code, or a live session."""
    gateway = request[GATEWAY]
    waiting = gateway.login.service.tickets.resume(helpers(request, site, "login"))
    if waiting is not None:
        return waiting
    found = await gateway.services.identification.browser_session(session_tokens(request))
    person = gateway.login.users.find(found.session.sub) if found else None
    if found is None or person is None:
        return None
    return VerifiedLogin(person, found.session.password_mark, found.session.amr)


def _onward(request: web.Request, site: LoginSite, way: ReturnTarget, sub: str, sid: str) -> str:
    """The address after a login: the way back, or the account page, which says why not."""
    host = out_of_reach(request, site, way)
    if host and not site.redirects.is_safe(way.rd):
        record(request, "loop", sub=sub, sid=sid, detail=why_out_of_reach(site, host))
        return way.after(f"{site.base}/account")
    return way.after(f"{site.base}/account") if way.cut else site.redirects.target(way.rd)


def _send_on(
    request: web.Request, site: LoginSite, way: ReturnTarget, found: Identity
) -> web.Response:
    """Back to where the browser came from, unless it comes from there again and again."""
    sid, where = found.session.sid, site.redirects.target(way.rd)
    onward = _onward(request, site, way, found.session.sub, sid)
    if onward != where or b"prefetch" in values(request.raw_headers, "Sec-Purpose"):
        return see(onward)
    host, allowed = site.redirects.host_of(where), request[GATEWAY].login.allowed_checks
    visit = next_visit(helpers(request, site, "visit"), sid, host, where, allowed)
    response = see(where) if visit.number < LOOP_VISITS else _loop_page(request, site, where, found)
    give_helper(response, site, "visit", visit.text, WINDOW)
    allowed.watch(sid)
    # The next check of this session is answered anew, and so noted.
    cache = request.app[DISPATCHER].cache
    if cache is not None:
        cache.forget(sid)
    return response


def _loop_page(request: web.Request, site: LoginSite, where: str, found: Identity) -> web.Response:
    host = site.redirects.host_of(where)
    cause = cause_of_loop(request, site, where, found)
    said = f"Third login redirect in {WINDOW:.0f} s for {host}. {cause}"
    record(request, "loop", sub=found.session.sub, sid=found.session.sid, detail=said)
    return page(
        request,
        "loop",
        answered=508,
        host=host,
        message=said,
        rd=where,
        request_id=request_id(request),
    )


def _lost_session(request: web.Request, site: LoginSite) -> str:
    """What to say if the browser did not keep the cookie of a login that has just succeeded."""
    if not helpers(request, site, "done") or every_session_token(request):
        return ""
    record(request, "loop", detail="the session cookie did not come back after a login")
    if is_by_http(request, site):
        return (
            "You logged in, but this page is reached by http: browsers keep our cookie over https."
        )
    where = f"login.cookie_domain ({site.cookie_domain})" if site.cookie_domain else site.host
    return (
        "You logged in, but your browser did not keep the session cookie. It may block cookies, or "
        f"refuse those for {where}."
    )


def _login_page(
    request: web.Request,
    site: LoginSite,
    way: ReturnTarget,
    username: str = "",
    message: str = "",
    *,
    note: str = "",
    signed_in_as: str = "",
) -> web.Response:
    token, host = form_token(request, site), out_of_reach(request, site, way)
    notes = [note, CUT if way.cut else "", why_out_of_reach(site, host) if host else ""]
    response = page(
        request,
        "login",
        leads_away=True,
        token=token,
        rd=way.rd,
        cut=way.cut,
        username=username,
        message=message,
        notes=[one for one in notes if one],
        signed_in_as=signed_in_as,
    )
    give_helper(response, site, "csrf", token, None)
    return response


def _code_page(
    request: web.Request,
    site: LoginSite,
    way: ReturnTarget,
    known: VerifiedLogin,
    message: str = "",
) -> web.Response:
    token = form_token(request, site)
    person = known.user
    response = page(
        request,
        "totp",
        answered=200 if person.has_totp else 403,
        leads_away=True,
        token=token,
        rd=way.rd,
        cut=way.cut,
        elsewhere=way.after(site.base, switch="yes"),
        # Who has none set up is told the command for it, which takes the user's name.
        who=(person.profile["name"] if person.has_totp else "") or person.sub,
        message=message,
        missing=not person.has_totp,
    )
    give_helper(response, site, "csrf", token, None)
    return response


def _stale(request: web.Request, response: web.Response) -> web.Response:
    """The same form again: it came from our own page, without the token of this browser."""
    record(request, "deny", reason=CrossSiteError.code, detail="the form came without its token")
    return _refused(response, CrossSiteError())


def _refused(response: web.Response, error: AuthgwError) -> web.Response:
    response.set_status(error.status if response.status == 200 else response.status)
    response.headers["X-Authgw-Reason"] = error.code
    if response.status == 401:
        response.headers["WWW-Authenticate"] = challenge(error.code)
    if response.status == 503:
        response.headers["Retry-After"] = "1"
    if isinstance(error, TooManyFailuresError):
        response.headers["Retry-After"] = str(math.ceil(error.retry_after))
    return response


def _in_words(error: AuthgwError, *, what: str = "User name or password") -> str:
    if isinstance(error, UsersFileUnwritableError):
        return f"{REASONS[error.code].meaning.capitalize()}."
    if error.status == 503:
        return "Logging in is not possible right now. Try again in a few seconds."
    if not isinstance(error, TooManyFailuresError):
        return f"{what} is wrong."
    if error.retry_after < 60:
        return f"Too many attempts. Try again in {math.ceil(error.retry_after)} seconds."
    minutes = math.ceil(error.retry_after / 60)
    return f"Too many attempts. Try again in {minutes} minute{'s' if minutes > 1 else ''}."


def _record_failure(request: web.Request, error: AuthgwError) -> None:
    name = "deny" if error.status == 503 else "login_failure"
    record(request, name, sub=error.sub, reason=error.code, detail=error.note or error.detail)
