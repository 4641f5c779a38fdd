"""The parts of an NGINX configuration that the checks of the doctor speak of."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from authgw.doctor.nginx_parser import Block, Directive

PASSES = (
    "proxy_pass",
    "fastcgi_pass",
    "uwsgi_pass",
    "scgi_pass",
    "grpc_pass",
    "memcached_pass",
)
_OF_RECIPE = "authgw"  # the name of the upstream in upstream.conf
_MODIFIER = re.compile(r"(=|\^~|~\*|~)?\s*(.*)", re.DOTALL)
_SCHEME = re.compile(r"^\w+://")


@dataclass(frozen=True, slots=True)
class NginxSite:
    """The whole configuration; `gateways` are the names and addresses of the gateway in it."""

    top: Block
    servers: tuple[Block, ...]
    gateways: frozenset[str]
    checks: tuple[Block, ...]


def site_of(top: Block) -> NginxSite:
    """Find servers and gateways: the recipe's, and all that `/authenticate` is requested from."""
    servers = tuple(
        block
        for block in top.every()
        if block.name == "server" and block.above is not None and block.above.name == "http"
    )
    checks = tuple(check for server in servers for check in _checks(server))
    passes = (passed for block in top.every() for passed in block.named("proxy_pass"))
    gateways = {upstream_of(each) for each in passes if "/authenticate" in each.args[0]}
    return NginxSite(top, servers, frozenset({*gateways, _OF_RECIPE}), checks)


def _checks(server: Block) -> Iterator[Block]:
    for uri in check_uris(server):
        try:
            location = check_location(server, uri)
        except re.error:
            continue  # reported where checks are examined
        if location is not None:
            yield location


def check_uris(server: Block) -> list[str]:
    """Return the locations that auth_request names in a server, or that it inherits."""
    named = [each for block in server.every() for each in block.named("auth_request")]
    found = [each.args[0] for each in (*named, *server.inherited("auth_request"))]
    return sorted({uri for uri in found if uri != "off"})


def check_location(server: Block, uri: str) -> Block | None:
    """Return the location that NGINX serves a check from.

    Raises:
        re.error: a regular expression of a location cannot be read here.
    """
    return location_for(server, uri) if "$" not in uri else None


def is_protected(block: Block) -> bool:
    """Return true if a check precedes all content of this block."""
    asked = block.inherited("auth_request")
    return bool(asked) and asked[0].args != ("off",)


def is_declared_public(block: Block) -> bool:
    """Return true if somebody wrote that no check is wanted."""
    asked = block.inherited("auth_request")
    return bool(asked) and asked[0].args == ("off",)


def is_unreachable(block: Block) -> bool:
    """Return true if no client can request this location by its own URL."""
    location = block.nearest("location")
    return location is not None and (
        location.args[-1].startswith("@") or bool(location.named("internal"))
    )


def pass_of(block: Block) -> Directive | None:
    """Return the directive by which this block passes requests on, itself or as part of one."""
    for level in block.outwards():
        passes = level.named(*PASSES)
        if passes:
            return passes[0]
        # Only these take it over from the location around them.
        if level.name not in ("if", "limit_except"):
            return None
    return None


def upstream_of(passed: Directive) -> str:
    """Return host and port, or the name of the upstream, of a directive that passes on."""
    address = _SCHEME.sub("", passed.args[0])
    return address if address.startswith("unix:") else address.partition("/")[0]


def is_to_gateway(site: NginxSite, block: Block) -> bool:
    """Return true if this block passes requests to the gateway."""
    passed = pass_of(block)
    return passed is not None and upstream_of(passed) in site.gateways


def pattern_of(location: Block) -> tuple[str, str]:
    """Return the modifier of a location and what follows it."""
    match = _MODIFIER.fullmatch(" ".join(location.args))
    assert match is not None  # noqa: S101  the second group takes anything
    return match[1] or "", match[2]


def location_for(level: Block, uri: str) -> Block | None:
    """Return the location that NGINX chooses for a path (ngx_http_core_find_location).

    Raises:
        re.error: a regular expression of a location cannot be read here.
    """
    return _found(level, uri)[0]


def _found(level: Block, uri: str) -> tuple[Block | None, bool]:
    """The location, and whether it is final: exact, or by a regular expression."""
    locations = [(*pattern_of(each), each) for each in level.below if each.name == "location"]
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
        nested, final = _found(chosen, uri)
        if final:
            return nested, True
        chosen = nested or chosen
    if modifier != "^~":
        for kind, text, location in locations:
            if kind in ("~", "~*") and _regex(text, kind == "~*").search(uri):
                return _found(location, uri)[0] or location, True
    return chosen, False


def _regex(text: str, ignore_case: bool) -> re.Pattern[str]:
    python = text.replace("(?<", "(?P<").replace("(?P<=", "(?<=").replace("(?P<!", "(?<!")
    return re.compile(python, re.IGNORECASE if ignore_case else 0)


def answering_blocks(server: Block) -> Iterator[Block]:
    """Iterate over the blocks of a server that can produce an answer."""
    for block in server.every():
        if block.name in ("location", "server", "if", "limit_except"):
            yield block
