"""The same request in every dialect, as a proxy sends it."""

from collections.abc import Callable

from authgw.config.schema import HeaderSettings
from authgw.core.model import AccessRequest
from authgw.core.networks import TrustedProxies
from authgw.dialects.base import Dialect, Subrequest
from authgw.dialects.envoy import ENVOY
from authgw.dialects.forwarded import FORWARDED
from authgw.dialects.nginx import NGINX

NAMES = HeaderSettings().identity
TRUSTED = TrustedProxies.parse(("127.0.0.1",))

Asked = tuple[str, str, list[tuple[str, str]]]


def by_nginx(method: str, host: str, uri: str) -> Asked:
    said = [("X-Original-URL", f"https://{host}{uri}"), ("X-Original-Host", host)]
    return "GET", "/authenticate", [*said, ("X-Original-Method", method)]


def by_forwarding(method: str, host: str, uri: str) -> Asked:
    said = [("X-Forwarded-Method", method), ("X-Forwarded-Proto", "https")]
    return (
        "GET",
        "/authenticate/forward",
        [*said, ("X-Forwarded-Host", host), ("X-Forwarded-Uri", uri)],
    )


def by_envoy(method: str, host: str, uri: str) -> Asked:
    said = [("Host", host), ("X-Forwarded-Proto", "https")]
    return method, f"/authenticate/envoy{uri}", said


DIALECTS: dict[str, tuple[Dialect, Callable[[str, str, str], Asked]]] = {
    "nginx": (NGINX, by_nginx),
    "forwarded": (FORWARDED, by_forwarding),
    "envoy": (ENVOY, by_envoy),
}


def described(dialect: Dialect, asked: Asked, peer: str = "127.0.0.1") -> AccessRequest:
    method, path, said = asked
    raw = [(name.encode(), value.encode("utf-8", "surrogateescape")) for name, value in said]
    return dialect.describe(Subrequest(method, path, raw, peer), TRUSTED, NAMES)
