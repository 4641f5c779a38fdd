"""The handler of each path."""

from functools import partial

from aiohttp import web

from authgw.core.endpoints import ENDPOINTS
from authgw.dialects.base import Dialect
from authgw.dialects.registry import DIALECTS
from authgw.web import account_pages, api, health, login_pages
from authgw.web.check import check, denied
from authgw.web.dispatcher import DISPATCHER, Dispatcher, bind_gateway
from authgw.web.forms import MAX_FORM_BYTES
from authgw.web.problems import problems


def application(dispatcher: Dispatcher) -> web.Application:
    """Return the application; its handlers use the dispatcher's gateway of the moment."""
    app = web.Application(middlewares=[bind_gateway, problems], client_max_size=MAX_FORM_BYTES)
    app[DISPATCHER] = dispatcher
    # Parsing the document takes long enough to delay other requests, so it is done at the start.
    health.description(dispatcher.gateway)
    app.add_routes(
        [
            web.get("/ping", health.ping),
            web.get("/healthz", health.healthz),
            web.get("/readyz", health.readyz),
            web.get("/.well-known/jwks.json", health.jwks),
            web.get("/openapi.json", health.openapi),
            web.get("/login", login_pages.show),
            web.post("/login", api.login),
            web.get("/login/totp", login_pages.show_code),
            web.post("/login/totp", login_pages.submit_code),
            web.get("/login/account", account_pages.show),
            web.post("/login/end", account_pages.end),
            web.get("/login/denied", denied),
            web.get("/login/style.css", health.stylesheet),
            web.post("/refresh", api.refresh),
            web.get("/logout", account_pages.ask_to_log_out),
            web.post("/logout", api.logout),
            web.post("/revoke", api.revoke),
            web.get("/sessions", api.sessions),
            *map(_route, DIALECTS),
        ]
    )
    if dispatcher.gateway.policy.docs:
        app.add_routes([web.get("/docs", health.docs)])
    return app


def _route(dialect: Dialect) -> web.RouteDef:
    """Return the route of a dialect: GET, or any method on its path and all paths below."""
    handler = partial(check, dialect=dialect)
    endpoint = next(entry for entry in ENDPOINTS if entry.path == dialect.path)
    if endpoint.prefix:
        return web.route("*", dialect.path + "{path:(/.*)?}", handler)
    return web.get(dialect.path, handler)
