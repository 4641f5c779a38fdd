"""Traefik's `forwardAuth` and Caddy's `forward_auth`: X-Forwarded-Method, -Proto, -Host, -Uri.

Both pass any response other than 2xx on to the client, with its body.
"""

from authgw.core.errors import TargetMalformedError, WrongDialectError
from authgw.core.model import (
    AccessRequest,
    Decision,
    Location,
    ProxyResponse,
    Verdict,
)
from authgw.core.urls import canonical_method, location_from
from authgw.dialects.base import Dialect, Subrequest
from authgw.dialects.headers import RawHeaders, present, target
from authgw.dialects.responses import denial_headers, is_outage, login_location

# Traefik sends ws and wss for the handshake of a WebSocket.
_SCHEMES = {"http": "http", "https": "https", "ws": "http", "wss": "https"}


class PassThroughDialect(Dialect):
    """Base of the proxies that pass a refusal on to the client, with its body."""

    def refuse(
        self, decision: Decision, access: AccessRequest | None, login_url: str | None
    ) -> ProxyResponse:
        """Return the client's response: a redirect to the login page, or a refusal."""
        headers = denial_headers(decision)
        if decision.verdict is Verdict.DENY:
            if is_outage(decision):
                return ProxyResponse(503, headers, "503 the gateway cannot answer now")
            return ProxyResponse(403, headers, f"403 denied ({decision.reason})")
        location = login_location(decision, access, login_url)
        if access is None or location is None:
            return ProxyResponse(401, headers, f"401 not logged in ({decision.reason})")
        # RFC 9110 section 15.4.4: after a 303 a browser requests the page by GET.
        status = 302 if access.method in ("GET", "HEAD") else 303
        return ProxyResponse(status, (*headers[1:], ("Location", location)), "Log in first")


class ForwardedDialect(PassThroughDialect):
    """Describes the request in X-Forwarded-* headers."""

    name = "forwarded"
    path = "/authenticate/forward"
    target_headers = (
        "X-Forwarded-Uri",
        "X-Forwarded-Method",
        "X-Forwarded-Host",
        "X-Forwarded-Proto",
    )
    other_dialect_headers = ("X-Original-URL",)

    def refuse_other_dialects(self, headers: RawHeaders) -> None:
        """Refuse a subrequest of NGINX or HAProxy."""
        is_own = present(headers, "X-Forwarded-Uri")
        if not is_own and present(headers, *self.other_dialect_headers):
            raise WrongDialectError(
                "X-Original-URL arrived at /authenticate/forward, which is Traefik's and Caddy's. "
                "NGINX and HAProxy ask /authenticate."
            )

    def target(self, subrequest: Subrequest) -> tuple[str, Location]:
        """Return method and target from the headers alone."""
        headers = subrequest.headers
        method = canonical_method(target(headers, "X-Forwarded-Method"))
        return method, location_from(
            scheme_of(target(headers, "X-Forwarded-Proto")),
            target(headers, "X-Forwarded-Host"),
            target(headers, "X-Forwarded-Uri"),
        )


FORWARDED = ForwardedDialect()


def scheme_of(proto: str) -> str:
    """Return the scheme of X-Forwarded-Proto; the first of a list, which is the client's side.

    A client could insert its own value in front. Only the return target depends on it, and its
    host is that of the original request in any case.

    Raises:
        TargetMalformedError: a scheme in it is not http, https, ws or wss.
    """
    schemes = [scheme.strip().lower() for scheme in proto.split(",")]
    if not all(scheme in _SCHEMES for scheme in schemes):
        raise TargetMalformedError("X-Forwarded-Proto is not http or https, or a list of these")
    return _SCHEMES[schemes[0]]
