"""The files of HAProxy's recipe: a configuration file and the action that checks requests."""

from authgw.config.schema import Settings
from authgw.dialects.registry import TARGET_HEADERS
from authgw.recipes.cleared import cleared_except
from authgw.recipes.rendering import templates
from authgw.recipes.values import UNAVAILABLE_PAGE, gateway_address, identity_names, login_hosts

_PROXY = "HAProxy"
_FILES = ("authgw.cfg", "authgw.lua")


def render_files(settings: Settings) -> dict[str, str]:
    """Render the recipe and return the text of each file by its name.

    Raises:
        OperatorError: a value cannot be written into HAProxy's configuration.
    """
    names = identity_names(settings)
    values = {
        "gateway": gateway_address(settings.server, _PROXY),
        "identity": names,
        "cleared": cleared_except(names),
        "targets": TARGET_HEADERS,
        "sites": login_hosts(settings, _PROXY),
        "unavailable": UNAVAILABLE_PAGE,
    }
    return {name: _ENVIRONMENT.get_template(name).render(values) for name in _FILES}


_ENVIRONMENT = templates("haproxy")
