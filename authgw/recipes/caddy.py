"""The file of Caddy's recipe: snippets for a Caddyfile."""

from authgw.config.schema import Settings
from authgw.dialects.registry import TARGET_HEADERS
from authgw.recipes.cleared import cleared_except
from authgw.recipes.rendering import templates
from authgw.recipes.values import UNAVAILABLE_PAGE, gateway_address, identity_names, login_hosts

_PROXY = "Caddy"
# Caddy writes these headers itself, after the request was checked.
_OVERWRITTEN = ("X-Forwarded-Host", "X-Forwarded-Port", "X-Real-Ip")
# Parts of names that a client may not put into Connection; the identity's names are added.
_KEPT = ("remote", "forwarded", "cookie", "authorization")


def render_files(settings: Settings) -> dict[str, str]:
    """Render the recipe and return the text of its file by its name.

    Raises:
        OperatorError: a value cannot be written into Caddy's configuration.
    """
    address, names = gateway_address(settings.server, _PROXY), identity_names(settings)
    sites = login_hosts(settings, _PROXY)
    values = {
        "gateway": f"unix/{address.socket}" if address.socket else address.authority,
        "hostport": address.socket or address.authority,
        "identity": names,
        "dropping": dict.fromkeys((*_KEPT, *_further(names))),
        "cleared": (*cleared_except(names), *_OVERWRITTEN),
        "targets": TARGET_HEADERS,
        "sites": sites,
        "shared": any(site.has_app for site in sites),
        "unavailable": UNAVAILABLE_PAGE,
    }
    return {"authgw.caddy": _ENVIRONMENT.get_template("authgw.caddy").render(values)}


def _further(names: tuple[str, ...]) -> list[str]:
    """Return the names, in lower case, that contain nothing of `_KEPT`."""
    lower = [name.lower() for name in names]
    return [name for name in lower if not any(part in name for part in _KEPT)]


_ENVIRONMENT = templates("caddy")
