"""The log-in pages: password, second factor, and a loop that no log-in can end."""

import math
from urllib.parse import quote

from aiohttp import web

from authgw.core.errors import (
    AuthgwError,
    LoginFailed,
    TargetMalformed,
    TooManyFailures,
    TotpRequired,
)
from authgw.core.location import location_from
from authgw.core.model import AccessRequest
from authgw.core.outcomes import Found
from authgw.core.sites import Site
from authgw.dialects.answers import challenge
from authgw.signin import PENDING_FOR, Verified
from authgw.web.cookies import (
    form_token,
    give_helper,
    give_session,
    helpers,
    session_tokens,
)
from authgw.web.events import record_login
from authgw.web.forms import own_form
from authgw.web.gateway import GATEWAY, client_address, device_of, record, request_id
from authgw.web.refusals import page, see, site_of

_LOOP_WINDOW = 10.0  # seconds
_LOOP_AFTER = 3  # the same host within the window
_LONGEST_RD = 12 * 1024  # bytes as a form sends it, of the 16 KiB that one may have


async def show(request: web.Request) -> web.Response:
    """The log-in page; who is logged in already is sent on."""
    site = site_of(request)
    rd = request.query.get("rd", "")
    found = await request[GATEWAY].sessions.browser_session(session_tokens(request))
    if found is None or "switch" in request.query:
        return _login_page(request, site, rd, signed_in_as=found.session.sub if found else "")
    if not rd:
        return see(f"{site.base}/account")
    if _needs_code(request, site, rd) and not found.principal.totp:
        return see(_second_step(site, rd))
    return await _send_on(request, site, rd, found)


async def submit(request: web.Request) -> web.Response:
    """Take a name and a password."""
    gateway, site = request[GATEWAY], site_of(request)
    gateway.check_keys()
    form = await own_form(request, site, "rd", "username", "password")
    rd, user = form["rd"], form["username"]
    device = gateway.sign_in.device(helpers(request, site, "device"), user)
    try:
        known = await gateway.sign_in.by_password(
            user, form["password"], address=client_address(request), device=device
        )
    except (LoginFailed, TooManyFailures) as error:
        _record_failure(request, error)
        return _refused(_login_page(request, site, rd, user, _in_words(error)), error)
    if not gateway.sign_in.asks_code_of(known.person):
        return await _log_in(request, site, rd, known)
    response = see(_second_step(site, rd))
    give_helper(response, site, "login", gateway.sign_in.pending(known), PENDING_FOR)
    return response


async def show_code(request: web.Request) -> web.Response:
    """The page of the second factor."""
    site, rd = site_of(request), request.query.get("rd", "")
    known, _ = await _half_known(request, site)
    if known is None:
        return see(_first_step(site, rd))
    return _code_page(request, site, rd, known)


async def submit_code(request: web.Request) -> web.Response:
    """Take a code of somebody whose password was right, now or when the session began."""
    gateway, site = request[GATEWAY], site_of(request)
    gateway.check_keys()
    form = await own_form(request, site, "rd", "code")
    known, found = await _half_known(request, site)
    if known is None:
        return see(_first_step(site, form["rd"]))
    devices = helpers(request, site, "device")
    device = gateway.sign_in.device(devices, known.person.sub, by_code=True)
    try:
        verified = await gateway.sign_in.by_code(known, form["code"], device=device)
    except (LoginFailed, TooManyFailures, TotpRequired) as error:
        _record_failure(request, error)
        message = "" if isinstance(error, TotpRequired) else _in_words(error, what="The code")
        return _refused(_code_page(request, site, form["rd"], known, message), error)
    return await _log_in(request, site, form["rd"], verified, found)


async def _log_in(
    request: web.Request, site: Site, rd: str, known: Verified, found: Found | None = None
) -> web.Response:
    gateway = request[GATEWAY]
    before = found or await gateway.sessions.browser_session(session_tokens(request))
    opened = await gateway.sessions.open(
        known.login(device_of(request)), instead_of=before.session if before else None
    )
    how = f"browser, {' and '.join(known.amr)}"
    record_login(request, known.person.sub, opened.session.sid, how, opened.displaced)
    if before is not None and opened.replaced:
        old = before.session
        record(request, "revoke", sub=old.sub, sid=old.sid, detail="replaced by a new log-in")
    response = see(site.redirects.target(rd))
    give_session(response, site, opened)
    device = gateway.sign_in.remember(known)
    give_helper(response, site, "device", device, gateway.device_life)
    give_helper(response, site, "login", "", 0)
    return response


async def _half_known(request: web.Request, site: Site) -> tuple[Verified | None, Found | None]:
    """Whose password was right, and the live session that says so, if it is one."""
    gateway = request[GATEWAY]
    waiting = gateway.sign_in.resume(helpers(request, site, "login"))
    if waiting is not None:
        return waiting, None
    found = await gateway.sessions.browser_session(session_tokens(request))
    person = gateway.people.find(found.session.sub) if found else None
    if found is None or person is None:
        return None, None
    return Verified(person, found.session.password_mark, found.session.amr), found


async def _send_on(request: web.Request, site: Site, rd: str, found: Found) -> web.Response:
    """Back to where the browser came from, unless it comes from there again and again."""
    where = site.redirects.target(rd)
    host = where.partition("://")[2].partition("/")[0]
    name = f"loop:{found.session.sid}:{host}"
    count, _ = await request[GATEWAY].counters.increment(name, _LOOP_WINDOW)
    if count < _LOOP_AFTER:
        return see(where)
    said = (
        f"Third login redirect in {_LOOP_WINDOW:.0f} s for {host}. The session is valid; "
        "the proxy does not pass Cookie to the auth subrequest."
    )
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


def _needs_code(request: web.Request, site: Site, rd: str) -> bool:
    """Whether the rule for the page that the browser will be sent to asks for a second factor."""
    rules, where = request[GATEWAY].rules, site.redirects.target(rd)
    scheme, _, rest = where.partition("://")
    host, slash, target = rest.partition("/")
    try:
        location = location_from(scheme, host, slash + target)
    except TargetMalformed:
        return False
    access = AccessRequest("GET", location, client_address(request))
    match = rules.match(access) if rules else None
    return match is not None and match.rule is not None and match.rule.totp


def _login_page(
    request: web.Request,
    site: Site,
    rd: str,
    username: str = "",
    message: str = "",
    *,
    signed_in_as: str = "",
) -> web.Response:
    token = form_token(request, site)
    response = page(
        request,
        "login",
        leads_away=True,
        token=token,
        rd=_sent_back(rd),
        username=username,
        message=message,
        signed_in_as=signed_in_as,
    )
    give_helper(response, site, "csrf", token, None)
    return response


def _code_page(
    request: web.Request, site: Site, rd: str, known: Verified, message: str = ""
) -> web.Response:
    token = form_token(request, site)
    person = known.person
    response = page(
        request,
        "totp",
        answered=200 if person.has_totp else 403,
        leads_away=True,
        token=token,
        rd=_sent_back(rd),
        # Who has none set up is told the command for it, which takes the user's name.
        who=(person.name if person.has_totp else "") or person.sub,
        message=message,
        missing=not person.has_totp,
    )
    give_helper(response, site, "csrf", token, None)
    return response


def _sent_back(rd: str) -> str:
    """What the form brings back of it: one that is too long for a form leads nowhere."""
    return rd if len(quote(rd, safe="")) <= _LONGEST_RD else ""


def _refused(response: web.Response, error: AuthgwError) -> web.Response:
    response.set_status(error.status if response.status == 200 else response.status)
    response.headers["X-Authgw-Reason"] = error.code
    if response.status == 401:
        response.headers["WWW-Authenticate"] = challenge(error.code)
    if isinstance(error, TooManyFailures):
        response.headers["Retry-After"] = str(math.ceil(error.retry_after))
    return response


def _in_words(error: AuthgwError, *, what: str = "User name or password") -> str:
    if not isinstance(error, TooManyFailures):
        return f"{what} is wrong."
    if error.retry_after < 60:
        return f"Too many attempts. Try again in {math.ceil(error.retry_after)} seconds."
    minutes = math.ceil(error.retry_after / 60)
    return f"Too many attempts. Try again in {minutes} minute{'s' if minutes > 1 else ''}."


def _record_failure(request: web.Request, error: AuthgwError) -> None:
    record(request, "login_failure", sub=error.sub, reason=error.code, detail=error.detail)


def _first_step(site: Site, rd: str) -> str:
    return f"{site.base}?rd={quote(rd, safe='')}" if rd else site.base


def _second_step(site: Site, rd: str) -> str:
    return f"{site.base}/totp?rd={quote(rd, safe='')}" if rd else f"{site.base}/totp"
