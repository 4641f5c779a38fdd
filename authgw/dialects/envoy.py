"""Envoy's `ext_authz` over HTTP: the original method, Host, and path behind a prefix.

Only 200 allows the request; any other response is passed on to the client.
"""

from authgw.core.errors import TargetMalformedError
from authgw.core.model import AccessRequest, IdentityHeaders
from authgw.core.networks import TrustedProxies
from authgw.core.urls import canonical_method, location_from
from authgw.dialects import forwarded
from authgw.dialects.headers import (
    RawHeaders,
    access_request,
    refuse_identity,
    refuse_untrusted,
    target,
    values,
)

PREFIX = "/authenticate/envoy"


def describe(
    method: str,
    raw_path: str,
    headers: RawHeaders,
    *,
    peer: str,
    trusted: TrustedProxies,
    identity: IdentityHeaders,
) -> AccessRequest:
    """Return the client's original request, which a trusted Envoy repeats.

    X-Forwarded-Proto only determines the scheme of the return target, https by default.

    Raises:
        UntrustedProxyError: `peer` (an address, or `unix`) is not a trusted proxy.
        IdentityHeaderFromClientError: the client sent an identity header.
        TargetMissingError, TargetDuplicatedError, TargetMalformedError, OverrideDeniedError,
            DestinationDeniedError: see their codes.
    """
    refuse_untrusted(headers, peer, trusted)
    refuse_identity(headers, identity)
    if not raw_path.startswith(f"{PREFIX}/"):
        raise TargetMalformedError(f"the path does not begin with {PREFIX}/")
    proto = any(values(headers, "X-Forwarded-Proto"))
    return access_request(
        headers,
        canonical_method(method),
        location_from(
            forwarded.scheme_of(target(headers, "X-Forwarded-Proto")) if proto else "https",
            target(headers, "Host"),
            raw_path.removeprefix(PREFIX),
        ),
        peer=peer,
        trusted=trusted,
    )


render = forwarded.render
