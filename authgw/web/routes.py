"""Registers the handler of each path."""

from functools import partial

from aiohttp import web

from authgw.core.endpoints import ENDPOINTS
from authgw.core.limits import MAX_FORM_BYTES
from authgw.dialects.base import Dialect
from authgw.dialects.headers import wants_html
from authgw.dialects.registry import DIALECTS
from authgw.web import account_pages, api, api_routes, health, login_pages
from authgw.web.check import check, denied
from authgw.web.context import GATEWAY
from authgw.web.delivery import deliver
from authgw.web.dispatcher import DISPATCHER, Dispatcher
from authgw.web.forms import FORM
from authgw.web.problems import Handler, problems


def application(dispatcher: Dispatcher) -> web.Application:
    """Return the application; its handlers use the dispatcher's gateway of the moment."""
    app = web.Application(middlewares=[deliver, problems], client_max_size=MAX_FORM_BYTES)
    app[DISPATCHER] = dispatcher
    app.add_routes(
        [
            web.get("/ping", health.ping),
            web.get("/healthz", health.healthz),
            web.get("/readyz", health.readyz),
            web.get("/.well-known/jwks.json", health.jwks),
            web.get("/openapi.json", health.openapi),
            web.get("/login", login_pages.show),
            web.get("/login/account", account_pages.show),
            web.post("/login/end", account_pages.end),
            web.get("/login/denied", denied),
            web.get("/login/style.css", health.stylesheet),
            web.get("/login/icon.svg", health.icon),
            web.get("/favicon.ico", health.icon),
            web.post("/refresh", api_routes.route(api.refresh)),
            web.get("/logout", account_pages.show_logout),
            web.post("/logout", _log_out),
            web.post("/revoke", api_routes.route(api.revoke)),
            web.get("/sessions", api_routes.sessions),
            *map(_route, DIALECTS),
            *(web.route(*key, _login_step(key)) for key in dispatcher.gateway.login.routes),
        ]
    )
    if dispatcher.gateway.policy.settings.server.docs:
        app.add_routes([web.get("/docs", health.docs)])
    return app


def _route(dialect: Dialect) -> web.RouteDef:
    """Return the route of a dialect: GET, or any method on its path and all paths below."""
    handler = partial(check, dialect=dialect)
    endpoint = next(entry for entry in ENDPOINTS if entry.path == dialect.path)
    if endpoint.prefix:
        return web.route("*", dialect.path + "{path:(/.*)?}", handler)
    return web.get(dialect.path, handler)


def _login_step(key: tuple[str, str]) -> Handler:
    """Return a handler that calls the login method of the current gateway."""
    log_in = api_routes.route(api.login)

    async def handle(request: web.Request) -> web.StreamResponse:
        # Programs log in by JSON at the path of the password form.
        if key == ("POST", "/login") and not _is_form(request):
            return await log_in(request)
        return await request[GATEWAY].login.routes[key](request)

    return handle


async def _log_out(request: web.Request) -> web.StreamResponse:
    """Log out a browser by form or navigation, a program by JSON or token."""
    navigates = not request.can_read_body and wants_html(request.raw_headers)
    is_browser = request[GATEWAY].policy.sites.all and (_is_form(request) or navigates)
    if is_browser and api_routes.access_token(request) is None:
        return await account_pages.log_out(request)
    return await api_routes.logout(request)


def _is_form(request: web.Request) -> bool:
    return bool(request[GATEWAY].policy.sites.all) and request.content_type == FORM
