"""The files of Envoy's recipe: routes, filter and cluster, which Envoy watches."""

import ipaddress

from authgw.config.schema import Settings
from authgw.core.endpoints import pattern_of, published_paths
from authgw.dialects.registry import TARGET_HEADERS
from authgw.recipes.cleared import cleared_except
from authgw.recipes.rendering import templates
from authgw.recipes.values import (
    LoginHost,
    app_hosts,
    gateway_address,
    identity_names,
    login_hosts,
)

_PROXY = "Envoy"
_FILES = ("authgw-routes.yaml", "authgw-check.yaml", "authgw-cluster.yaml")
# Paths in a regular expression.
_PATTERN_PATHS = 6
_OVERWRITTEN = ("X-Forwarded-Host", "X-Forwarded-Port", "X-Real-Ip")
# Headers of the request that the gateway receives, besides method overrides and the identity's.
_ASKED = (
    "authorization",
    "cookie",
    "accept",
    "origin",
    "access-control-request-method",
    "sec-fetch-mode",
    "sec-fetch-dest",
    "sec-purpose",
    "referer",
    "destination",
    "x-original-url",
    "x-rewrite-url",
    "x-requested-with",
    "x-forwarded-for",
    "x-forwarded-proto",
    "x-request-id",
)
# Headers of a refusal that the client receives.
_SHOWN = (
    "location",
    "www-authenticate",
    "x-authgw-reason",
    "x-request-id",
    "retry-after",
    "cache-control",
    "content-type",
    "content-security-policy",
    "x-content-type-options",
)


def render_files(settings: Settings) -> dict[str, str]:
    """Render the recipe and return the text of each file by its name.

    Raises:
        OperatorError: a value cannot be written into Envoy's configuration.
    """
    address, names = gateway_address(settings.server, _PROXY), identity_names(settings)
    sites = login_hosts(settings, _PROXY)
    values = {
        "gateway": address,
        "is_name": not address.socket and not _is_address(address.host),
        "identity": names,
        "asked": _ASKED,
        "shown": _SHOWN,
        "cleared": (*cleared_except(names), *_OVERWRITTEN),
        "targets": TARGET_HEADERS,
        "sites": [(site, _patterns(site)) for site in sites],
        "apps": _apps(settings, {site.host for site in sites}),
    }
    return {name: _ENVIRONMENT.get_template(name).render(values) for name in _FILES}


def _patterns(site: LoginHost) -> list[str]:
    """Return regular expressions for the published paths of a login host.

    A single expression would be larger than Envoy permits (`re2.max_program_size.error_level`).
    """
    paths = published_paths(own_host=not site.has_app)
    starts = range(0, len(paths), _PATTERN_PATHS)
    return [pattern_of(paths[start : start + _PATTERN_PATHS], site.root) for start in starts]


def _apps(settings: Settings, login: set[str]) -> list[str]:
    """Return the domains of apps; `*` for all others if rules are not limited to hosts."""
    hosts = [host for host in app_hosts(settings) if host not in login]
    is_limited = settings.rules is not None and all(rule.host for rule in settings.rules)
    return hosts if is_limited else [*hosts, "*"]


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return False
    return True


_ENVIRONMENT = templates("envoy")
