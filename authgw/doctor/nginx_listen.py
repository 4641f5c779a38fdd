"""NGINX's choice of a server for a request: by address and port, then by name."""

import re
from collections.abc import Iterator

from authgw.doctor.nginx_parser import Block
from authgw.doctor.nginx_site import NginxSite, check_uris

_DEFAULT = ("default_server", "default")


def default_servers(site: NginxSite) -> Iterator[tuple[str, Block, bool]]:
    """Iterate over the addresses on which a protected server listens.

    Each item holds the address, its default server, and True if `default_server` declares it.
    """
    for address, servers in _addresses(site).items():
        if not any(check_uris(server) for server in servers):
            continue
        declared = [server for server in servers if _is_default(server, address)]
        yield address, (declared or servers)[0], bool(declared)


def servers_for(site: NginxSite, host: str, port: int | None) -> list[Block]:
    """Return the servers that NGINX can choose for a host, over all addresses.

    Only addresses with this port count, if there are any. Otherwise all count, because a load
    balancer in front of NGINX may listen on the port.
    """
    addresses = _addresses(site)
    on_port = {name: each for name, each in addresses.items() if name.endswith(f":{port}")}
    chosen: dict[int, Block] = {}
    for address, servers in (on_port or addresses).items():
        declared = [server for server in servers if _is_default(server, address)]
        server = _best_match(servers, host) or (declared or servers)[0]
        chosen[id(server)] = server
    return list(chosen.values())


def _addresses(site: NginxSite) -> dict[str, list[Block]]:
    by_address: dict[str, list[Block]] = {}
    for server in site.servers:
        addresses = [_canonical(each.args[0]) for each in server.named("listen")]
        for address in dict.fromkeys(addresses or ["*:80"]):
            by_address.setdefault(address, []).append(server)
    return by_address


def _canonical(listen: str) -> str:
    if listen.isdecimal():
        return f"*:{listen}"
    if listen.startswith("unix:") or re.search(r":\d+$", listen):
        return listen
    return f"{listen}:80"


def _is_default(server: Block, address: str) -> bool:
    return any(
        _canonical(each.args[0]) == address and set(_DEFAULT) & set(each.args[1:])
        for each in server.named("listen")
    )


def _best_match(servers: list[Block], host: str) -> Block | None:
    """Return the server with the best match among its names (ngx_http_core_module, server_name)."""
    ranked = [
        (rank, number, server)
        for number, server in enumerate(servers)
        for each in server.named("server_name")
        for name in each.args
        for rank in [_rank(name.lower(), host)]
        if rank is not None
    ]
    return min(ranked, key=lambda each: each[:2])[2] if ranked else None


def _rank(name: str, host: str) -> tuple[int, int] | None:
    """Return the rank of a name's match (smaller is better), or None without a match."""
    if name == host:
        return 0, 0
    if name.startswith(("*.", ".")):
        suffix = name.lstrip("*")
        if host.endswith(suffix) or (name.startswith(".") and host == name[1:]):
            return 1, -len(name)
    if name.endswith(".*") and host.startswith(name[:-1]):
        return 2, -len(name)
    if name.startswith("~"):
        try:
            return (3, 0) if re.search(name[1:].replace("(?<", "(?P<"), host) else None
        except re.error:
            return None
    return None
