"""Steps that login methods and second factors share: their forms, the ticket, the new session."""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

from aiohttp import web

from authgw.core.errors import (
    AuthgwError,
    CrossSiteError,
    FlowInvalidError,
    TooManyFailuresError,
    UsersFileUnwritableError,
)
from authgw.core.login_sites import LoginSite
from authgw.core.reasons import REASONS, refusal_headers
from authgw.services.login_tickets import PENDING_LIFETIME
from authgw.services.results import VerifiedLogin
from authgw.web.audit import record_login
from authgw.web.context import GATEWAY, device_of, record
from authgw.web.cookies import (
    all_session_tokens,
    csrf_token,
    delete_other_session_cookies,
    login_cookies,
    session_tokens,
    set_login_cookie,
    set_session_cookie,
)
from authgw.web.html import page, see
from authgw.web.provider_parts import account_of
from authgw.web.return_target import ReturnTarget
from authgw.web.return_targets import out_of_reach, why_out_of_reach

# Seconds after a login in which a browser without a session cookie is told that it was lost.
DONE_LIFETIME = 60.0


def form_page(
    request: web.Request,
    site: LoginSite,
    name: str,
    target: ReturnTarget,
    *,
    status: int = 200,
    **context: Any,
) -> web.Response:
    """Return a page with forms of a login, and the cookie that their CSRF token must match."""
    token = csrf_token(request, site)
    response = page(
        request,
        name,
        answered=status,
        leads_away=True,
        token=token,
        rd=target.rd,
        cut=target.cut,
        **context,
    )
    set_login_cookie(response, site, "csrf", token, None)
    return response


async def continue_login(
    request: web.Request, site: LoginSite, target: ReturnTarget, verified: VerifiedLogin
) -> web.Response:
    """Return the response to a completed first step: the second factor's page, or a session."""
    login = request[GATEWAY].login
    if not login.service.requires_second_factor(verified.user):
        return await open_session(request, site, target, verified)
    response = see(target.after(f"{site.base}{login.factor_of(verified.user).page}"))
    ticket = login.service.tickets.pending(verified)
    set_login_cookie(response, site, "login", ticket, PENDING_LIFETIME)
    return response


async def open_session(
    request: web.Request, site: LoginSite, target: ReturnTarget, verified: VerifiedLogin
) -> web.Response:
    """Open a session, end the browser's former sessions, and redirect to the return target."""
    gateway, sub = request[GATEWAY], verified.user.sub
    opened = await gateway.services.sessions.open(
        verified.login(device_of(request)),
        cookies=all_session_tokens(request),
        instead_of=verified.session,
        seal=await _pending_secret(request, verified),
    )
    record_login(
        partial(record, request),
        sub,
        opened.session.sid,
        f"browser, {' and '.join(verified.amr)}",
        "+".join(verified.amr),
        opened.displaced,
        account_of(gateway.login.providers, opened.session),
    )
    for old in opened.replaced:
        record(request, "revoke", sub=old.sub, sid=old.sid, sentence="replaced by a new login")
    response = see(next_location(request, site, target, sub, opened.session.sid))
    delete_other_session_cookies(request, response, site)
    set_login_cookie(response, site, "done", "yes", DONE_LIFETIME)
    set_session_cookie(response, site, opened)
    if verified.began_with_password:
        ticket = gateway.login.service.tickets.remember(verified)
        set_login_cookie(response, site, "device", ticket, gateway.login.device_lifetime)
    if gateway.login.providers is not None:
        set_login_cookie(response, site, "out", "", 0)
    set_login_cookie(response, site, "login", "", 0)
    return response


async def _pending_secret(
    request: web.Request, verified: VerifiedLogin
) -> Callable[[str], str] | None:
    """Use up a login at a provider that waited for a code; return how its secret is encrypted.

    None for other logins.

    Raises:
        FlowInvalidError: it was used before.
    """
    parts = request[GATEWAY].login.providers
    if verified.pending is None or parts is None:
        return None
    if not await parts.pending.take(verified):
        raise FlowInvalidError(cause="flow_spent")
    return partial(parts.seal, verified.secret)


async def login_to_complete(request: web.Request, site: LoginSite) -> VerifiedLogin | None:
    """Return the login that a second factor can be added to, or None.

    That is a login whose first step is complete, else the browser's active session.
    """
    gateway = request[GATEWAY]
    tickets, providers = login_cookies(request, site, "login"), gateway.login.providers
    pending = gateway.login.service.tickets.resume(tickets)
    if pending is None and providers is not None and tickets:
        pending = await providers.pending.resume(tickets)
    if pending is not None:
        return pending
    identity = await gateway.services.identification.browser_session(session_tokens(request))
    user = gateway.login.users.find(identity.session.sub) if identity else None
    if identity is None or user is None:
        return None
    session = identity.session
    return VerifiedLogin(
        user, session.password_mark, session.amr, auth_time=session.proved_at, session=session
    )


def next_location(
    request: web.Request, site: LoginSite, target: ReturnTarget, sub: str, sid: str
) -> str:
    """Return the URL after a login: the return target, or the account page, which explains."""
    host = out_of_reach(request, site, target)
    if host and not site.redirects.is_safe(target.rd):
        record(request, "loop", sub=sub, sid=sid, sentence=why_out_of_reach(site, host))
        return target.after(f"{site.base}/account")
    return target.after(f"{site.base}/account") if target.cut else site.redirects.target(target.rd)


def without_csrf_token(request: web.Request, response: web.Response) -> web.Response:
    """Refuse a form that came without the CSRF token of its browser; `response` shows it again."""
    record(request, "deny", reason=CrossSiteError.code, cause="form_token")
    return refused(response, CrossSiteError())


def refused(response: web.Response, error: AuthgwError) -> web.Response:
    """Set the status and the headers of this error on the page that shows the form again."""
    response.set_status(error.status if response.status == 200 else response.status)
    response.headers.update(
        refusal_headers(error.code, status=response.status, retry_after=error.retry_after)
    )
    return response


def error_message(error: AuthgwError, credential: str) -> str:
    """Return the message for the user; `credential` names the input that can be wrong."""
    if isinstance(error, UsersFileUnwritableError):
        return f"{REASONS[error.code].meaning.capitalize()}."
    if error.status == 503:
        return "You cannot log in right now. Try again in a few seconds."
    if not isinstance(error, TooManyFailuresError):
        return f"{credential} is wrong."
    if error.retry_after < 60:
        return f"Too many attempts. Try again in {math.ceil(error.retry_after)} seconds."
    minutes = math.ceil(error.retry_after / 60)
    return f"Too many attempts. Try again in {minutes} minute{'s' if minutes > 1 else ''}."


def record_failure(request: web.Request, error: AuthgwError) -> None:
    """Record the event of a login that failed."""
    record(
        request,
        REASONS[error.code].event,
        sub=error.sub,
        reason=error.code,
        sentence=error.note or error.detail,
        cause=error.cause,
        more=error.log_fields,
    )
