"""Interfaces of login methods and second factors; `app` registers them."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol

from aiohttp import web

from authgw.core.login_sites import LoginSite
from authgw.core.users import User
from authgw.web.return_target import ReturnTarget

# Handlers by HTTP method and path.
Routes = Mapping[tuple[str, str], Callable[[web.Request], Awaitable[web.StreamResponse]]]


class LoginMethod(Protocol):
    """First step of a login.

    A handler that has verified a user returns the response of `login_steps.continue_login`. The
    routes are registered once and call the method of the current configuration, so they must not
    depend on it: a method that is not configured raises HTTPNotFound and has no part of the page.
    """

    @property
    def template(self) -> str:
        """Name of the template of its part of the login page, empty without a part."""

    @property
    def routes(self) -> Routes:
        """Handlers of its requests."""

    def part(
        self, request: web.Request, site: LoginSite, target: ReturnTarget
    ) -> Mapping[str, Any]:
        """Return the values that its part of the login page shows."""


class SecondFactor(Protocol):
    """Second step of a login.

    A handler that has verified the factor returns the response of `login_steps.open_session`.
    """

    @property
    def page(self) -> str:
        """Path of its page below the login page, such as `/totp`."""

    @property
    def routes(self) -> Routes:
        """Handlers of its requests, under the same conditions as a login method's."""

    def is_set_up(self, user: User) -> bool:
        """Return True if this user has the factor."""
