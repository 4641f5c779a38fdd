"""Checks of the subrequest to the gateway: its target, its headers and its response."""

import re
from collections.abc import Iterator

from authgw.dialects.nginx import NGINX
from authgw.doctor.nginx_findings import Finding, fault, hole, problem, unchecked
from authgw.doctor.nginx_identity import outdated_host
from authgw.doctor.nginx_parser import Block, Directive
from authgw.doctor.nginx_recipe import Recipe
from authgw.doctor.nginx_site import check_location, check_uris
from authgw.doctor.nginx_values import is_literal, variables_in

_TARGET = re.compile(r"https?://[^/]+(?:/[^/].*:)?/authenticate")
_OUTDATED_URL = "$scheme://$http_host$request_uri"
# The decision depends on these headers of the client: a line that replaces a value changes it.
_CLIENT_HEADER_NAMES = """
    authorization cookie destination origin access-control-request-method x-http-method-override
    x-http-method x-method-override sec-fetch-mode sec-fetch-dest accept
"""
_CLIENT_HEADERS = frozenset(_CLIENT_HEADER_NAMES.split())
_TARGET_HEADERS = frozenset(name.lower() for name in NGINX.target_headers)
# Statuses of the check itself while the gateway is unavailable.
_GATEWAY_ERRORS = frozenset({"500", "502", "503", "504"})
_NEUTRAL_HEADERS = (
    "connection",
    "upgrade",
    "expect",
    "x-request-id",
    "content-length",
    "transfer-encoding",
)


def examine(server: Block, recipe: Recipe) -> Iterator[Finding]:
    """Check every location that auth_request names in a server."""
    for uri in check_uris(server):
        line = _auth_request(server, uri)
        if "$" in uri:
            yield unchecked(line, f"{line}: the doctor cannot tell where this leads.")
            continue
        try:
            location = check_location(server, uri)
        except re.error as error:
            yield unchecked(line, f"a location's regular expression cannot be read ({error}).")
            continue
        target = location.named("proxy_pass") if location is not None else []
        if location is None or not target or not _TARGET.fullmatch(target[0].args[0]):
            where = str(location) if location is not None else "no location"
            yield hole(
                target[0] if target else location or line,
                f"{line} leads to {where}, which is not the gateway: another server there could "
                "allow every request.",
                "Write the location as protect.conf does: location = /_authgw { internal; "
                "proxy_pass http://authgw/authenticate; include authgw/question.conf; }",
            )
        else:
            yield from _check_headers(location, recipe)
            yield from _connection(location, target[0])
            yield from _cache(location, recipe)
            yield from _replaced_responses(location)
    yield from _response_variables(server, recipe)


def _auth_request(server: Block, uri: str) -> Directive:
    inner = [each for block in server.walk() for each in block.named("auth_request")]
    lines = [*inner, *server.inherited("auth_request")]
    return next(each for each in lines if each.args[0] == uri)


def _check_headers(location: Block, recipe: Recipe) -> Iterator[Finding]:
    lines = [each for each in location.inherited("proxy_set_header") if len(each.args) > 1]
    name = location.args[-1]
    for header, value in recipe.check_headers.items():
        sent = [each for each in lines if each.args[0].lower() == header]
        if header in _NEUTRAL_HEADERS or (
            any(each.args[1] == value for each in sent) and len(sent) == 1
        ):
            continue
        spelling = _SPELLINGS.get(header, header.title())
        expected = f"proxy_set_header {spelling} {value or _EMPTY};"
        if header == "x-original-url" and [each.args[1] for each in sent] == [_OUTDATED_URL]:
            yield outdated_host(location, sent[0], f"Write: {expected}")
        elif header in _TARGET_HEADERS:
            yield hole(
                sent[-1] if sent else location,
                f"location {name} does not send {spelling} as the gateway needs it.",
                f"Add to it: {expected}",
            )
        elif header == "x-forwarded-for" and any("$proxy_protocol_addr" in e.args for e in sent):
            continue
        elif header == "x-forwarded-for":
            yield hole(
                sent[-1] if sent else location,
                f"location {name} lets clients choose the address that the gateway sees.",
                f"Add to it: {expected}",
            )
        else:
            yield hole(
                sent[-1] if sent else location,
                f"location {name} lets a client's own {spelling} reach the gateway.",
                f"Add to it: {expected}",
            )
    yield from _client_headers(location, lines, recipe)


_EMPTY = '""'
_SPELLINGS = {"x-original-url": "X-Original-URL", "x-request-id": "X-Request-ID"}


def _client_headers(location: Block, lines: list[Directive], recipe: Recipe) -> Iterator[Finding]:
    for each in lines:
        header, value = each.args[0].lower(), each.args[1]
        if header in recipe.check_headers or header == "host":
            continue
        if header in _CLIENT_HEADERS and value != f"$http_{header.replace('-', '_')}":
            effect = (
                "every client gets the identity of its owner" if value and is_literal(value) else ""
            )
            yield hole(
                each,
                f"{each}: the gateway does not see the client's own {each.args[0]}"
                f"{': ' + effect if effect else ''}.",
                "Remove it.",
            )
        elif header not in _CLIENT_HEADERS and not is_literal(value):
            yield unchecked(
                each, f"the doctor does not know what {each} means to the gateway.", "Remove it."
            )
    for each in location.inherited("proxy_pass_request_headers"):
        if each.args == ("off",):
            message = (
                "the gateway receives neither cookie nor token, so that it refuses every request."
            )
            yield problem(each, f"{each}: {message}", "Remove it.")


def _connection(location: Block, target: Directive) -> Iterator[Finding]:
    name = location.args[-1]
    if not location.named("internal"):
        yield hole(
            location, f"location {name} can be requested by clients.", "Add to it: internal;"
        )
    version = [each.args[0] for each in location.inherited("proxy_http_version")]
    lines = location.inherited("proxy_set_header")
    connection = [each.args[1] for each in lines if each.args[0].lower() == "connection"]
    # From 1.29.7 on NGINX uses HTTP/1.1 by default.
    if version != ["1.1"] or connection != [""]:
        yield fault(
            location,
            f"location {name} opens a connection to the gateway for every request.",
            'Add to it: proxy_http_version 1.1; proxy_set_header Connection "";',
        )
    verified = [each.args[0] for each in location.inherited("proxy_ssl_verify")]
    if target.args[0].startswith("https://") and verified != ["on"]:
        yield fault(
            target,
            f"{target}: the certificate is not verified, so that another server in the gateway's "
            "place could allow every request.",
            "Add to it: proxy_ssl_verify on; proxy_ssl_trusted_certificate FILE;",
        )


def _cache(location: Block, recipe: Recipe) -> Iterator[Finding]:
    cache = location.inherited("proxy_cache")
    if not cache or cache[0].args == ("off",):
        return
    key = location.inherited("proxy_cache_key")
    present = set(variables_in(" ".join(key[0].args))) if key else set()
    missing = [name for name in variables_in(" ".join(recipe.cache_key)) if name not in present]
    if missing:
        yield hole(
            key[0] if key else cache[0],
            f"responses of the gateway are cached without ${missing[0]} in the key, so that the "
            "response to a request is used for another.",
            "Write proxy_cache_key as protect.conf does, or proxy_cache off;",
        )
    for name in ("proxy_cache_valid", "proxy_cache_use_stale"):
        for each in location.inherited(name):
            if name == "proxy_cache_use_stale" and each.args != ("off",):
                message = "an ended session is accepted while the gateway is unreachable."
                yield hole(each, f"{each}: {message}", "Remove it.")
            elif name == "proxy_cache_valid" and each.args != ("200", "1s"):
                message = (
                    "responses are cached for longer than a second, so that a logout takes effect "
                    "later."
                )
                yield hole(each, f"{each}: {message}", "Write: proxy_cache_valid 200 1s;")


def _replaced_responses(location: Block) -> Iterator[Finding]:
    """Check that an error page does not replace the gateway's response."""
    for each in location.inherited("proxy_intercept_errors"):
        if each.args == ("on",):
            message = "a page replaces the gateway's refusal, and its status allows the request."
            yield hole(each, f"{each}: {message}", "Remove it.")
    for page in location.inherited("error_page"):
        status = next((arg for arg in page.args if arg.startswith("=")), "")
        replaces = status and (len(status) != 4 or status.startswith("=2"))
        if (
            replaces
            and _GATEWAY_ERRORS & set(page.args)
            and not page.args[-1].startswith("@authgw_")
        ):
            yield hole(
                page,
                f"{page} applies to the check too: while the gateway is unreachable, its page "
                "with status 200 allows every request.",
                "Write it without `=`.",
            )


def _response_variables(server: Block, recipe: Recipe) -> Iterator[Finding]:
    """Check the variables that are set from the gateway's response."""
    identity = {f"$authgw_{key}": key for key in recipe.headers}
    ours = {recipe.response_variables[name] for name in identity}
    inner = [each for block in server.walk() for each in block.named("auth_request_set")]
    for each in (*inner, *server.inherited("auth_request_set")):
        name, value = each.args
        expected = recipe.response_variables.get(name, value)
        if value == expected:
            continue
        if name not in identity:
            message = f"{each} overwrites a variable of the recipe."
            yield hole(each, message, f"Write: auth_request_set {name} {expected};")
        elif value.startswith("$upstream_http_") and value not in ours:
            yield problem(
                each,
                f"{each} is taken from a header that the gateway does not send: the "
                f"configuration names it {recipe.headers[identity[name]]}.",
                f"Write: auth_request_set {name} {expected}; or correct headers.{identity[name]} "
                "in the configuration, or run `authgw nginx write DIR` and copy its files here.",
            )
