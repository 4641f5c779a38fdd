"""Check the subrequest by which NGINX checks a request: where it goes and what it sends."""

import re
from collections.abc import Iterator

from authgw.doctor.nginx_findings import Finding, fault, hole, problem, unchecked
from authgw.doctor.nginx_identity import outdated_host
from authgw.doctor.nginx_parser import Block, Directive
from authgw.doctor.nginx_recipe import Recipe
from authgw.doctor.nginx_site import check_location, check_uris
from authgw.doctor.nginx_values import is_literal, variables_in

_TARGET = re.compile(r"https?://[^/]+(?:/[^/].*:)?/authenticate")
_OLD_URL = "$scheme://$http_host$request_uri"
# The client's own, by which the gateway decides: a line that replaces them replaces the decision.
_OF_CLIENT_NAMES = """
    authorization cookie destination origin access-control-request-method x-http-method-override
    x-http-method x-method-override sec-fetch-mode sec-fetch-dest accept
"""
_OF_CLIENT = frozenset(_OF_CLIENT_NAMES.split())
_DECISIVE = ("x-original-url", "x-original-host", "x-original-method")
# Of the check itself, while the gateway is away.
_AWAY = frozenset({"500", "502", "503", "504"})
_IDLE = ("connection", "upgrade", "expect", "x-request-id", "content-length", "transfer-encoding")


def examine(server: Block, recipe: Recipe) -> Iterator[Finding]:
    """Check every location that auth_request names in a server."""
    for uri in check_uris(server):
        asking = _asking(server, uri)
        if "$" in uri:
            yield unchecked(asking, f"{asking}: where this leads is not known.")
            continue
        try:
            location = check_location(server, uri)
        except re.error as error:
            yield unchecked(asking, f"a location's regular expression cannot be read ({error}).")
            continue
        target = location.named("proxy_pass") if location is not None else []
        if location is None or not target or not _TARGET.fullmatch(target[0].args[0]):
            where = str(location) if location is not None else "no location"
            yield hole(
                target[0] if target else location or asking,
                f"{asking} leads to {where}, which is not the gateway: whatever answers there "
                "lets everybody in.",
                "Write the location as protect.conf does: location = /_authgw { internal; "
                "proxy_pass http://authgw/authenticate; include authgw/question.conf; }",
            )
        else:
            yield from _sent(location, recipe)
            yield from _reached(location, target[0])
            yield from _kept(location, recipe)
            yield from _replaced_answers(location)
    yield from _taken(server, recipe)


def _asking(server: Block, uri: str) -> Directive:
    inner = [each for block in server.every() for each in block.named("auth_request")]
    found = [*inner, *server.inherited("auth_request")]
    return next(each for each in found if each.args[0] == uri)


def _sent(location: Block, recipe: Recipe) -> Iterator[Finding]:
    lines = [each for each in location.inherited("proxy_set_header") if len(each.args) > 1]
    name = location.args[-1]
    for header, value in recipe.question.items():
        found = [each for each in lines if each.args[0].lower() == header]
        if header in _IDLE or (any(each.args[1] == value for each in found) and len(found) == 1):
            continue
        spelled = _SPELLED.get(header, header.title())
        right = f"proxy_set_header {spelled} {value or _EMPTY};"
        if header == "x-original-url" and [each.args[1] for each in found] == [_OLD_URL]:
            yield outdated_host(location, found[0], f"Write: {right}")
        elif header in _DECISIVE:
            yield hole(
                found[-1] if found else location,
                f"location {name} does not send {spelled} as the gateway needs it.",
                f"Add to it: {right}",
            )
        elif header == "x-forwarded-for" and any("$proxy_protocol_addr" in e.args for e in found):
            continue
        elif header == "x-forwarded-for":
            yield hole(
                found[-1] if found else location,
                f"location {name} lets a client say which address is its own.",
                f"Add to it: {right}",
            )
        else:
            yield hole(
                found[-1] if found else location,
                f"location {name} lets a client's own {spelled} reach the gateway.",
                f"Add to it: {right}",
            )
    yield from _replaced(location, lines, recipe)


_EMPTY = '""'
_SPELLED = {"x-original-url": "X-Original-URL", "x-request-id": "X-Request-ID"}


def _replaced(location: Block, lines: list[Directive], recipe: Recipe) -> Iterator[Finding]:
    for each in lines:
        header, value = each.args[0].lower(), each.args[1]
        if header in recipe.question or header == "host":
            continue
        if header in _OF_CLIENT and value != f"$http_{header.replace('-', '_')}":
            literal = (
                "everybody is taken for the owner of it" if value and is_literal(value) else ""
            )
            yield hole(
                each,
                f"{each}: the gateway does not see the client's own {each.args[0]}"
                f"{': ' + literal if literal else ''}.",
                "Remove it.",
            )
        elif header not in _OF_CLIENT and not is_literal(value):
            yield unchecked(each, f"what {each} means to the gateway is not known.", "Remove it.")
    for each in location.inherited("proxy_pass_request_headers"):
        if each.args == ("off",):
            what = "the gateway sees neither cookie nor token, so nobody gets in."
            yield problem(each, f"{each}: {what}", "Remove it.")


def _reached(location: Block, target: Directive) -> Iterator[Finding]:
    name = location.args[-1]
    if not location.named("internal"):
        yield hole(location, f"location {name} can be asked from outside.", "Add to it: internal;")
    version = [each.args[0] for each in location.inherited("proxy_http_version")]
    lines = location.inherited("proxy_set_header")
    connection = [each.args[1] for each in lines if each.args[0].lower() == "connection"]
    # Since 1.29.7 NGINX speaks 1.1 by itself.
    if version != ["1.1"] or connection != [""]:
        yield fault(
            location,
            f"location {name} does not keep its connections.",
            'Add to it: proxy_http_version 1.1; proxy_set_header Connection "";',
        )
    verified = [each.args[0] for each in location.inherited("proxy_ssl_verify")]
    if target.args[0].startswith("https://") and verified != ["on"]:
        yield fault(
            target,
            f"{target}: the certificate is not verified, so that whoever answers in the gateway's "
            "place lets everybody in.",
            "Add to it: proxy_ssl_verify on; proxy_ssl_trusted_certificate FILE;",
        )


def _kept(location: Block, recipe: Recipe) -> Iterator[Finding]:
    kept = location.inherited("proxy_cache")
    if not kept or kept[0].args == ("off",):
        return
    key = location.inherited("proxy_cache_key")
    had = set(variables_in(" ".join(key[0].args))) if key else set()
    lacking = [name for name in variables_in(" ".join(recipe.cache_key)) if name not in had]
    if lacking:
        yield hole(
            key[0] if key else kept[0],
            f"answers of the gateway are kept without ${lacking[0]} in the key: the answer for one "
            "request is given to another.",
            "Write proxy_cache_key as protect.conf does, or proxy_cache off;",
        )
    for name in ("proxy_cache_valid", "proxy_cache_use_stale"):
        for each in location.inherited(name):
            if name == "proxy_cache_use_stale" and each.args != ("off",):
                what = "a session that has ended is let in for as long as the gateway is away."
                yield hole(each, f"{each}: {what}", "Remove it.")
            elif name == "proxy_cache_valid" and each.args != ("200", "1s"):
                what = "answers are kept longer than a second, and a log-out takes effect later."
                yield hole(each, f"{each}: {what}", "Write: proxy_cache_valid 200 1s;")


def _replaced_answers(location: Block) -> Iterator[Finding]:
    """Check that an error page does not take the place of the gateway's answer."""
    for each in location.inherited("proxy_intercept_errors"):
        if each.args == ("on",):
            what = "a page takes the place of the gateway's refusal, which then counts as consent."
            yield hole(each, f"{each}: {what}", "Remove it.")
    for page in location.inherited("error_page"):
        status = next((arg for arg in page.args if arg.startswith("=")), "")
        replaces = status and (len(status) != 4 or status.startswith("=2"))
        if replaces and _AWAY & set(page.args) and not page.args[-1].startswith("@authgw_"):
            yield hole(
                page,
                f"{page} holds for the check too: while the gateway is away, its page with status "
                "200 counts as consent, and everybody gets in.",
                "Write it without `=`.",
            )


def _taken(server: Block, recipe: Recipe) -> Iterator[Finding]:
    """Check what is taken from the gateway's answer."""
    identity = {f"$authgw_{key}": key for key in recipe.headers}
    ours = {recipe.taken[name] for name in identity}
    inner = [each for block in server.every() for each in block.named("auth_request_set")]
    for each in (*inner, *server.inherited("auth_request_set")):
        name, value = each.args
        right = recipe.taken.get(name, value)
        if value == right:
            continue
        if name not in identity:
            what = f"{each} overwrites a variable of the recipe."
            yield hole(each, what, f"Write: auth_request_set {name} {right};")
        elif value.startswith("$upstream_http_") and value not in ours:
            yield problem(
                each,
                f"{each} is taken from a header that the gateway does not send: the configuration "
                f"calls it {recipe.headers[identity[name]]}.",
                f"Write: auth_request_set {name} {right}; or correct headers.{identity[name]} in "
                "the configuration, or run `authgw nginx write DIR` and copy its files here.",
            )
