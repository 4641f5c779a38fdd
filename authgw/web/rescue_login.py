"""Login method: the one-time link of `authgw user rescue`, while `login.passwords` is false."""

from collections.abc import Mapping
from typing import Any

from aiohttp import web

from authgw.core.login_sites import LoginSite
from authgw.services.rescue import RescueLinks
from authgw.web.context import GATEWAY
from authgw.web.forms import has_csrf_token, missing_csrf_cookie, read_own_form
from authgw.web.login_methods import Routes
from authgw.web.login_site import login_site
from authgw.web.login_steps import continue_login, form_page, without_csrf_token
from authgw.web.return_target import ReturnTarget


class RescueLogin:
    """The page that the link opens, and its form.

    Programs that preview links open the page too, so only the form spends the link.
    """

    template = ""

    def __init__(self, links: RescueLinks, *, is_enabled: bool) -> None:
        self._links = links
        self._is_enabled = is_enabled

    @property
    def routes(self) -> Routes:
        """The page and its form."""
        return {("GET", "/login/rescue"): self.show, ("POST", "/login/rescue"): self.submit}

    def part(
        self, request: web.Request, site: LoginSite, target: ReturnTarget
    ) -> Mapping[str, Any]:
        """Return no values: it has no part of the login page."""
        return {}

    async def show(self, request: web.Request) -> web.Response:
        """Show the form.

        Raises:
            HTTPNotFound: users log in by password.
            RescueInvalidError: the link is not valid.
        """
        self._check_enabled()
        return self._page(request, login_site(request), request.query.get("ticket", ""))

    async def submit(self, request: web.Request) -> web.Response:
        """Spend the link: request the second factor of a user who has one, else open a session.

        Raises:
            HTTPNotFound: users log in by password.
            RescueInvalidError: the link is not valid or was used.
        """
        self._check_enabled()
        site = login_site(request)
        form = await read_own_form(request, site, "ticket")
        if not has_csrf_token(request, site, form):
            message = missing_csrf_cookie(request, site)
            return without_csrf_token(request, self._page(request, site, form["ticket"], message))
        request[GATEWAY].services.check_keys()
        verified = await self._links.spend(form["ticket"])
        return await continue_login(request, site, ReturnTarget(), verified)

    def _page(
        self, request: web.Request, site: LoginSite, ticket: str, message: str = ""
    ) -> web.Response:
        user = self._links.user_of(ticket)
        who = user.profile["name"] or user.sub
        target = ReturnTarget()
        return form_page(request, site, "rescue", target, ticket=ticket, who=who, message=message)

    def _check_enabled(self) -> None:
        if not self._is_enabled:
            raise web.HTTPNotFound
