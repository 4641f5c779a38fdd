"""NGINX's `auth_request` (and HAProxy, which uses the same headers).

NGINX supports 2xx, 401 and 403; any other status becomes a 500
(ngx_http_auth_request_module), which the shipped recipe maps back to 503.
"""

from authgw.core.errors import TargetMissingError, WrongDialectError
from authgw.core.model import AccessRequest, Decision, IdentityHeaders, ProxyResponse, Verdict
from authgw.core.networks import TrustedProxies
from authgw.core.urls import canonical_method, location_of
from authgw.dialects.headers import (
    RawHeaders,
    access_request,
    present,
    refuse_identity,
    refuse_untrusted,
    target,
)
from authgw.dialects.responses import allowed, is_outage, login_location, refusal_headers

_VARIABLES = {
    "X-Original-URL": "$authgw_scheme://$authgw_authority$request_uri",
    "X-Original-Host": "$host",
    "X-Original-Method": "$request_method",
}


def is_subrequest(headers: RawHeaders) -> bool:
    """Return True if a proxy sent headers about an original request, False for a direct check."""
    return present(headers, *_VARIABLES, "X-Forwarded-Uri") is not None


def describe(
    method: str,
    raw_path: str,
    headers: RawHeaders,
    *,
    peer: str,
    trusted: TrustedProxies,
    identity: IdentityHeaders,
) -> AccessRequest:
    """Return the client's original request, which a trusted NGINX describes in headers only.

    Raises:
        UntrustedProxyError: `peer` (an address, or `unix`) is not a trusted proxy.
        WrongDialectError: the headers are those of Traefik or Caddy.
        IdentityHeaderFromClientError: the client sent an identity header.
        TargetMissingError, TargetDuplicatedError, TargetMalformedError, HostConflictError,
            OverrideDeniedError, DestinationDeniedError: see their codes.
    """
    refuse_untrusted(headers, peer, trusted)
    if not present(headers, *_VARIABLES) and present(headers, "X-Forwarded-Uri"):
        raise WrongDialectError
    refuse_identity(headers, identity)
    return access_request(
        headers,
        canonical_method(_target(headers, "X-Original-Method")),
        location_of(_target(headers, "X-Original-URL"), _target(headers, "X-Original-Host")),
        peer=peer,
        trusted=trusted,
        own=b"x-original-url",
    )


def render(
    decision: Decision,
    access: AccessRequest | None,
    *,
    identity: IdentityHeaders,
    login_url: str | None = None,
) -> ProxyResponse:
    """Return status and headers for NGINX; it closes a connection that has a body."""
    if decision.verdict is Verdict.ALLOW:
        return allowed(decision.principal, identity)
    headers = refusal_headers(decision)
    if decision.verdict is Verdict.LOGIN:
        # The recipe turns it into a 302, for a POST into a 303.
        location = login_location(decision, access, login_url)
        return ProxyResponse(401, (*headers, ("Location", location)) if location else headers)
    return ProxyResponse(503 if is_outage(decision) else 403, headers)


def _target(headers: RawHeaders, name: str) -> str:
    try:
        return target(headers, name)
    except TargetMissingError:
        line = f"proxy_set_header {name} {_VARIABLES[name]};"
        raise TargetMissingError(f"{name} is missing. In the auth location add: {line}") from None
