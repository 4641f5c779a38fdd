"""Account page with the user's sessions, and the logout pages."""

from datetime import UTC, datetime
from functools import partial
from typing import Any

from aiohttp import web

from authgw.core.errors import BodyMalformedError, CrossSiteError
from authgw.core.login_sites import LoginSite
from authgw.core.sessions import Session
from authgw.services.results import Identity
from authgw.web.audit import record_logout
from authgw.web.context import GATEWAY, record
from authgw.web.cookies import (
    all_session_tokens,
    delete_other_session_cookies,
    delete_session_cookie,
    session_tokens,
    set_login_cookie,
)
from authgw.web.forms import (
    FORM,
    check_origin,
    has_session_csrf_token,
    read_form,
    read_own_form,
    session_csrf_token,
)
from authgw.web.html import page, see
from authgw.web.login_site import login_site
from authgw.web.login_steps import refused
from authgw.web.provider_links import linked_accounts, new_link, source_label
from authgw.web.provider_parts import account_of
from authgw.web.provider_requests import stored_session
from authgw.web.return_target import ReturnTarget
from authgw.web.return_targets import CUT, out_of_reach, why_out_of_reach
from authgw.web.user_agents import ago, describe_device

# Seconds after a logout in which the login page does not lead to a provider by itself, where the
# user would be logged in again at once.
_OUT_LIFETIME = 300.0


async def show(request: web.Request) -> web.Response:
    """Show the user's properties, groups and sessions."""
    site = login_site(request)
    identity = await _identity(request)
    if identity is None:
        return see(site.base)
    target = ReturnTarget.of(request.query)
    host = out_of_reach(request, site, target)
    message = f"{CUT}Open it again: you are logged in now." if target.cut else ""
    if host and not site.redirects.is_safe(target.rd):
        message = why_out_of_reach(site, host)
    message = message or new_link(request, identity)
    return await account_page(request, site, identity, message)


async def end(request: web.Request) -> web.Response:
    """End a session of this user, or all except the current session."""
    sessions, site = request[GATEWAY].services.sessions, login_site(request)
    form = await read_own_form(request, site, "sid", "others")
    if not form["others"] and not form["sid"]:
        raise BodyMalformedError("the form names no session")
    identity = await _identity(request)
    if identity is None:
        return see(site.base)
    if not has_session_csrf_token(identity, form):
        return await stale_form(request, site, identity)
    if form["others"]:
        ending, message = sessions.end_others(identity.session), "All other sessions were ended."
    else:
        source, sub = identity.session.source, identity.session.sub
        ending = sessions.revoke_from(source, sub=sub, sid=form["sid"])
        message = "That session had already ended."
    async for session in ending:
        record(request, "revoke", sub=session.sub, sid=session.sid, sentence="by its owner")
        message = message if form["others"] else "The session was ended."
    return await account_page(request, site, identity, message)


async def show_logout(request: web.Request) -> web.Response:
    """Show the logout button, or that no user is logged in; a GET ends no session."""
    site = login_site(request)
    identity = await _identity(request)
    if identity is None and len(session_tokens(request)) < 2:
        return page(request, "logged_out", had_session="done" in request.query)
    user = identity.principal if identity else None
    return page(
        request,
        "logout",
        leads_away=True,
        who=(user.profile["name"] or user.sub) if user else "",
        token=session_csrf_token(identity) if identity else "",
        logout=f"{site.root}/logout",
        rd=ReturnTarget.of(request.query).rd,
    )


async def log_out(request: web.Request) -> web.Response:
    """End the sessions of a browser, then delete its cookies.

    Any page of this origin may send a form without a CSRF token: a logout is all that it causes.
    """
    site = login_site(request)
    check_origin(request, site)
    form: dict[str, str] = {}
    if request.content_type == FORM and request.can_read_body:
        form = await read_form(request, "token", "rd")
    session, parts = await _provider_session(request), request[GATEWAY].login.providers
    was_active = False
    async for result in request[GATEWAY].services.sessions.log_out_by_cookie(
        all_session_tokens(request)
    ):
        is_known = session is not None and session.sid == result.token.sid
        more = account_of(parts, session) if session and is_known else ()
        record_logout(partial(record, request), result, more)
        was_active = was_active or result.was_active
    # Afterwards: a provider that does not respond must not delay the end here.
    away = await parts.end_session_url(session, site) if session and parts else ""
    rd = ReturnTarget.of(form).rd
    done = f"{site.root}/logout{'?done=yes' if was_active else ''}"
    response = see(away or (site.redirects.target(rd) if rd else done))
    set_login_cookie(response, site, "done", "", 0)
    if request[GATEWAY].login.providers is not None:
        set_login_cookie(response, site, "out", "yes", _OUT_LIFETIME)
    delete_other_session_cookies(request, response, site)
    delete_session_cookie(response, site)
    return response


async def _provider_session(request: web.Request) -> Session | None:
    """Return the browser's session, also if its provider has to confirm it; None without one."""
    stored = await stored_session(request) if request[GATEWAY].login.providers else None
    return None if stored is None else stored[0]


async def _identity(request: web.Request) -> Identity | None:
    return await request[GATEWAY].services.identification.browser_session(session_tokens(request))


async def stale_form(request: web.Request, site: LoginSite, identity: Identity) -> web.Response:
    """Show the account page again: the form was shown to another session."""
    record(
        request,
        "deny",
        sub=identity.session.sub,
        sid=identity.session.sid,
        reason=CrossSiteError.code,
        cause="form_token",
    )
    message = (
        "No session was ended: the form was too old, or belonged to another session. Send it again."
    )
    return refused(await account_page(request, site, identity, message), CrossSiteError())


async def account_page(
    request: web.Request, site: LoginSite, identity: Identity, message: str
) -> web.Response:
    """Return the account page, with a message about a change."""
    sessions = request[GATEWAY].services.sessions
    own = await sessions.sessions_from(identity.session.source, identity.session.sub)
    used = await sessions.last_used([session.sid for session in own])
    now = request[GATEWAY].services.clock()
    user, target = identity.principal, ReturnTarget.of(request.query)
    links = linked_accounts(request, site, identity)
    return page(
        request,
        "account",
        # The forms of links, and a logout that goes on to the provider, lead to other hosts.
        leads_away=request[GATEWAY].login.providers is not None,
        source=source_label(request, identity.session),
        links=links,
        token=session_csrf_token(identity),
        who=user.sub,
        name=user.profile["name"],
        email=user.profile["email"],
        groups=list(user.groups),
        sessions=[_row(session, used, now, identity.session) for session in reversed(own)],
        message=message,
        logout=f"{site.root}/logout",
        home=site.redirects.target(target.rd) if target.rd and target.cut else site.home,
    )


def _row(session: Session, used: dict[str, float], now: float, current: Session) -> dict[str, Any]:
    created = datetime.fromtimestamp(session.created_at, UTC)
    return {
        "sid": session.sid,
        "device": describe_device(session.client.user_agent),
        "address": session.client.address,
        "last_used": ago(now - used.get(session.sid, now)),
        "created": f"{created:%Y-%m-%d %H:%M} UTC",
        "current": session.sid == current.sid,
    }
