"""NGINX's `auth_request` (and HAProxy, which uses the same headers).

NGINX supports 2xx, 401 and 403; any other status becomes a 500
(ngx_http_auth_request_module), which the shipped recipe maps back to 503.
"""

from authgw.core.errors import TargetMissingError, WrongDialectError
from authgw.core.model import (
    AccessRequest,
    Decision,
    Location,
    ProxyResponse,
    Verdict,
)
from authgw.core.urls import canonical_method, location_of
from authgw.dialects.base import Dialect, Subrequest
from authgw.dialects.headers import RawHeaders, present, target
from authgw.dialects.responses import denial_headers, is_outage, login_location

_VARIABLES = {
    "X-Original-URL": "$authgw_scheme://$authgw_authority$request_uri",
    "X-Original-Method": "$request_method",
    "X-Original-Host": "$host",
}


class NginxDialect(Dialect):
    """Describes the request in X-Original-* headers; the recipe removes the cookies."""

    name = "nginx"
    path = "/authenticate"
    target_headers = tuple(_VARIABLES)
    other_dialect_headers = ("X-Forwarded-Uri",)
    own_header = b"x-original-url"
    removes_cookies = True

    def is_subrequest(self, headers: RawHeaders) -> bool:
        """Return True if a proxy sent headers about an original request."""
        return present(headers, *self.target_headers, *self.other_dialect_headers) is not None

    def refuse_other_dialects(self, headers: RawHeaders) -> None:
        """Refuse a subrequest of Traefik or Caddy."""
        is_own = present(headers, *self.target_headers)
        if not is_own and present(headers, *self.other_dialect_headers):
            raise WrongDialectError

    def target(self, subrequest: Subrequest) -> tuple[str, Location]:
        """Return method and target from the headers alone."""
        headers = subrequest.headers
        method = canonical_method(_target(headers, "X-Original-Method"))
        url, host = _target(headers, "X-Original-URL"), _target(headers, "X-Original-Host")
        return method, location_of(url, host)

    def refuse(
        self, decision: Decision, access: AccessRequest | None, login_url: str | None
    ) -> ProxyResponse:
        """Return status and headers for NGINX; it closes a connection that has a body."""
        headers = denial_headers(decision)
        if decision.verdict is Verdict.LOGIN:
            # The recipe turns it into a 302, for a POST into a 303.
            location = login_location(decision, access, login_url)
            return ProxyResponse(401, (*headers, ("Location", location)) if location else headers)
        return ProxyResponse(503 if is_outage(decision) else 403, headers)


NGINX = NginxDialect()


def _target(headers: RawHeaders, name: str) -> str:
    try:
        return target(headers, name)
    except TargetMissingError:
        line = f"proxy_set_header {name} {_VARIABLES[name]};"
        raise TargetMissingError(f"{name} is missing. In the auth location add: {line}") from None
