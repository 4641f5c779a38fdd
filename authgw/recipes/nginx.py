"""The files of NGINX's recipe (`nginx/authgw`), rendered from the configuration."""

import ipaddress
import re
from dataclasses import dataclass

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from authgw.config.schema import ServerSettings, Settings
from authgw.core.endpoints import Audience, paths_for, pattern_of
from authgw.core.errors import OperatorError
from authgw.core.limits import MAX_COOKIE_RUNS
from authgw.core.networks import UNIX
from authgw.dialects.nginx import NGINX
from authgw.dialects.registry import TARGET_HEADERS
from authgw.recipes.cleared import cleared_except

FILES = (
    "http.conf",
    "front.conf",
    "cache.conf",
    "upstream.conf",
    "protect.conf",
    "question.conf",
    "gateway.conf",
    "identity.conf",
    "identity-grpc.conf",
    "identity-fastcgi.conf",
    "identity-uwsgi.conf",
    "identity-scgi.conf",
)
_PLAIN_ROOT = re.compile(r"(?:/[A-Za-z0-9._~-]+)*")
_PLAIN_PATH = re.compile(r"[A-Za-z0-9/._~+@=,-]+")


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
        "gateway": _address(settings.server),
        "locations": [(root, _published(root)) for root in _roots(settings)],
        "runs": range(1, MAX_COOKIE_RUNS + 1),
    }


def _address(server: ServerSettings) -> str:
    """Return the upstream's `server` parameter: the socket if NGINX may use it, else the port."""
    if server.socket and UNIX in server.trusted_proxies:
        if not _PLAIN_PATH.fullmatch(server.socket) or not server.socket.startswith("/"):
            raise OperatorError(
                f"server.socket {server.socket!r} cannot be written into NGINX's configuration: "
                "name it by an absolute path of letters, digits and /._~+@=,-"
            )
        return f"unix:{server.socket}"
    return f"{_connect_host(server.host)}:{server.port}"


def _connect_host(host: str) -> str:
    """Return the host by which a process on the same machine connects to a listener on `host`."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host
    if address.is_unspecified:
        return "127.0.0.1" if address.version == 4 else "[::1]"
    return f"[{address}]" if address.version == 6 else str(address)


def _roots(settings: Settings) -> list[str]:
    """Return the base paths of the login pages; an empty string for the root of the host."""
    roots = sorted({site.root for site in settings.login.sites.all} or {""})
    for root in roots:
        if not _PLAIN_ROOT.fullmatch(root):
            raise OperatorError(
                f"login.url has the path {root}/login, which cannot be written into NGINX's "
                "configuration: use letters, digits and ._~- in it"
            )
    return roots


def _published(root: str) -> str:
    return pattern_of(paths_for(Audience.PUBLIC), root)


def _cgi(name: str) -> str:
    """Return a header's name as CGI apps receive it (RFC 3875 section 4.1.18)."""
    return "HTTP_" + name.upper().replace("-", "_")


_ENVIRONMENT = Environment(
    loader=PackageLoader("authgw.recipes", "templates/nginx"),
    autoescape=select_autoescape(),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
)
_ENVIRONMENT.filters["cgi"] = _cgi
