"""Check how the gateway itself is reached: upstream, login pages, paths, default servers."""

import re
from collections.abc import Iterator
from urllib.parse import urlsplit

from authgw.core.endpoints import ENDPOINTS, Audience, Endpoint
from authgw.doctor.nginx_findings import Finding, fault, hole, problem, unchecked
from authgw.doctor.nginx_identity import outdated_host
from authgw.doctor.nginx_listen import default_servers, servers_for
from authgw.doctor.nginx_parser import Block, Directive
from authgw.doctor.nginx_recipe import Recipe
from authgw.doctor.nginx_site import (
    NginxSite,
    check_uris,
    is_protected,
    is_to_gateway,
    is_unreachable,
    location_for,
    upstream_of,
)

_LOCAL = ("127.0.0.1", "localhost", "[::1]")
_REMEDY = "In it, after protect.conf, add: include authgw/gateway.conf;"


def examine(site: NginxSite, recipe: Recipe) -> Iterator[Finding]:
    """Check the whole configuration."""
    yield from _upstreams(site, recipe)
    yield from _login_pages(site, recipe)
    yield from _default_servers(site)
    roots = sorted({page.root for page in recipe.settings.login.sites.all} | {""})
    for server in site.servers:
        try:
            yield from _published(site, server, roots)
        except re.error as error:
            what = f"a location's regular expression cannot be read here ({error})"
            yield unchecked(
                server, f"{what}: which of the gateway's paths are public is not known."
            )
        for block in server.every():
            if block.name == "location" and _is_published(site, block):
                yield from _sent(block, recipe)


def _is_published(site: NginxSite, location: Block) -> bool:
    return (
        is_to_gateway(site, location)
        and not is_unreachable(location)
        and not any(location is check for check in site.checks)
    )


def _upstreams(site: NginxSite, recipe: Recipe) -> Iterator[Finding]:
    known = {block.args[0]: block for block in site.top.every() if block.name == "upstream"}
    passes = [each for block in site.top.every() for each in block.named("proxy_pass")]
    for name in sorted(site.gateways):
        block = known.get(name)
        lines = [each for each in passes if upstream_of(each) == name]
        if block is not None:
            for each in block.named("server"):
                yield from _address(each, each.args[0], recipe)
            if not block.named("keepalive"):
                yield _keeps_none(block, name)
        elif lines:
            yield from _address(lines[0], name, recipe)
            yield _keeps_none(lines[0], name)


def _keeps_none(at: Block | Directive, name: str) -> Finding:
    remedy = f"Write: upstream authgw {{ server {name}; keepalive 128; }}"
    if isinstance(at, Block):
        remedy = "Add to it: keepalive 128;"
    return fault(at, f"upstream {name} keeps no connections.", remedy)


def _address(line: Directive, address: str, recipe: Recipe) -> Iterator[Finding]:
    """Compare the address of a gateway with the configuration's."""
    server = recipe.settings.server
    decides = "whatever listens there decides who gets in"
    write = "or run `authgw nginx write DIR` and copy its upstream.conf here."
    if "$" in address:
        yield unchecked(line, f"which gateway {address} is, is not known.")
    elif address.startswith("unix:"):
        if address.removeprefix("unix:") != server.socket:
            has = f"has server.socket {server.socket}" if server.socket else "has no server.socket"
            yield hole(
                line,
                f"the gateway is sought at {address}, and the configuration {has}: {decides}.",
                f"Set server.socket: {address.removeprefix('unix:')} in the configuration, {write}",
            )
    else:
        host, _, port = (
            address.rpartition(":") if re.search(r":\d+$", address) else (address, "", "80")
        )
        if int(port) != server.port:
            yield hole(
                line,
                f"the gateway is sought at port {port}, and the configuration has server.port "
                f"{server.port}: {decides}.",
                f"Write {host}:{server.port}, {write}",
            )


def _login_pages(site: NginxSite, recipe: Recipe) -> Iterator[Finding]:
    for page in recipe.settings.login.sites.all:
        if not page.is_ours:
            continue
        port = urlsplit(page.url).port
        found = [server for server in servers_for(site, page.host, port) if _serves(server)]
        if not found:
            if site.servers:
                what = f"no server here serves {page.host}, the host of login.url"
                yield unchecked(site.top, f"{what}: its login page is not checked.")
            continue
        paths = [page.root + each.path for each in ENDPOINTS if Audience.PUBLIC in each.audience]
        for server in found:
            yield from _page(site, server, page.url, paths)


def _serves(server: Block) -> bool:
    """Return true if requests to the server are answered with more than a status or redirect."""
    return not server.named("return") and bool(
        check_uris(server) or any(block.name == "location" for block in server.below)
    )


def _page(site: NginxSite, server: Block, url: str, paths: list[str]) -> Iterator[Finding]:
    lost: dict[Block, list[str]] = {}
    for path in paths:
        try:
            location = location_for(server, _sample(path)) or server
        except re.error:
            return  # reported where published paths are checked
        if location.named("return") and not is_protected(location):
            return  # a redirect, to https above all
        if not _is_published(site, location):
            lost.setdefault(location, []).append(path)
    if sum(map(len, lost.values())) == len(paths):
        what = (
            f"this server is that of login.url {url}, and does not publish the gateway: nobody can "
        )
        yield problem(server, what + "log in.", _REMEDY)
        return
    for location, missing in lost.items():
        yield problem(
            location,
            f"{location} takes {', '.join(missing)} from the gateway: passwords and tokens of "
            "people who log in go there."
            if location is not server and "/login" in " ".join(missing)
            else f"{', '.join(missing)} of the gateway is not published on the host of login.url.",
            f"Rename the location. {_REMEDY}" if location is not server else _REMEDY,
        )


def _sample(path: str) -> str:
    return re.sub(r"\{\w+\}", "x", path)


def _published(site: NginxSite, server: Block, roots: list[str]) -> Iterator[Finding]:
    """Check that no path is published that is not for the public."""
    found: dict[Block, list[str]] = {}
    for endpoint in ENDPOINTS:
        if Audience.PUBLIC in endpoint.audience or endpoint.path == "/metrics":
            continue
        for path in _samples(endpoint, roots):
            location = location_for(server, path)
            if location is None or not _is_published(site, location) or is_protected(location):
                continue
            if endpoint.path not in found.get(location, ()):
                found.setdefault(location, []).append(endpoint.path)
    for location, paths in found.items():
        yield hole(
            location,
            f"{location} publishes {', '.join(paths)}, which are for backends, operators or "
            "proxies only.",
            "Write: include authgw/gateway.conf; in its place.",
        )


def _samples(endpoint: Endpoint, roots: list[str]) -> Iterator[str]:
    for root in roots:
        yield root + _sample(endpoint.path)
        if endpoint.prefix:
            yield root + _sample(endpoint.path) + "/x"


def _sent(block: Block, recipe: Recipe) -> Iterator[Finding]:
    """Check that a client says nothing to the gateway that only a proxy may say."""
    lines = [each for each in block.inherited("proxy_set_header") if len(each.args) > 1]
    for header, value in recipe.published.items():
        found = [each for each in lines if each.args[0].lower() == header]
        right = found and all(each.args[1] == value for each in found)
        if header in _HARMLESS or right:
            continue
        yield hole(
            found[0] if found else block,
            f"{block} lets a client's own {header.title()} reach the gateway, which believes it.",
            f"Add to it: proxy_set_header {header.title()} {value or _EMPTY};",
        )
        return
    yield from _host(block, [each for each in lines if each.args[0].lower() == "host"])


def _host(block: Block, found: list[Directive]) -> Iterator[Finding]:
    values = [each.args[1] for each in found]
    right = "Write: proxy_set_header Host $authgw_authority;"
    if values == ["$http_host"]:
        yield outdated_host(block, found[0], right)
    elif values not in (["$host"], ["$authgw_authority"]):
        what = f"{block} does not send the Host that the client named: nobody can log in."
        yield problem(found[0] if found else block, what, right)


_HARMLESS = ("connection", "upgrade", "x-request-id", "host")
_EMPTY = '""'


def _default_servers(site: NginxSite) -> Iterator[Finding]:
    for address, server, is_named in default_servers(site):
        if server.named("return") or any(
            each.args == ("on",) for each in server.named("ssl_reject_handshake")
        ):
            continue
        which = "default_server" if is_named else "first server"
        yield fault(
            server,
            f"a Host that no server claims reaches this one, the {which} of {address}: rules "
            "about hosts mean nothing where any Host is taken.",
            f"Write: server {{ listen {address} default_server; return 421; }}",
        )
