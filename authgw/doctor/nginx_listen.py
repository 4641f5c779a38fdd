"""Find the server of a request as NGINX does: by address and port, then by name."""

import re
from collections.abc import Iterator

from authgw.doctor.nginx_parser import Block
from authgw.doctor.nginx_site import NginxSite, check_uris

_DEFAULT = ("default_server", "default")


def default_servers(site: NginxSite) -> Iterator[tuple[str, Block, bool]]:
    """Iterate over addresses with a protected server: default server, and if it is declared."""
    for address, servers in _addresses(site).items():
        if not any(check_uris(server) for server in servers):
            continue
        named = [server for server in servers if _is_default(server, address)]
        yield address, (named or servers)[0], bool(named)


def servers_for(site: NginxSite, host: str, port: int | None) -> list[Block]:
    """Return the servers that can be chosen for a host, one for each address.

    Those that listen on this port, if there are any: in front of NGINX can be something else.
    """
    addresses = _addresses(site)
    same = {name: each for name, each in addresses.items() if name.endswith(f":{port}")}
    found: dict[int, Block] = {}
    for address, servers in (same or addresses).items():
        named = [server for server in servers if _is_default(server, address)]
        server = _claiming(servers, host) or (named or servers)[0]
        found[id(server)] = server
    return list(found.values())


def _addresses(site: NginxSite) -> dict[str, list[Block]]:
    found: dict[str, list[Block]] = {}
    for server in site.servers:
        addresses = [_canonical(each.args[0]) for each in server.named("listen")]
        for address in dict.fromkeys(addresses or ["*:80"]):
            found.setdefault(address, []).append(server)
    return found


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


def _claiming(servers: list[Block], host: str) -> Block | None:
    """Return the server whose name matches best (ngx_http_core_module, server_name)."""
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
    """Return how well a name matches, the smaller the better; None if it does not."""
    if name == host:
        return 0, 0
    if name.startswith(("*.", ".")):
        end = name.lstrip("*")
        if host.endswith(end) or (name.startswith(".") and host == name[1:]):
            return 1, -len(name)
    if name.endswith(".*") and host.startswith(name[:-1]):
        return 2, -len(name)
    if name.startswith("~"):
        try:
            return (3, 0) if re.search(name[1:].replace("(?<", "(?P<"), host) else None
        except re.error:
            return None
    return None
