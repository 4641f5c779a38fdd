"""Check that session cookies stay between client and gateway, and whose word variables are."""

import re
from collections.abc import Iterator
from ipaddress import ip_network

from authgw.doctor.nginx_findings import Finding, hole, unchecked
from authgw.doctor.nginx_parser import Block, Directive
from authgw.doctor.nginx_recipe import Recipe, definition
from authgw.doctor.nginx_site import NginxSite, is_to_gateway
from authgw.doctor.nginx_values import holds_session, variables_in

_CAPTURE = re.compile(r"\(\?P?[<'](authgw_\w+)[>']")
_DEFINING_BLOCKS = ("map", "geo", "split_clients", "keyval")
_TELLING = re.compile(r"(?:proxy|grpc)_set_header|(?:fastcgi|uwsgi|scgi)_param")
# They compare the cookie, or keep it in memory alone.
_HARMLESS = re.compile(
    r"\w+_(?:cache_bypass|no_cache|cache_key)|limit_(?:req|conn)_zone|hash|access_log"
)
_LEAST_BITS = 4  # a shorter prefix holds a good part of the internet


def examine(site: NginxSite, recipe: Recipe) -> Iterator[Finding]:
    """Check the whole configuration."""
    yield from _maps(site, recipe)
    ours = {*recipe.definitions, *recipe.taken}
    for block in site.top.every():
        yield from _overwritten(block, recipe, ours)
        for each in block.own:
            yield from _leaking(site, block, each)
        yield from _copied(block)
        yield from _addresses(block)


def _maps(site: NginxSite, recipe: Recipe) -> Iterator[Finding]:
    """Compare the blocks that define our variables with the recipe's."""
    found: dict[str, list[Block]] = {}
    for block in site.top.every():
        if block.name in _DEFINING_BLOCKS and block.args[-1] in {
            *recipe.definitions,
            *recipe.taken,
        }:
            found.setdefault(block.args[-1], []).append(block)
    for name, blocks in found.items():
        strange = [
            each for each in blocks if definition(each) not in recipe.definitions.get(name, ())
        ]
        for each in strange:
            if len(blocks) > 1 or name in recipe.taken:
                yield hole(
                    each,
                    f"{each} defines a variable of the recipe again.",
                    "Call it by another name.",
                )
            else:
                yield unchecked(
                    each,
                    f"{each} is not that of this version's recipe.",
                    "Run `authgw nginx write DIR` and copy its files here.",
                )


def _overwritten(block: Block, recipe: Recipe, ours: set[str]) -> Iterator[Finding]:
    """Find what else gives our variables values."""
    if block.name == "map" and definition(block) in recipe.definitions.get(block.args[-1], ()):
        return
    texts: list[Block | Directive] = [block, *block.own]
    captures = [(each, found[1]) for each in texts for found in _CAPTURE.finditer(str(each))]
    for at, name in captures:
        if f"${name}" in ours:
            yield hole(
                at,
                f"a capture in {at} overwrites ${name}: a client chooses its value.",
                "Call it by another name.",
            )
    for each in block.own:
        if _defines(each, ours):
            yield hole(
                each, f"{each} overwrites a variable of the recipe.", "Call it by another name."
            )


def _defines(each: Directive, ours: set[str]) -> bool:
    setting = each.name.startswith(("set", "js_set", "js_var", "perl_set", "keyval"))
    where = each.args[:1] if not each.name.startswith("keyval") else each.args[1:2]
    return setting and any(name in ours for name in where)


def _leaking(site: NginxSite, block: Block, each: Directive) -> Iterator[Finding]:
    if not any(holds_session(arg) for arg in each.args) or _HARMLESS.fullmatch(each.name):
        return
    if block.name in _DEFINING_BLOCKS or block.name == "types" or is_to_gateway(site, block):
        return
    if _TELLING.fullmatch(each.name):
        name = each.args[0].lower().removeprefix("http_")
        if name == "cookie":
            return  # reported for each location that it holds for
        what = f"{each} shows the app the live session cookie."
    elif each.name == "log_format":
        what = "this log_format writes live session cookies to a log."
    elif each.name == "set":
        yield unchecked(each, f"{each} copies the session cookie; where to is not known.")
        return
    else:
        what = f"{each} hands the session cookie on, which nothing but the gateway may read."
    yield hole(each, what, "Remove the variable, or write $authgw_cookie in its place.")


def _copied(block: Block) -> Iterator[Finding]:
    """Check maps from the cookie to a part of it."""
    if block.name != "map" or not holds_session(block.args[0]):
        return
    if block.args[-1].startswith("$authgw_"):
        return
    for each in block.own:
        if any(variables_in(arg) for arg in each.args):
            yield unchecked(
                each, f"whether {block.args[-1]} holds the session cookie is not known."
            )


def _addresses(block: Block) -> Iterator[Finding]:
    """Check who may name the address of a client."""
    for each in block.named("set_real_ip_from"):
        try:
            network = ip_network(each.args[0], strict=False)
        except ValueError:
            continue  # a host's name, or unix:
        if network.prefixlen < _LEAST_BITS:
            yield hole(
                each,
                f"{each}: any client can choose the address that rules and limits see.",
                "Name the addresses of the proxy in front.",
            )
