"""Envoy's `ext_authz` over HTTP: the original method, Host, and path behind a prefix.

Only 200 allows the request; any other response is passed on to the client.
"""

from authgw.core.errors import TargetMalformedError
from authgw.core.model import Location
from authgw.core.urls import canonical_method, location_from
from authgw.dialects.base import Subrequest
from authgw.dialects.forwarded import PassThroughDialect, scheme_of
from authgw.dialects.headers import target, values


class EnvoyDialect(PassThroughDialect):
    """Repeats the client's request itself.

    X-Forwarded-Proto only determines the scheme of the return target, https by default.
    """

    name = "envoy"
    path = "/authenticate/envoy"
    target_headers = ("X-Forwarded-Proto",)

    def target(self, subrequest: Subrequest) -> tuple[str, Location]:
        """Return the method, the Host and the path below the prefix."""
        headers = subrequest.headers
        if not subrequest.raw_path.startswith(f"{self.path}/"):
            raise TargetMalformedError(f"the path does not begin with {self.path}/")
        has_proto = any(values(headers, "X-Forwarded-Proto"))
        method = canonical_method(subrequest.method)
        return method, location_from(
            scheme_of(target(headers, "X-Forwarded-Proto")) if has_proto else "https",
            target(headers, "Host"),
            subrequest.raw_path.removeprefix(self.path),
        )


ENVOY = EnvoyDialect()
