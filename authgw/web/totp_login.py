"""Second factor: a time-based code or a recovery code."""

from aiohttp import web

from authgw.core.errors import AuthgwError, TotpRequiredError
from authgw.core.login_sites import LoginSite
from authgw.core.users import TOTP, User
from authgw.services.login import LoginService
from authgw.services.results import VerifiedLogin
from authgw.web.context import GATEWAY
from authgw.web.cookies import login_cookies
from authgw.web.forms import has_csrf_token, missing_csrf_cookie, read_own_form
from authgw.web.html import see
from authgw.web.login_methods import Routes
from authgw.web.login_site import login_site
from authgw.web.login_steps import (
    error_message,
    form_page,
    login_to_complete,
    open_session,
    record_failure,
    refused,
    without_csrf_token,
)
from authgw.web.return_target import ReturnTarget


class TotpFactor:
    """Codes of an authenticator app, and recovery codes."""

    page = "/totp"

    def __init__(self, service: LoginService) -> None:
        self._service = service

    @property
    def routes(self) -> Routes:
        """The page and its form."""
        return {("GET", "/login/totp"): self.show, ("POST", "/login/totp"): self.submit}

    def is_set_up(self, user: User) -> bool:
        """Return True if the user has a TOTP secret."""
        return user.has_totp

    async def show(self, request: web.Request) -> web.Response:
        """Show the form for a code."""
        site, target = login_site(request), ReturnTarget.of(request.query)
        login = await login_to_complete(request, site)
        if login is None:
            return see(target.after(site.base))
        return _code_page(request, site, target, login.user)

    async def submit(self, request: web.Request) -> web.Response:
        """Handle the form."""
        site = login_site(request)
        form = await read_own_form(request, site, "rd", "cut", "code")
        target = ReturnTarget.of(form)
        login = await login_to_complete(request, site)
        if login is None:
            return see(target.after(site.base))
        if not has_csrf_token(request, site, form):
            message = missing_csrf_cookie(request, site)
            return without_csrf_token(
                request, _code_page(request, site, target, login.user, message)
            )
        try:
            request[GATEWAY].services.check_keys()
            verified = await self._verify(request, site, login, form["code"])
            return await open_session(request, site, target, verified)
        except AuthgwError as error:
            record_failure(request, error)
            is_missing = isinstance(error, TotpRequiredError)
            message = "" if is_missing else error_message(error, "The code")
            return refused(_code_page(request, site, target, login.user, message), error)

    async def _verify(
        self, request: web.Request, site: LoginSite, login: VerifiedLogin, code: str
    ) -> VerifiedLogin:
        known_devices = login_cookies(request, site, "device")
        device = self._service.tickets.device(known_devices, login.user.sub, factor=TOTP)
        return await self._service.by_code(login, code, device=device)


def _code_page(
    request: web.Request, site: LoginSite, target: ReturnTarget, user: User, message: str = ""
) -> web.Response:
    return form_page(
        request,
        site,
        "totp",
        target,
        status=200 if user.has_totp else 403,
        elsewhere=target.after(site.base, switch="yes"),
        # Without a second factor the page shows the command that sets it up, with the user's name.
        who=(user.profile["name"] if user.has_totp else "") or user.sub,
        message=message,
        missing=not user.has_totp,
    )
