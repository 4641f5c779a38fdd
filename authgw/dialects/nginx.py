"""NGINX's `auth_request` (and HAProxy, which uses the same headers).

NGINX understands 2xx, 401 and 403; anything else becomes a 500
(ngx_http_auth_request_module), which the shipped recipe maps back to 503.
"""

from authgw.core.errors import REASONS, UntrustedProxy, WrongDialect
from authgw.core.location import canonical_method, location_of
from authgw.core.model import AccessRequest, Decision, IdentityHeaders, Principal, Reply, Verdict
from authgw.core.peers import TrustedProxies, entry_for
from authgw.dialects.headers import (
    RawHeaders,
    preflight_method,
    present,
    refuse_identity,
    target,
    values,
)

URL, HOST, METHOD = "X-Original-URL", "X-Original-Host", "X-Original-Method"
_FORWARDED = ("X-Forwarded-Uri", "X-Forwarded-Method", "X-Forwarded-Host", "X-Forwarded-Proto")


def asks(headers: RawHeaders) -> bool:
    """Whether a proxy asks about an original request; otherwise this is a direct check."""
    return present(headers, URL, HOST, METHOD, "X-Forwarded-Uri") is not None


def describe(
    headers: RawHeaders, *, peer: str, trusted: TrustedProxies, identity: IdentityHeaders
) -> AccessRequest:
    """The client's original request as a trusted NGINX describes it.

    Raises:
        UntrustedProxy: `peer` (an address, or `unix`) is no trusted proxy.
        WrongDialect: the headers are Traefik's or Caddy's.
        IdentityHeaderFromClient: the client sent an identity header.
        TargetMissing, TargetDuplicated, TargetMalformed, HostConflict: see their codes.
    """
    if not trusted.trusts(peer):
        seen = present(headers, URL, HOST, METHOD, *_FORWARDED) or "a subrequest"
        raise UntrustedProxy(
            f"Ignored {seen} from {peer}: not in server.trusted_proxies. "
            f"If this is your proxy, add {entry_for(peer)}."
        )
    if not present(headers, URL, HOST, METHOD) and present(headers, "X-Forwarded-Uri"):
        raise WrongDialect
    refuse_identity(headers, identity)
    forwarded = tuple(line.decode("latin-1") for line in values(headers, "X-Forwarded-For"))
    return AccessRequest(
        method=canonical_method(target(headers, METHOD)),
        location=location_of(target(headers, URL), target(headers, HOST)),
        client_address=trusted.client_address(peer, forwarded),
        preflight_method=preflight_method(headers),
    )


def render(decision: Decision, identity: IdentityHeaders) -> Reply:
    """The status and headers that NGINX understands, always with an empty body."""
    if decision.verdict is Verdict.ALLOW:
        return Reply(200, (*_identity(decision.principal, identity), _NO_STORE))
    headers = (("X-Authgw-Reason", decision.reason), _NO_STORE)
    if decision.verdict is Verdict.LOGIN:
        return Reply(401, (("WWW-Authenticate", challenge(decision.reason)), *headers))
    return Reply(503 if REASONS[decision.reason].status == 503 else 403, headers)


_NO_STORE = ("Cache-Control", "no-store")


def _identity(
    principal: Principal | None, identity: IdentityHeaders
) -> tuple[tuple[str, str], ...]:
    # All four always: a header that is missing could be filled by someone else.
    if principal is None:
        return tuple((name, "") for name in identity.names)
    said = (principal.sub, ",".join(principal.groups), principal.email, principal.name)
    return tuple(zip(identity.names, said, strict=True))


def challenge(reason: str) -> str:
    """The WWW-Authenticate of a 401 for this reason (RFC 6750 section 3)."""
    # RFC 6750 section 3.1: no error code when no credentials were sent.
    if reason == "token_missing":
        return 'Bearer realm="authgw"'
    error = "invalid_request" if reason == "authorization_malformed" else "invalid_token"
    return f'Bearer realm="authgw", error="{error}"'
