"""Accounts of identity providers that users link to their own entry, on the account page."""

from aiohttp import web

from authgw.core.audit import account_fields
from authgw.core.errors import (
    AuthgwError,
    FlowInvalidError,
    UsersFileUnwritableError,
)
from authgw.core.login_sites import LoginSite
from authgw.core.providers.model import Provider
from authgw.core.users import USERS
from authgw.services.providers.results import FinishedLink
from authgw.services.results import Identity
from authgw.web.account_pages import account_page, stale_form
from authgw.web.context import GATEWAY, record
from authgw.web.cookies import session_tokens, set_flow_cookie
from authgw.web.forms import has_session_csrf_token, read_own_form
from authgw.web.html import see
from authgw.web.login_site import login_site
from authgw.web.login_steps import record_failure, refused
from authgw.web.provider_links import is_recent
from authgw.web.provider_pages import failure_page
from authgw.web.provider_parts import AccountLinks
from authgw.web.provider_requests import parts_of, provider_of
from authgw.web.return_target import ReturnTarget

_TOO_OLD = "Log in again first: your last login is too long ago for this change."
_READ_ONLY = "Nothing was changed: the file of the users is read-only here."


async def change_link(request: web.Request) -> web.Response:
    """Link an account of the provider, or remove the links to it, for the user of this session."""
    site, provider, parts = login_site(request), provider_of(request), parts_of(request)
    if not parts.is_self_service:
        raise web.HTTPNotFound
    form = await read_own_form(request, site, "remove")
    identity = await _identity(request)
    if identity is None:
        return see(site.base)
    if not has_session_csrf_token(identity, form):
        return await stale_form(request, site, identity)
    if identity.session.source != USERS:
        raise web.HTTPNotFound
    if not is_recent(request, identity.session):
        return await account_page(request, site, identity, _TOO_OLD)
    try:
        if form["remove"]:
            return await _unlink(request, site, identity, provider, parts.links)
        started = await parts.logins.start(
            provider.name,
            site,
            purpose="link",
            asking=identity.session,
            prompt="select_account",
        )
    except UsersFileUnwritableError as error:
        record_failure(request, error)
        return refused(await account_page(request, site, identity, _READ_ONLY), error)
    except AuthgwError as error:
        record_failure(request, error)
        return failure_page(request, site, provider, ReturnTarget(), error)
    response = see(started.url)
    set_flow_cookie(request, response, site, started.cookie_suffix, started.ticket)
    return response


async def _unlink(
    request: web.Request,
    site: LoginSite,
    identity: Identity,
    provider: Provider,
    links: AccountLinks,
) -> web.Response:
    """Remove the links to accounts of a provider, which ends the sessions that they opened."""
    label, sub = provider.label or provider.name, identity.session.sub
    message = f"Your account at {label} was not linked."
    if await links.remove(sub, provider.issuer):
        message = f"Your account at {label} is no longer linked."
        record(
            request,
            "change",
            sub=sub,
            sid=identity.session.sid,
            sentence=f"link to {provider.source} removed by its owner",
            more=account_fields(provider.name),
        )
    if identity.session.issuer == provider.issuer:
        # The present session was opened by the link, and has ended with it.
        return see(f"{site.base}?switch=yes")
    return await account_page(request, site, identity, message)


async def link(request: web.Request, site: LoginSite, found: FinishedLink) -> web.Response:
    """Link the account of a response to the user who asked for it; no session changes.

    A response is for the session that began the flow, and for no other that the browser has now.
    """
    provider, parts = found.provider, parts_of(request)
    identity = await _identity(request)
    try:
        if identity is None or identity.session.sid != found.flow.sid or not parts.is_self_service:
            raise FlowInvalidError(cause="flow_session")
        if not is_recent(request, identity.session):
            return await account_page(request, site, identity, _TOO_OLD)
        sub = identity.session.sub
        await parts.links.add(sub, found.claims.issuer, found.claims.account)
    except AuthgwError as error:
        record_failure(request, error)
        return failure_page(request, site, provider, None, error)
    sentence = f"{provider.source} linked by its owner"
    more = account_fields(provider.name, found.claims.account)
    record(request, "change", sub=sub, sid=identity.session.sid, sentence=sentence, more=more)
    return see(f"{site.base}/account?linked={provider.name}")


async def _identity(request: web.Request) -> Identity | None:
    return await request[GATEWAY].services.identification.browser_session(session_tokens(request))
