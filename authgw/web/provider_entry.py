"""Ways from the login page to an identity provider: at once, and for the check of a session."""

from aiohttp import web

from authgw.core.audit import account_fields
from authgw.core.errors import (
    AuthgwError,
    ProviderUnavailableError,
    RecheckRequiredError,
    SessionEndedError,
)
from authgw.core.login_sites import LoginSite
from authgw.core.providers.model import LOGGED_OUT_STATE, Provider
from authgw.core.sessions import Session, check_valid
from authgw.dialects.responses import RECHECK
from authgw.web.context import GATEWAY
from authgw.web.cookies import login_cookies, set_flow_cookie
from authgw.web.html import see
from authgw.web.login_steps import record_failure
from authgw.web.provider_pages import failure_page, recheck_page, start_path
from authgw.web.provider_parts import account_of
from authgw.web.provider_requests import parts_of, stored_session
from authgw.web.return_target import ReturnTarget


def automatic_start(request: web.Request, site: LoginSite, target: ReturnTarget) -> str:
    """Return the path to which the login page leads at once (`login.auto`), else an empty text.

    After a logout, an error or a refusal the provider would log the user in again unasked.
    """
    parts = request[GATEWAY].login.providers
    if parts is None or not parts.is_automatic or "switch" in request.query:
        return ""
    if (
        request.query.get("state") == LOGGED_OUT_STATE
        or login_cookies(request, site, "out")
        or login_cookies(request, site, "done")
    ):
        return ""
    (name,) = parts.logins.providers
    return start_path(site, name, target)


async def lead_to(
    request: web.Request,
    site: LoginSite,
    provider: Provider,
    target: ReturnTarget,
    *,
    prompt: str = "",
    asking: Session | None = None,
) -> web.Response:
    """Return the redirect to the provider, with the cookie of the flow."""
    parts = parts_of(request)
    try:
        request[GATEWAY].services.check_keys()
        started = await parts.logins.start(
            provider.name, site, rd=target.rd, cut=target.cut, asking=asking, prompt=prompt
        )
    except AuthgwError as error:
        return failed(request, site, provider, target, error)
    response = see(started.url)
    set_flow_cookie(request, response, site, started.cookie_suffix, started.ticket)
    return response


def failed(
    request: web.Request,
    site: LoginSite,
    provider: Provider,
    target: ReturnTarget | None,
    error: AuthgwError,
) -> web.Response:
    """Record a login that failed, and return its page."""
    error.log_fields = error.log_fields or account_fields(provider.name)
    record_failure(request, error)
    # Anybody can make a provider respond to a login of his own with an error.
    if isinstance(error, ProviderUnavailableError) and error.cause != "provider_error":
        parts_of(request).away[provider.name] = request[GATEWAY].services.clock()
    return failure_page(request, site, provider, target, error)


async def confirm_session(
    request: web.Request, site: LoginSite, target: ReturnTarget
) -> web.Response | None:
    """Let the provider confirm the session of this browser (`recheck=1`).

    The result is a page if the provider does not respond. None means that the login page goes on:
    the session is confirmed, has ended, or needs no check.
    """
    parts = request[GATEWAY].login.providers
    session = await _session_to_confirm(request) if parts else None
    if parts is None or session is None or not session.issuer:
        return None
    try:
        await parts.recheck(session)
    except ProviderUnavailableError as error:
        error.log_fields = account_of(parts, session)
        record_failure(request, error)
        again = target.after(site.base, **{RECHECK: "1"})
        return recheck_page(request, error, again, target.after(site.base, switch="yes"))
    return None


async def _session_to_confirm(request: web.Request) -> Session | None:
    """Return the session of the only valid session cookie, if its provider has to confirm it.

    No check brings back a session that has ended, such as by `stale`.
    """
    stored = await stored_session(request)
    if stored is None:
        return None
    session, now = stored
    try:
        request[GATEWAY].services.identification.admit(check_valid(session, now), now)
    except RecheckRequiredError:
        return session
    except SessionEndedError:
        return None
    return None
