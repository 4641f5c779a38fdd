"""Login method: user name and password, in a form."""

from collections.abc import Mapping
from typing import Any

from aiohttp import web

from authgw.core.login_sites import LoginSite
from authgw.services.login import LoginService
from authgw.services.results import VerifiedLogin
from authgw.web.context import client_address
from authgw.web.cookies import login_cookies
from authgw.web.login_methods import Routes
from authgw.web.login_pages import submit_form
from authgw.web.return_target import ReturnTarget


class PasswordLogin:
    """The form for users of the users file; programs log in by JSON at the same path (`api`)."""

    def __init__(self, service: LoginService, *, is_enabled: bool = True) -> None:
        self._service = service
        self._is_enabled = is_enabled

    @property
    def template(self) -> str:
        """Its form, unless `login.passwords` is false."""
        return "_login_password.html" if self._is_enabled else ""

    @property
    def routes(self) -> Routes:
        """The form of the login page."""
        return {("POST", "/login"): self.submit}

    def part(
        self, request: web.Request, site: LoginSite, target: ReturnTarget
    ) -> Mapping[str, Any]:
        """Return no values of its own."""
        return {}

    async def submit(self, request: web.Request) -> web.Response:
        """Handle the form.

        Raises:
            HTTPNotFound: nobody may log in by password.
        """
        if not self._is_enabled:
            raise web.HTTPNotFound
        return await submit_form(
            request, self._verify, "username", "password", credential="The username or password"
        )

    async def _verify(
        self, request: web.Request, site: LoginSite, form: dict[str, str]
    ) -> VerifiedLogin:
        name, known_devices = form["username"], login_cookies(request, site, "device")
        return await self._service.by_password(
            name,
            form["password"],
            address=client_address(request),
            device=self._service.tickets.device(known_devices, name),
        )
