"""Checks of the way to the gateway itself: upstream, login pages, paths, default servers."""

import re
from collections.abc import Iterator
from urllib.parse import urlsplit

from authgw.core.endpoints import ENDPOINTS, Audience, Endpoint, published_paths
from authgw.doctor.nginx_findings import Finding, fault, hole, problem, unchecked
from authgw.doctor.nginx_identity import outdated_host
from authgw.doctor.nginx_listen import default_servers, servers_for
from authgw.doctor.nginx_parser import Block, Directive
from authgw.doctor.nginx_recipe import Recipe
from authgw.doctor.nginx_site import (
    NginxSite,
    check_uris,
    find_pass,
    is_protected,
    is_unreachable,
    location_for,
    passes_to_gateway,
    upstream_of,
)

_REMEDY = "In it, after protect.conf, add: include authgw/gateway.conf;"
_REDIRECT_STATUSES = ("301", "302", "303", "307", "308")


def examine(site: NginxSite, recipe: Recipe) -> Iterator[Finding]:
    """Check upstreams, login pages, default servers and published paths of all servers."""
    yield from _upstreams(site, recipe)
    yield from _login_pages(site, recipe)
    yield from _default_servers(site)
    roots = sorted({page.root for page in recipe.settings.login.sites.all} | {""})
    for server in site.servers:
        try:
            yield from _published_paths(site, server, roots)
        except re.error as error:
            message = f"a location's regular expression cannot be read here ({error})"
            yield unchecked(
                server,
                f"{message}: the doctor cannot tell which of the gateway's paths are public.",
            )
        for block in server.walk():
            if block.name == "location" and _is_published(site, block):
                yield from _published_headers(block, recipe)


def _is_published(site: NginxSite, location: Block) -> bool:
    return (
        passes_to_gateway(site, location)
        and not is_unreachable(location)
        and not any(location is check for check in site.checks)
    )


def _upstreams(site: NginxSite, recipe: Recipe) -> Iterator[Finding]:
    upstreams = {block.args[0]: block for block in site.top.walk() if block.name == "upstream"}
    passes = [each for block in site.top.walk() for each in block.named("proxy_pass")]
    for name in sorted(site.gateways):
        block = upstreams.get(name)
        lines = [each for each in passes if upstream_of(each) == name]
        if block is not None:
            for each in block.named("server"):
                yield from _compare_address(each, each.args[0], recipe)
            if not block.named("keepalive"):
                yield _without_keepalive(block, name)
        elif lines:
            yield from _compare_address(lines[0], name, recipe)
            yield _without_keepalive(lines[0], name)


def _without_keepalive(at: Block | Directive, name: str) -> Finding:
    remedy = f"Write: upstream authgw {{ server {name}; keepalive 128; }}"
    if isinstance(at, Block):
        remedy = "Add to it: keepalive 128;"
    return fault(at, f"upstream {name} keeps no connections.", remedy)


def _compare_address(line: Directive, address: str, recipe: Recipe) -> Iterator[Finding]:
    """Compare the address of a gateway with that of the configuration."""
    server = recipe.settings.server
    consequence = "the server there decides about access"
    alternative = "or run `authgw nginx write DIR` and copy its upstream.conf here."
    if "$" in address:
        yield unchecked(line, f"the doctor cannot tell which gateway {address} is.")
    elif address.startswith("unix:"):
        if address.removeprefix("unix:") != server.socket:
            has = f"has server.socket {server.socket}" if server.socket else "has no server.socket"
            yield hole(
                line,
                f"NGINX connects to {address}, and the configuration {has}: {consequence}.",
                f"Set server.socket: {address.removeprefix('unix:')} in the configuration, "
                f"{alternative}",
            )
    else:
        host, _, port = (
            address.rpartition(":") if re.search(r":\d+$", address) else (address, "", "80")
        )
        if int(port) != server.port:
            yield hole(
                line,
                f"NGINX connects to port {port}, and the configuration has server.port "
                f"{server.port}: {consequence}.",
                f"Write {host}:{server.port}, {alternative}",
            )


def _login_pages(site: NginxSite, recipe: Recipe) -> Iterator[Finding]:
    for page in recipe.settings.login.sites.all:
        if not page.is_ours:
            continue
        port = urlsplit(page.url).port
        servers = [each for each in servers_for(site, page.host, port) if _serves_content(each)]
        if not servers:
            if site.servers:
                message = f"no server here serves {page.host}, the host of login.url"
                yield unchecked(site.top, f"{message}: its login page is not checked.")
            continue
        paths = [page.root + path for path in published_paths(own_host=False)]
        for server in servers:
            yield from _login_page(site, server, page.url, paths)
            if recipe.settings.login.self_service:
                yield from _apps(site, server, page.url)


def _serves_content(server: Block) -> bool:
    """Return True if the server responds with more than a status or a redirect."""
    return not server.named("return") and bool(
        check_uris(server) or any(block.name == "location" for block in server.children)
    )


def _login_page(site: NginxSite, server: Block, url: str, paths: list[str]) -> Iterator[Finding]:
    unpublished: dict[Block, list[str]] = {}
    for path in paths:
        try:
            location = location_for(server, _sample(path)) or server
        except re.error:
            return  # reported where published paths are checked
        if _redirects(location) and not is_protected(location):
            return  # to https above all
        if not _is_published(site, location):
            unpublished.setdefault(location, []).append(path)
    if sum(map(len, unpublished.values())) == len(paths):
        message = (
            f"this server is that of login.url {url}, and does not publish the gateway, so that no "
            "user can "
        )
        yield problem(server, message + "log in.", _REMEDY)
        return
    for location, missing in unpublished.items():
        yield problem(
            location,
            f"{location} takes {', '.join(missing)} from the gateway: it receives the passwords "
            "and tokens of users who log in."
            if location is not server and "/login" in " ".join(missing)
            else f"{', '.join(missing)} of the gateway is not published on the host of login.url.",
            f"Rename the location. {_REMEDY}" if location is not server else _REMEDY,
        )
    if location_for(server, "/") is None and not server.named("root"):
        message = f"/ on the host of login.url {url} is NGINX's own page, not the account page."
        yield fault(server, message, "After gateway.conf, add: include authgw/login-host.conf;")


def _apps(site: NginxSite, server: Block, url: str) -> Iterator[Finding]:
    """Report locations of apps on a login host whose account page changes links."""
    for block in server.walk():
        is_app = block.name == "location" and find_pass(block) is not None
        if is_app and not passes_to_gateway(site, block) and not is_unreachable(block):
            yield hole(
                block,
                f"{block} leads to an app on the host of login.url {url}, whose scripts could link "
                "accounts to its users (login.self_service).",
                "Move the app or login.url to a host of its own, or remove login.self_service.",
            )


def _redirects(location: Block) -> bool:
    """Return True if the location returns a redirect (`return URL`, or a status and a URL)."""
    values = [each.args[0] for each in location.named("return")]
    return any(value in _REDIRECT_STATUSES or not value.isdigit() for value in values)


def _sample(path: str) -> str:
    return re.sub(r"\{\w+\}", "x", path)


def _published_paths(site: NginxSite, server: Block, roots: list[str]) -> Iterator[Finding]:
    """Check that only public paths are published."""
    published: dict[Block, list[str]] = {}
    for endpoint in ENDPOINTS:
        if Audience.PUBLIC in endpoint.audience or endpoint.path == "/metrics":
            continue
        for path in _samples(endpoint, roots):
            location = location_for(server, path)
            if location is None or not _is_published(site, location) or is_protected(location):
                continue
            if endpoint.path not in published.get(location, ()):
                published.setdefault(location, []).append(endpoint.path)
    for location, paths in published.items():
        yield hole(
            location,
            f"{location} publishes {', '.join(paths)}, which are for backends, operators or "
            "proxies only.",
            "Write: include authgw/gateway.conf; instead.",
        )


def _samples(endpoint: Endpoint, roots: list[str]) -> Iterator[str]:
    for root in roots:
        yield root + _sample(endpoint.path)
        if endpoint.prefix:
            yield root + _sample(endpoint.path) + "/x"


def _published_headers(block: Block, recipe: Recipe) -> Iterator[Finding]:
    """Check that clients cannot send the gateway headers that only a proxy may send."""
    lines = [each for each in block.inherited("proxy_set_header") if len(each.args) > 1]
    for header, value in recipe.published_headers.items():
        sent = [each for each in lines if each.args[0].lower() == header]
        is_correct = sent and all(each.args[1] == value for each in sent)
        if header in _NEUTRAL_HEADERS or is_correct:
            continue
        yield hole(
            sent[0] if sent else block,
            f"{block} lets a client's own {header.title()} reach the gateway, which trusts it.",
            f"Add to it: proxy_set_header {header.title()} {value or _EMPTY};",
        )
        return
    yield from _host(block, [each for each in lines if each.args[0].lower() == "host"])


def _host(block: Block, sent: list[Directive]) -> Iterator[Finding]:
    values = [each.args[1] for each in sent]
    remedy = "Write: proxy_set_header Host $authgw_authority;"
    if values == ["$http_host"]:
        yield outdated_host(block, sent[0], remedy)
    elif values not in (["$host"], ["$authgw_authority"]):
        message = f"{block} does not send the client's Host, so that no user can log in."
        yield problem(sent[0] if sent else block, message, remedy)


_NEUTRAL_HEADERS = ("connection", "upgrade", "x-request-id", "host")
_EMPTY = '""'


def _default_servers(site: NginxSite) -> Iterator[Finding]:
    for address, server, is_declared in default_servers(site):
        if server.named("return") or any(
            each.args == ("on",) for each in server.named("ssl_reject_handshake")
        ):
            continue
        which = "default_server" if is_declared else "first server"
        yield fault(
            server,
            f"a Host that no server_name has reaches this server, the {which} of {address}: "
            "rules for hosts have no effect where every Host is accepted.",
            f"Write: server {{ listen {address} default_server; return 421; }}",
        )
