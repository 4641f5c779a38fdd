"""The files of NGINX's recipe (`nginx/authgw`), rendered from the configuration."""

from dataclasses import dataclass

from authgw.config.schema import Settings
from authgw.core.endpoints import ENDPOINTS
from authgw.core.limits import MAX_COOKIE_RUNS
from authgw.dialects.nginx import NGINX
from authgw.dialects.registry import TARGET_HEADERS
from authgw.recipes.cleared import cleared_except
from authgw.recipes.rendering import templates
from authgw.recipes.values import (
    UNAVAILABLE_PAGE,
    GatewayAddress,
    gateway_address,
    published,
    roots,
)

_PROXY = "NGINX"
FILES = (
    "http.conf",
    "front.conf",
    "cache.conf",
    "upstream.conf",
    "protect.conf",
    "question.conf",
    "gateway.conf",
    "login-host.conf",
    "identity.conf",
    "identity-grpc.conf",
    "identity-fastcgi.conf",
    "identity-uwsgi.conf",
    "identity-scgi.conf",
)


@dataclass(frozen=True, slots=True)
class IdentityHeader:
    """An identity header, and the NGINX variable of the recipe that holds its value."""

    name: str
    variable: str

    @property
    def from_client(self) -> str:
        """NGINX's variable for the header of the client's request."""
        return f"$http_{self._folded}"

    @property
    def from_gateway(self) -> str:
        """NGINX's variable for the header of the gateway's response."""
        return f"$upstream_http_{self._folded}"

    @property
    def _folded(self) -> str:
        return self.name.lower().replace("-", "_")


def render_files(settings: Settings) -> dict[str, str]:
    """Render the recipe and return the text of each file by its name.

    Raises:
        OperatorError: a value cannot be written into NGINX's configuration.
    """
    values = _values(settings)
    return {name: _ENVIRONMENT.get_template(name).render(values) for name in FILES}


def _values(settings: Settings) -> dict[str, object]:
    names = settings.headers.identity.by_claim
    identity = [IdentityHeader(name, f"$authgw_{claim}") for claim, name in names.items()]
    return {
        "identity": identity,
        "cleared": cleared_except(tuple(names.values())),
        "target_headers": TARGET_HEADERS,
        "other_target_headers": [n for n in TARGET_HEADERS if n not in NGINX.target_headers],
        "gateway": _server(gateway_address(settings.server, _PROXY)),
        "locations": [(root, published(root, own_host=False)) for root in roots(settings, _PROXY)],
        "account": f"{_login_base(settings)}/account",
        "own_host_paths": [each.path for each in ENDPOINTS if each.own_host],
        "unavailable": UNAVAILABLE_PAGE,
        "runs": range(1, MAX_COOKIE_RUNS + 1),
    }


def _login_base(settings: Settings) -> str:
    sites = settings.login.sites.all
    return sites[0].base if sites else "/login"


def _server(address: GatewayAddress) -> str:
    """Return the address as the upstream's `server` parameter."""
    return f"unix:{address.socket}" if address.socket else address.authority


def _cgi(name: str) -> str:
    """Return a header's name as CGI apps receive it (RFC 3875 section 4.1.18)."""
    return "HTTP_" + name.upper().replace("-", "_")


_ENVIRONMENT = templates("nginx")
_ENVIRONMENT.filters["cgi"] = _cgi
