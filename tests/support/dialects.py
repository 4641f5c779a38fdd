"""The same request in every dialect, as a proxy sends it."""

from collections.abc import Callable
from types import ModuleType

from authgw.core.model import AccessRequest, IdentityHeaders
from authgw.core.networks import TrustedProxies
from authgw.dialects import envoy, forwarded, nginx

NAMES = IdentityHeaders()
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


DIALECTS: dict[str, tuple[ModuleType, Callable[[str, str, str], Asked]]] = {
    "nginx": (nginx, by_nginx),
    "forwarded": (forwarded, by_forwarding),
    "envoy": (envoy, by_envoy),
}


def described(dialect: ModuleType, asked: Asked, peer: str = "127.0.0.1") -> AccessRequest:
    method, path, said = asked
    raw = [(name.encode(), value.encode("utf-8", "surrogateescape")) for name, value in said]
    access: AccessRequest = dialect.describe(
        method, path, raw, peer=peer, trusted=TRUSTED, identity=NAMES
    )
    return access
