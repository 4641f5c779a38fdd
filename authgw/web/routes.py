"""Which path leads where."""

from aiohttp import web

from authgw.core.limits import MAX_FORM_BYTES
from authgw.dialects import envoy
from authgw.web import account_pages, api, health, login_pages
from authgw.web.check import authenticate, by_envoy, by_forwarding, denied
from authgw.web.dispatcher import SERVING, Dispatcher, bound
from authgw.web.problems import problems


def application(serving: Dispatcher) -> web.Application:
    """The whole HTTP surface over what answers now, and after each reload."""
    app = web.Application(middlewares=[bound, problems], client_max_size=MAX_FORM_BYTES)
    app[SERVING] = serving
    # Reading it takes long enough to be felt by whoever asks meanwhile.
    health.description(serving.gateway)
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
            web.get("/authenticate", authenticate),
            web.get("/authenticate/forward", by_forwarding),
            web.route("*", envoy.PREFIX + "{path:(/.*)?}", by_envoy),
        ]
    )
    if serving.gateway.policy.settings.server.docs:
        app.add_routes([web.get("/docs", health.docs)])
    return app
