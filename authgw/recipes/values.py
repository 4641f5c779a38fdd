"""Values of the configuration that recipes are rendered from, safe to write into their files."""

import ipaddress
import re
from dataclasses import dataclass

from authgw.config.schema import ServerSettings, Settings
from authgw.core.endpoints import pattern_of, published_paths
from authgw.core.errors import OperatorError
from authgw.core.login_sites import LoginSite
from authgw.core.networks import UNIX

_PLAIN_ROOT = re.compile(r"(?:/[A-Za-z0-9._~-]+)*")
_PLAIN_PATH = re.compile(r"/[A-Za-z0-9/._~+@=,-]+")

# Shown to a browser by proxies that cannot reach the gateway, in place of a page of the gateway.
UNAVAILABLE_PAGE = (
    '<!doctype html><html lang="en"><meta charset="utf-8">'
    '<meta name="viewport" content="width=device-width"><title>Not available right now</title>'
    "<style>:root{color-scheme:light dark}body{font:1rem/1.5 system-ui,sans-serif;"
    "max-width:32rem;margin:15vh auto;padding:0 1.5rem}</style><main>"
    "<h1>Not available right now</h1>"
    "<p>Your access to this page cannot be checked, because the login service does not respond. "
    "Try again in a few seconds.</p></main></html>"
)


@dataclass(frozen=True, slots=True)
class GatewayAddress:
    """The address at which a proxy on the same machine reaches the gateway.

    `socket` is the path of a unix socket, empty if the proxy has to use the port.
    """

    host: str
    port: int
    socket: str = ""

    @property
    def authority(self) -> str:
        """Host and port, an IPv6 address in brackets."""
        return f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class LoginHost:
    """A host at which a proxy publishes the gateway.

    Attributes:
        host: the canonical host.
        origin: its origin, as browsers use it.
        root: the path below which the gateway is published; empty for the root of the host.
        published: the regular expression of the published paths.
        account: the path of the account page.
        has_app: an app is at this host, too, so the other paths belong to the app.
        suffix: distinguishes the names of a proxy's objects for several hosts.
    """

    host: str
    origin: str
    root: str
    published: str
    account: str
    has_app: bool
    suffix: str = ""


def gateway_address(server: ServerSettings, proxy: str, *, sockets: bool = True) -> GatewayAddress:
    """Return the gateway's address; its socket if this proxy has `sockets` and may use it.

    Raises:
        OperatorError: the path of the socket cannot be written into the proxy's configuration.
    """
    host = _connect_host(server.host)
    if not sockets or not server.socket or UNIX not in server.trusted_proxies:
        return GatewayAddress(host, server.port)
    if not _PLAIN_PATH.fullmatch(server.socket):
        raise OperatorError(
            f"server.socket {server.socket!r} cannot be written into {proxy}'s configuration: "
            "name it by an absolute path of letters, digits and /._~+@=,-"
        )
    return GatewayAddress(host, server.port, server.socket)


def _connect_host(host: str) -> str:
    """Return the host by which a process on the same machine connects to a listener on `host`."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host
    if address.is_unspecified:
        return "127.0.0.1" if address.version == 4 else "[::1]"
    return f"[{address}]" if address.version == 6 else str(address)


def roots(settings: Settings, proxy: str) -> list[str]:
    """Return the base paths of the login pages; an empty string for the root of the host.

    Raises:
        OperatorError: a path cannot be written into the proxy's configuration.
    """
    found = sorted({site.root for site in settings.login.sites.all} or {""})
    for root in found:
        if not _PLAIN_ROOT.fullmatch(root):
            raise OperatorError(
                f"login.url has the path {root}/login, which cannot be written into {proxy}'s "
                "configuration: use letters, digits and ._~- in it"
            )
    return found


def published(root: str, *, own_host: bool) -> str:
    """Return the regular expression of the `published_paths` of the gateway, below `root`."""
    return pattern_of(published_paths(own_host=own_host), root)


def login_hosts(settings: Settings, proxy: str) -> list[LoginHost]:
    """Return the hosts of all login pages.

    Raises:
        OperatorError: no login page is configured, or its path cannot be written into the proxy's
            configuration.
    """
    sites = settings.login.sites.all
    if not sites:
        raise OperatorError(
            f"login.url is not set, so {proxy} would not publish the login page: set it to the "
            "public address of the page, such as https://auth.example.com/login"
        )
    roots(settings, proxy)
    suffixes = ["", *(f"-{number}" for number in range(2, len(sites) + 1))]
    return [
        _login_host(site, settings, suffix) for site, suffix in zip(sites, suffixes, strict=True)
    ]


def _login_host(site: LoginSite, settings: Settings, suffix: str) -> LoginHost:
    has_app = not site.is_ours or bool(site.root) or site.host in app_hosts(settings)
    return LoginHost(
        host=site.host,
        origin=site.origin,
        root=site.root,
        published=published(site.root, own_host=not has_app),
        account=f"{site.base}/account",
        has_app=has_app,
        suffix=suffix,
    )


def app_hosts(settings: Settings) -> list[str]:
    """Return the hosts that rules name, `*.` patterns included, in the order of the rules."""
    return list(dict.fromkeys(rule.host for rule in settings.rules or () if rule.host))


def identity_names(settings: Settings) -> tuple[str, ...]:
    """Return the names of the identity headers."""
    return tuple(settings.headers.identity.by_claim.values())
