"""The one list of this gateway's paths: recipes, routes and the doctor are made from it.

A path is a template: `{name}` stands for one segment of lower-case letters, digits and dashes.
"""

import re
from dataclasses import dataclass
from enum import Flag, auto

_PARAMETER = re.compile(r"\{[a-z]+\}")
_SEGMENT = "[a-z0-9-]+"


class Audience(Flag):
    """Callers that a path is for; a recipe publishes the paths for PUBLIC and no other."""

    PUBLIC = auto()  # browsers and programs, through the proxy
    BACKEND = auto()  # trusted backends and apps, at the gateway's own port
    OPERATOR = auto()  # probes, monitoring and people who run the gateway
    PROXY = auto()  # the proxy itself, about a request of another


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One path, its methods (`*` for any) and its callers.

    `prefix` means that every path below belongs to it.
    """

    path: str
    methods: tuple[str, ...]
    audience: Audience
    prefix: bool = False


_PUBLIC, _BACKEND, _OPERATOR, _PROXY = Audience
# /authenticate without an original request is the direct check of a client's own token.
ENDPOINTS = (
    Endpoint("/login", ("GET", "POST"), _PUBLIC),
    Endpoint("/login/totp", ("GET", "POST"), _PUBLIC),
    Endpoint("/login/account", ("GET",), _PUBLIC),
    Endpoint("/login/end", ("POST",), _PUBLIC),
    Endpoint("/login/style.css", ("GET",), _PUBLIC),
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
    # On the port of `metrics`, never on the gateway's own.
    Endpoint("/metrics", ("GET",), _OPERATOR),
)


def paths_for(audience: Audience) -> tuple[str, ...]:
    """The paths that are for this audience, sorted."""
    return tuple(sorted(one.path for one in ENDPOINTS if audience in one.audience))


def pattern_of(paths: tuple[str, ...], root: str = "") -> str:
    """A regular expression (PCRE, RE2, Python) that matches exactly these paths below `root`.

    It holds no braces, so NGINX reads it without quotes.
    """
    return f"^{_expression(root)}(?:{'|'.join(_expression(path) for path in paths)})$"


def _expression(path: str) -> str:
    literals = [re.escape(part).replace(r"\-", "-") for part in _PARAMETER.split(path)]
    return _SEGMENT.join(literals)
