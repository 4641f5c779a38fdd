"""The files of Traefik's recipe: dynamic configuration, and the same as labels for compose."""

from collections.abc import Iterator
from typing import Any

import yaml

from authgw.config.schema import Settings
from authgw.dialects.registry import TARGET_HEADERS
from authgw.recipes.cleared import cleared_except
from authgw.recipes.rendering import templates
from authgw.recipes.values import gateway_address, identity_names, login_hosts

_PROXY = "Traefik"
# Traefik writes this header itself, from the Host.
_OVERWRITTEN = ("X-Forwarded-Host",)
# The name of the gateway's service in compose, which is its host name as well.
_SERVICE = "authgw"


def render_files(settings: Settings) -> dict[str, str]:
    """Render the recipe and return the text of each file by its path.

    Raises:
        OperatorError: a value cannot be written into Traefik's configuration.
    """
    address = gateway_address(settings.server, _PROXY, sockets=False)
    return {
        "dynamic/authgw.yml": _dynamic(settings, address.authority),
        "authgw-labels.yml": _labels(settings),
    }


def _dynamic(settings: Settings, gateway: str) -> str:
    names = identity_names(settings)
    values = {
        "gateway": gateway,
        "identity": names,
        "cleared": (*cleared_except(names), *_OVERWRITTEN),
        "targets": TARGET_HEADERS,
        "sites": login_hosts(settings, _PROXY),
    }
    return _ENVIRONMENT.get_template("dynamic.yml").render(values)


def _labels(settings: Settings) -> str:
    """Return the labels of the gateway's service, as a part of a compose file."""
    port = settings.server.port
    dynamic = yaml.safe_load(_dynamic(settings, f"{_SERVICE}:{port}"))["http"]
    # The docker provider finds the addresses of a service itself.
    dynamic["services"] = {_SERVICE: {"loadBalancer": {"server": {"port": port}}}}
    labels = list(_flat("traefik.http", dynamic))
    return _ENVIRONMENT.get_template("labels.yml").render(service=_SERVICE, labels=labels)


def _flat(prefix: str, value: Any) -> Iterator[str]:
    """Yield `prefix.key=value` for each scalar and each list of scalars below `value`."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _flat(f"{prefix}.{key}", inner)
        return
    text = ",".join(value) if isinstance(value, list) else value
    yield f"{prefix}={str(text).lower() if isinstance(text, bool) else text}"


def _quoted(text: str) -> str:
    """Return a YAML string in single quotes; compose would replace variables after a single `$`."""
    escaped = text.replace("'", "''").replace("$", "$$")
    return f"'{escaped}'"


_ENVIRONMENT = templates("traefik")
_ENVIRONMENT.filters["quoted"] = _quoted
