"""Login method: an account at an identity provider, by the authorization code flow."""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any
from urllib.parse import parse_qsl

from aiohttp import web

from authgw.core.audit import account_fields
from authgw.core.errors import AuthgwError, FlowInvalidError
from authgw.core.limits import MAX_CALLBACK_PARAMETERS
from authgw.core.login_sites import LoginSite
from authgw.core.providers.flow import cookie_suffix
from authgw.core.providers.model import Provider
from authgw.core.sessions import Session
from authgw.services.login_tickets import PENDING_LIFETIME
from authgw.services.providers.results import FinishedLink, FinishedLogin, RefusedLogin
from authgw.web import provider_account, provider_reports
from authgw.web.audit import record_login
from authgw.web.context import GATEWAY, client_address, device_of, record
from authgw.web.cookies import (
    all_session_tokens,
    delete_flow_cookie,
    delete_other_session_cookies,
    flow_cookies,
    login_cookies,
    set_login_cookie,
    set_session_cookie,
)
from authgw.web.forms import has_csrf_token, read_own_form
from authgw.web.html import see
from authgw.web.login_methods import Routes
from authgw.web.login_site import login_site
from authgw.web.login_steps import (
    DONE_LIFETIME,
    next_location,
    record_failure,
    without_csrf_token,
)
from authgw.web.provider_entry import failed, lead_to
from authgw.web.provider_pages import buttons, switch_page
from authgw.web.provider_requests import (
    asking_user,
    check_navigation,
    is_from_our_page,
    parts_of,
    provider_of,
)
from authgw.web.return_target import ReturnTarget

# The page that a provider shows after a logout or a refusal (OpenID Connect Core section 3.1.2.1).
SELECT_ACCOUNT = "select_account"


class ProviderLogin:
    """The buttons of the login page, and the way to a provider and back."""

    template = "_login_providers.html"

    @property
    def routes(self) -> Routes:
        """All paths of a provider; without providers they do not exist."""
        return {
            ("GET", "/login/oidc/{name}"): start,
            ("POST", "/login/oidc/{name}"): start_as_another_user,
            ("GET", "/login/oidc/{name}/callback"): finish,
            ("GET", "/login/oidc/{name}/icon"): provider_reports.icon,
            ("POST", "/login/oidc/{name}/backchannel"): provider_reports.end_sessions,
            ("POST", "/login/oidc/{name}/link"): provider_account.change_link,
        }

    def part(
        self, request: web.Request, site: LoginSite, target: ReturnTarget
    ) -> Mapping[str, Any]:
        """Return the buttons."""
        parts = request[GATEWAY].login.providers
        if parts is None:
            return {"providers": []}
        anew = "switch" in request.query or bool(login_cookies(request, site, "out"))
        return {"providers": buttons(request, parts, site, target, anew=anew)}


async def start(request: web.Request) -> web.Response:
    """Lead to the provider, or ask a logged-in user first.

    Any page can navigate a browser here. The user of an active session would be logged in as
    another user without noticing it, therefore only our own pages lead on at once.
    """
    site, provider = login_site(request), provider_of(request)
    check_navigation(request)
    target = ReturnTarget.of(request.query)
    is_active, identity, who = await asking_user(request)
    if is_active and not is_from_our_page(request, site):
        return switch_page(request, site, provider, target, who)
    prompt = SELECT_ACCOUNT if "again" in request.query else ""
    asking = identity.session if identity else None
    return await lead_to(request, site, provider, target, prompt=prompt, asking=asking)


async def start_as_another_user(request: web.Request) -> web.Response:
    """Handle the button of the page that asks a logged-in user."""
    site, provider = login_site(request), provider_of(request)
    form = await read_own_form(request, site, "rd", "cut")
    target = ReturnTarget.of(form)
    _, identity, who = await asking_user(request)
    if not has_csrf_token(request, site, form):
        again = switch_page(request, site, provider, target, who)
        return without_csrf_token(request, again)
    asking = identity.session if identity else None
    return await lead_to(request, site, provider, target, prompt=SELECT_ACCOUNT, asking=asking)


async def finish(request: web.Request) -> web.Response:
    """Handle the response of the provider; its cookie is deleted, whatever the result."""
    site, provider = login_site(request), provider_of(request)
    check_navigation(request)
    pairs = _query(request)
    suffix = cookie_suffix(dict(pairs).get("state", ""))
    tickets = flow_cookies(request, site).get(suffix, [])
    address = client_address(request)
    found = await parts_of(request).logins.finish(
        provider.name, site, pairs, tickets, address=address
    )
    if isinstance(found, RefusedLogin):
        response = await _refusal(request, site, provider, found)
    elif isinstance(found, FinishedLink):
        response = await provider_account.link(request, site, found)
    else:
        response = await _log_in(request, site, found)
    if tickets:
        delete_flow_cookie(response, site, suffix)
    return response


def _query(request: web.Request) -> list[tuple[str, str]]:
    """Return names and values of the query; malformed text becomes no parameter at all."""
    try:
        return parse_qsl(
            request.rel_url.raw_query_string,
            keep_blank_values=True,
            errors="strict",
            max_num_fields=MAX_CALLBACK_PARAMETERS,
        )
    except ValueError:
        return []


async def _refusal(
    request: web.Request, site: LoginSite, provider: Provider, found: RefusedLogin
) -> web.Response:
    target = ReturnTarget(found.flow.rd, found.flow.cut) if found.flow else None
    if found.error.cause == "flow_prompt" and target is not None:
        # Not every provider that omits its prompts in the metadata knows all of them.
        _, identity, _ = await asking_user(request)
        asking = identity.session if identity else None
        return await lead_to(request, site, provider, target, asking=asking)
    is_late = isinstance(found.error, FlowInvalidError) and target is not None
    if is_late and found.flow is not None and found.flow.purpose == "login":
        # The same response twice, or an old tab: the user who is logged in wants to go on.
        is_active, identity, _ = await asking_user(request)
        if is_active and identity is not None and target is not None:
            record_failure(request, found.error)
            session = identity.session
            return see(next_location(request, site, target, session.sub, session.sid))
    return failed(request, site, provider, target, found.error)


async def _log_in(request: web.Request, site: LoginSite, found: FinishedLogin) -> web.Response:
    """Open the session of a verified account, and redirect to the return target.

    The session that asked is continued if it is of the same account: only that one ends.
    """
    parts, gateway = parts_of(request), request[GATEWAY]
    parts.away.pop(found.provider.name, None)
    target = ReturnTarget(found.flow.rd, found.flow.cut)
    if found.needs_code:
        return await _code_page(request, site, target, found)
    login = replace(found.login, client=device_of(request))
    try:
        opened = await gateway.services.sessions.open(
            login,
            cookies=all_session_tokens(request),
            instead_of=await _continued(request, found),
            seal=partial(parts.seal, found.secret.encode()),
        )
    except AuthgwError as error:
        return failed(request, site, found.provider, target, error)
    record_login(
        partial(record, request),
        login.sub,
        opened.session.sid,
        f"browser, {found.provider.source}",
        found.provider.source,
        opened.displaced,
        account_fields(found.provider.name, login.account),
    )
    for old in opened.replaced:
        record(request, "revoke", sub=old.sub, sid=old.sid, sentence="replaced by a new login")
    response = see(next_location(request, site, target, login.sub, opened.session.sid))
    delete_other_session_cookies(request, response, site)
    set_login_cookie(response, site, "done", "yes", DONE_LIFETIME)
    set_login_cookie(response, site, "out", "", 0)
    set_session_cookie(response, site, opened)
    return response


async def _code_page(
    request: web.Request, site: LoginSite, target: ReturnTarget, found: FinishedLogin
) -> web.Response:
    """Lead to the page of the user's second factor; the login waits in the store."""
    login = request[GATEWAY].login
    factor = login.factor_of(login.users.find(found.login.sub))
    response = see(target.after(f"{site.base}{factor.page}"))
    ticket = await parts_of(request).pending.hold(found)
    set_login_cookie(response, site, "login", ticket, PENDING_LIFETIME)
    return response


async def _continued(request: web.Request, found: FinishedLogin) -> Session | None:
    """Return the session that asked, if it is active here and of the account that logged in."""
    _, identity, _ = await asking_user(request)
    if identity is None or identity.session.sid != found.flow.sid:
        return None
    session, login = identity.session, found.login
    same = (session.source, session.issuer, session.account) == (
        *(login.source, login.issuer, login.account),
    )
    return session if same else None
