"""Which path leads where."""

from aiohttp import web

from authgw.dialects import envoy
from authgw.web import account, login, ops, tokens
from authgw.web.authenticate import authenticate, by_envoy, by_forwarding, denied
from authgw.web.errors import problems
from authgw.web.forms import MAX_FORM_BYTES
from authgw.web.serving import SERVING, Serving, bound


def application(serving: Serving) -> web.Application:
    """The whole HTTP surface over what answers now, and after each reload."""
    app = web.Application(middlewares=[bound, problems], client_max_size=MAX_FORM_BYTES)
    app[SERVING] = serving
    # Reading it takes long enough to be felt by whoever asks meanwhile.
    ops.description(serving.gateway)
    app.add_routes(
        [
            web.get("/ping", ops.ping),
            web.get("/healthz", ops.healthz),
            web.get("/readyz", ops.readyz),
            web.get("/.well-known/jwks.json", ops.jwks),
            web.get("/openapi.json", ops.openapi),
            web.get("/login", login.show),
            web.post("/login", tokens.login),
            web.get("/login/totp", login.show_code),
            web.post("/login/totp", login.submit_code),
            web.get("/login/account", account.show),
            web.post("/login/end", account.end),
            web.get("/login/denied", denied),
            web.get("/login/style.css", ops.stylesheet),
            web.post("/refresh", tokens.refresh),
            web.get("/logout", account.ask_to_log_out),
            web.post("/logout", tokens.logout),
            web.post("/revoke", tokens.revoke),
            web.get("/sessions", tokens.sessions),
            web.get("/authenticate", authenticate),
            web.get("/authenticate/forward", by_forwarding),
            web.route("*", envoy.PREFIX + "{path:(/.*)?}", by_envoy),
        ]
    )
    if serving.gateway.docs:
        app.add_routes([web.get("/docs", ops.docs)])
    return app
