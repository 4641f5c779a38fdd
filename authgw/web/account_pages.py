"""Who is logged in, on which devices, and how to end that."""

from datetime import UTC, datetime
from typing import Any

from aiohttp import web

from authgw.core.errors import BodyMalformedError, CrossSiteError
from authgw.core.login_sites import LoginSite
from authgw.core.sessions import Session
from authgw.core.users import USERS
from authgw.services.results import Identity
from authgw.web.audit import record_log_out
from authgw.web.context import GATEWAY, record
from authgw.web.cookies import (
    clear_other_spellings,
    every_session_token,
    give_helper,
    session_tokens,
    take_session,
)
from authgw.web.forms import (
    FORM,
    brings_session_token,
    check_origin,
    own_form,
    read_form,
    session_form_token,
)
from authgw.web.html import page, see, site_of
from authgw.web.user_agents import ago, describe_device
from authgw.web.ways import CUT, ReturnTarget, out_of_reach, why_out_of_reach


async def show(request: web.Request) -> web.Response:
    """The person, its groups and its sessions."""
    site = site_of(request)
    found = await _signed_in(request)
    if found is None:
        return see(site.base)
    way, host = (
        ReturnTarget.of(request.query),
        out_of_reach(request, site, ReturnTarget.of(request.query)),
    )
    message = f"{CUT}Open it once more: you are logged in now." if way.cut else ""
    if host and not site.redirects.is_safe(way.rd):
        message = why_out_of_reach(site, host)
    return await _account_page(request, site, found, message)


async def end(request: web.Request) -> web.Response:
    """End one session of this person, or all but this one."""
    sessions, site = request[GATEWAY].services.sessions, site_of(request)
    form = await own_form(request, site, "sid", "others")
    if not form["others"] and not form["sid"]:
        raise BodyMalformedError("the form names no session")
    found = await _signed_in(request)
    if found is None:
        return see(site.base)
    if not brings_session_token(found, form):
        return await _stale(request, site, found)
    if form["others"]:
        ending, message = sessions.end_others(found.session), "All other sessions were ended."
    else:
        ending = sessions.revoke_from(USERS, sub=found.session.sub, sid=form["sid"])
        message = "That session had ended already."
    async for one in ending:
        record(request, "revoke", sub=one.sub, sid=one.sid, detail="by its owner")
        message = message if form["others"] else "The session was ended."
    return await _account_page(request, site, found, message)


async def ask_to_log_out(request: web.Request) -> web.Response:
    """The page with the button, or word that nobody is logged in; a GET ends nothing."""
    site = site_of(request)
    found = await _signed_in(request)
    if found is None and len(session_tokens(request)) < 2:
        return page(request, "logged_out", had_session="done" in request.query)
    who = found.principal if found else None
    return page(
        request,
        "logout",
        leads_away=True,
        who=(who.profile["name"] or who.sub) if who else "",
        token=session_form_token(found) if found else "",
        logout=f"{site.root}/logout",
        rd=ReturnTarget.of(request.query).rd,
    )


async def log_out(request: web.Request) -> web.Response:
    """End the session of a browser; its cookie is taken as soon as the store has it.

    Any page of this origin may ask for it with a plain form: being logged out is all it can do.
    """
    site = site_of(request)
    check_origin(request, site)
    form: dict[str, str] = {}
    if request.content_type == FORM and request.can_read_body:
        form = await read_form(request, "token", "rd")
    ended = False
    async for gone in request[GATEWAY].services.sessions.log_out_by_cookie(
        every_session_token(request)
    ):
        record_log_out(request, gone)
        ended = ended or gone.was_active
    rd = ReturnTarget.of(form).rd
    done = f"{site.root}/logout{'?done=yes' if ended else ''}"
    response = see(site.redirects.target(rd) if rd else done)
    give_helper(response, site, "done", "", 0)
    clear_other_spellings(request, response, site)
    take_session(response, site)
    return response


async def _signed_in(request: web.Request) -> Identity | None:
    return await request[GATEWAY].services.identification.browser_session(session_tokens(request))


async def _stale(request: web.Request, site: LoginSite, found: Identity) -> web.Response:
    """The account page again: the form was shown to another session."""
    record(
        request, "deny", sub=found.session.sub, sid=found.session.sid, reason=CrossSiteError.code
    )
    message = "Nothing was ended: the form was too old, or of another session. Send it again."
    response = await _account_page(request, site, found, message)
    response.set_status(CrossSiteError().status)
    response.headers["X-Authgw-Reason"] = CrossSiteError.code
    return response


async def _account_page(
    request: web.Request, site: LoginSite, found: Identity, message: str
) -> web.Response:
    sessions = request[GATEWAY].services.sessions
    mine = await sessions.sessions_from(USERS, found.session.sub)
    used = await sessions.last_used([one.sid for one in mine])
    now = request[GATEWAY].services.clock()
    who, way = found.principal, ReturnTarget.of(request.query)
    return page(
        request,
        "account",
        token=session_form_token(found),
        who=who.sub,
        name=who.profile["name"],
        email=who.profile["email"],
        groups=list(who.groups),
        sessions=[_shown(one, used, now, found.session) for one in reversed(mine)],
        message=message,
        logout=f"{site.root}/logout",
        home=site.redirects.target(way.rd) if way.rd and way.cut else site.home,
    )


def _shown(session: Session, used: dict[str, float], now: float, own: Session) -> dict[str, Any]:
    created = datetime.fromtimestamp(session.created_at, UTC)
    return {
        "sid": session.sid,
        "device": describe_device(session.client.user_agent),
        "address": session.client.address,
        "last_used": ago(now - used.get(session.sid, now)),
        "created": f"{created:%Y-%m-%d %H:%M} UTC",
        "current": session.sid == own.sid,
    }
