"""Checks for disclosure of session cookies, and for values that clients can choose."""

import re
from collections.abc import Iterator
from ipaddress import ip_network

from authgw.doctor.nginx_findings import Finding, hole, unchecked
from authgw.doctor.nginx_parser import Block, Directive
from authgw.doctor.nginx_recipe import Recipe, definition
from authgw.doctor.nginx_site import NginxSite, passes_to_gateway
from authgw.doctor.nginx_values import holds_session, variables_in

_CAPTURE = re.compile(r"\(\?P?[<'](authgw_\w+)[>']")
_DEFINING_BLOCKS = ("map", "geo", "split_clients", "keyval")
_HEADER_DIRECTIVE = re.compile(r"(?:proxy|grpc)_set_header|(?:fastcgi|uwsgi|scgi)_param")
# They compare the cookie, or keep it in memory only.
_NEUTRAL = re.compile(
    r"\w+_(?:cache_bypass|no_cache|cache_key)|limit_(?:req|conn)_zone|hash|access_log"
)
_MIN_PREFIX_BITS = 4  # a shorter prefix covers a large part of the internet


def examine(site: NginxSite, recipe: Recipe) -> Iterator[Finding]:
    """Check the recipe's variables, uses of the session cookie and sources of client addresses."""
    yield from _maps(site, recipe)
    ours = {*recipe.definitions, *recipe.response_variables}
    for block in site.top.walk():
        yield from _overwritten(block, recipe, ours)
        for each in block.directives:
            yield from _leaks(site, block, each)
        yield from _cookie_maps(block)
        yield from _real_ip_sources(block)


def _maps(site: NginxSite, recipe: Recipe) -> Iterator[Finding]:
    """Compare the blocks that define the recipe's variables with those of the recipe."""
    by_variable: dict[str, list[Block]] = {}
    for block in site.top.walk():
        if block.name in _DEFINING_BLOCKS and block.args[-1] in {
            *recipe.definitions,
            *recipe.response_variables,
        }:
            by_variable.setdefault(block.args[-1], []).append(block)
    for name, blocks in by_variable.items():
        differing = [
            each for each in blocks if definition(each) not in recipe.definitions.get(name, ())
        ]
        for each in differing:
            if len(blocks) > 1 or name in recipe.response_variables:
                yield hole(
                    each,
                    f"{each} defines a variable of the recipe again.",
                    "Use another name.",
                )
            else:
                yield unchecked(
                    each,
                    f"{each} is not that of this version's recipe.",
                    "Run `authgw nginx write DIR` and copy its files here.",
                )


def _overwritten(block: Block, recipe: Recipe, ours: set[str]) -> Iterator[Finding]:
    """Find captures and directives that overwrite the recipe's variables."""
    if block.name == "map" and definition(block) in recipe.definitions.get(block.args[-1], ()):
        return
    texts: list[Block | Directive] = [block, *block.directives]
    captures = [(each, match[1]) for each in texts for match in _CAPTURE.finditer(str(each))]
    for at, name in captures:
        if f"${name}" in ours:
            yield hole(
                at,
                f"a capture in {at} overwrites ${name}: a client chooses its value.",
                "Use another name.",
            )
    for each in block.directives:
        if _defines(each, ours):
            yield hole(each, f"{each} overwrites a variable of the recipe.", "Use another name.")


def _defines(each: Directive, ours: set[str]) -> bool:
    setting = each.name.startswith(("set", "js_set", "js_var", "perl_set", "keyval"))
    where = each.args[:1] if not each.name.startswith("keyval") else each.args[1:2]
    return setting and any(name in ours for name in where)


def _leaks(site: NginxSite, block: Block, each: Directive) -> Iterator[Finding]:
    if not any(holds_session(arg) for arg in each.args) or _NEUTRAL.fullmatch(each.name):
        return
    if block.name in _DEFINING_BLOCKS or block.name == "types" or passes_to_gateway(site, block):
        return
    if _HEADER_DIRECTIVE.fullmatch(each.name):
        name = each.args[0].lower().removeprefix("http_")
        if name == "cookie":
            return  # reported by nginx_identity for each location that inherits it
        message = f"{each} sends the app the live session cookie."
    elif each.name == "log_format":
        message = "this log_format writes live session cookies to a log."
    elif each.name == "set":
        yield unchecked(
            each, f"{each} copies the session cookie to a place that the doctor does not know."
        )
        return
    else:
        message = f"{each} passes the session cookie on, which only the gateway may receive."
    yield hole(each, message, "Remove the variable, or write $authgw_cookie instead.")


def _cookie_maps(block: Block) -> Iterator[Finding]:
    """Check maps that extract a part of the cookie."""
    if block.name != "map" or not holds_session(block.args[0]):
        return
    if block.args[-1].startswith("$authgw_"):
        return
    for each in block.directives:
        if any(variables_in(arg) for arg in each.args):
            yield unchecked(
                each, f"the doctor cannot tell if {block.args[-1]} contains the session cookie."
            )


def _real_ip_sources(block: Block) -> Iterator[Finding]:
    """Check the networks whose requests may set a client's address (`set_real_ip_from`)."""
    for each in block.named("set_real_ip_from"):
        try:
            network = ip_network(each.args[0], strict=False)
        except ValueError:
            continue  # a host name, or unix:
        if network.prefixlen < _MIN_PREFIX_BITS:
            yield hole(
                each,
                f"{each}: any client can choose the address that rules and limits use.",
                "Write the addresses of the proxy in front.",
            )
