"""The paths of this gateway and their callers; recipes, routes and the doctor use this list.

A path is a template: `{name}` matches a segment of lower-case letters, digits and dashes.
"""

import re
from dataclasses import dataclass
from enum import Flag, auto

_PARAMETER = re.compile(r"\{[a-z]+\}")
_SEGMENT = "[a-z0-9-]+"


class Audience(Flag):
    """Callers of a path; a recipe publishes only the paths for PUBLIC."""

    PUBLIC = auto()  # browsers and programs, through the proxy
    BACKEND = auto()  # trusted backends and apps, at the gateway's own port
    OPERATOR = auto()  # probes, monitoring and operators
    PROXY = auto()  # the proxy itself, about the request of a client


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A path, its methods (`*` for any) and its callers.

    With `prefix` the endpoint includes all paths below. A path that apps have as well has
    `own_host`: it is published only on a host where the gateway shares the paths with no app.
    """

    path: str
    methods: tuple[str, ...]
    audience: Audience
    prefix: bool = False
    own_host: bool = False


_PUBLIC, _BACKEND, _OPERATOR, _PROXY = Audience
# /authenticate without an original request is the direct check of a client's own token.
ENDPOINTS = (
    Endpoint("/login", ("GET", "POST"), _PUBLIC),
    Endpoint("/login/totp", ("GET", "POST"), _PUBLIC),
    Endpoint("/login/account", ("GET",), _PUBLIC),
    Endpoint("/login/end", ("POST",), _PUBLIC),
    Endpoint("/login/oidc/{name}", ("GET", "POST"), _PUBLIC),
    Endpoint("/login/oidc/{name}/callback", ("GET",), _PUBLIC),
    Endpoint("/login/oidc/{name}/icon", ("GET",), _PUBLIC),
    Endpoint("/login/oidc/{name}/link", ("POST",), _PUBLIC),
    # From a provider, which reaches the gateway through the proxy, too.
    Endpoint("/login/oidc/{name}/backchannel", ("POST",), _PUBLIC),
    Endpoint("/login/rescue", ("GET", "POST"), _PUBLIC),
    Endpoint("/login/style.css", ("GET",), _PUBLIC),
    Endpoint("/login/icon.svg", ("GET",), _PUBLIC),
    Endpoint("/favicon.ico", ("GET",), _PUBLIC, own_host=True),
    Endpoint("/logout", ("GET", "POST"), _PUBLIC),
    Endpoint("/refresh", ("POST",), _PUBLIC),
    Endpoint("/ping", ("GET",), _PUBLIC),
    Endpoint("/authenticate", ("GET",), _PUBLIC | _PROXY),
    Endpoint("/authenticate/forward", ("GET",), _PROXY),
    Endpoint("/authenticate/envoy", ("*",), _PROXY, prefix=True),
    Endpoint("/login/denied", ("GET",), _PROXY),
    Endpoint("/revoke", ("POST",), _BACKEND),
    Endpoint("/sessions", ("GET",), _BACKEND),
    Endpoint("/.well-known/jwks.json", ("GET",), _BACKEND),
    Endpoint("/healthz", ("GET",), _OPERATOR),
    Endpoint("/readyz", ("GET",), _OPERATOR),
    Endpoint("/openapi.json", ("GET",), _OPERATOR),
    Endpoint("/docs", ("GET",), _OPERATOR),
    # On the port of `metrics`, never on the port of the gateway.
    Endpoint("/metrics", ("GET",), _OPERATOR),
)


def paths_for(audience: Audience) -> tuple[str, ...]:
    """Return the paths for this audience, sorted."""
    return tuple(sorted(entry.path for entry in ENDPOINTS if audience in entry.audience))


def published_paths(*, own_host: bool) -> tuple[str, ...]:
    """Return the public paths to publish on a host, sorted; `own_host` if no app is there."""
    return tuple(
        sorted(
            entry.path
            for entry in ENDPOINTS
            if Audience.PUBLIC in entry.audience and (own_host or not entry.own_host)
        )
    )


def pattern_of(paths: tuple[str, ...], root: str = "") -> str:
    """Return a regular expression (PCRE, RE2, Python) for exactly these paths below `root`.

    It contains no braces, so NGINX accepts it without quotes.
    """
    return f"^{_expression(root)}(?:{'|'.join(_expression(path) for path in paths)})$"


def _expression(path: str) -> str:
    literals = [re.escape(part).replace(r"\-", "-") for part in _PARAMETER.split(path)]
    return _SEGMENT.join(literals)
