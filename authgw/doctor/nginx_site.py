"""Model of an NGINX site: servers, gateway addresses, check locations; NGINX's location choice."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from authgw.doctor.nginx_parser import Block, Directive

PASS_DIRECTIVES = (
    "proxy_pass",
    "fastcgi_pass",
    "uwsgi_pass",
    "scgi_pass",
    "grpc_pass",
    "memcached_pass",
)
_RECIPE_UPSTREAM = "authgw"  # the name of the upstream in upstream.conf
_MODIFIER = re.compile(r"(=|\^~|~\*|~)?\s*(.*)", re.DOTALL)
_SCHEME = re.compile(r"^\w+://")


@dataclass(frozen=True, slots=True)
class NginxSite:
    """The whole configuration with the parts that the checks of the doctor examine.

    `gateways` are the addresses and upstream names of the gateway; `checks` the locations that
    pass `auth_request` subrequests on.
    """

    top: Block
    servers: tuple[Block, ...]
    gateways: frozenset[str]
    checks: tuple[Block, ...]


def site_of(top: Block) -> NginxSite:
    """Find the servers, the check locations and the gateways of a configuration.

    A gateway is the recipe's upstream or any address from which `/authenticate` is requested.
    """
    servers = tuple(
        block
        for block in top.walk()
        if block.name == "server" and block.parent is not None and block.parent.name == "http"
    )
    checks = tuple(check for server in servers for check in _check_locations(server))
    pass_lines = (pass_line for block in top.walk() for pass_line in block.named("proxy_pass"))
    gateways = {upstream_of(each) for each in pass_lines if "/authenticate" in each.args[0]}
    return NginxSite(top, servers, frozenset({*gateways, _RECIPE_UPSTREAM}), checks)


def _check_locations(server: Block) -> Iterator[Block]:
    for uri in check_uris(server):
        try:
            location = check_location(server, uri)
        except re.error:
            continue  # reported by nginx_check
        if location is not None:
            yield location


def check_uris(server: Block) -> list[str]:
    """Return the URIs that `auth_request` names in a server, or that the server inherits."""
    named = [each for block in server.walk() for each in block.named("auth_request")]
    uris = [each.args[0] for each in (*named, *server.inherited("auth_request"))]
    return sorted({uri for uri in uris if uri != "off"})


def check_location(server: Block, uri: str) -> Block | None:
    """Return the location that NGINX chooses for a check; None if a variable names its URI.

    Raises:
        re.error: a regular expression of a location cannot be compiled by Python.
    """
    return location_for(server, uri) if "$" not in uri else None


def is_protected(block: Block) -> bool:
    """Return True if a check precedes all content of this block."""
    directives = block.inherited("auth_request")
    return bool(directives) and directives[0].args != ("off",)


def is_declared_public(block: Block) -> bool:
    """Return True if `auth_request off` applies to this block."""
    directives = block.inherited("auth_request")
    return bool(directives) and directives[0].args == ("off",)


def is_unreachable(block: Block) -> bool:
    """Return True if clients cannot request this location by its own URL."""
    location = block.nearest("location")
    return location is not None and (
        location.args[-1].startswith("@") or bool(location.named("internal"))
    )


def find_pass(block: Block) -> Directive | None:
    """Return the directive by which this block passes requests on, or None.

    An `if` or `limit_except` block takes it over from the location around it.
    """
    for level in block.with_ancestors():
        pass_lines = level.named(*PASS_DIRECTIVES)
        if pass_lines:
            return pass_lines[0]
        if level.name not in ("if", "limit_except"):
            return None
    return None


def upstream_of(pass_line: Directive) -> str:
    """Return the host and port, or the upstream's name, in a directive such as `proxy_pass`."""
    address = _SCHEME.sub("", pass_line.args[0])
    return address if address.startswith("unix:") else address.partition("/")[0]


def passes_to_gateway(site: NginxSite, block: Block) -> bool:
    """Return True if this block passes requests to the gateway."""
    pass_line = find_pass(block)
    return pass_line is not None and upstream_of(pass_line) in site.gateways


def pattern_of(location: Block) -> tuple[str, str]:
    """Return the modifier of a location (empty for a plain prefix) and its path or expression."""
    match = _MODIFIER.fullmatch(" ".join(location.args))
    assert match is not None  # noqa: S101  the second group takes anything
    return match[1] or "", match[2]


def location_for(level: Block, uri: str) -> Block | None:
    """Return the location that NGINX chooses for a path (ngx_http_core_find_location).

    Raises:
        re.error: a regular expression of a location cannot be compiled by Python.
    """
    return _find_location(level, uri)[0]


def _find_location(level: Block, uri: str) -> tuple[Block | None, bool]:
    """Return the location, and True if it is final: an exact match or a regular expression's."""
    locations = [(*pattern_of(each), each) for each in level.children if each.name == "location"]
    for modifier, text, location in locations:
        if modifier == "=" and text == uri:
            return location, True
    prefixes = [
        each
        for each in locations
        if each[0] in ("", "^~") and not each[1].startswith("@") and uri.startswith(each[1])
    ]
    best = max(prefixes, key=lambda each: len(each[1]), default=None)
    chosen, modifier = (best[2], best[0]) if best else (None, "")
    if chosen is not None:
        nested, final = _find_location(chosen, uri)
        if final:
            return nested, True
        chosen = nested or chosen
    if modifier != "^~":
        for kind, text, location in locations:
            if kind in ("~", "~*") and _regex(text, kind == "~*").search(uri):
                return _find_location(location, uri)[0] or location, True
    return chosen, False


def _regex(text: str, ignore_case: bool) -> re.Pattern[str]:
    python = text.replace("(?<", "(?P<").replace("(?P<=", "(?<=").replace("(?P<!", "(?<!")
    return re.compile(python, re.IGNORECASE if ignore_case else 0)


def content_blocks(server: Block) -> Iterator[Block]:
    """Iterate over the blocks of a server that can produce a response."""
    for block in server.walk():
        if block.name in ("location", "server", "if", "limit_except"):
            yield block
