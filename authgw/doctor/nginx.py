"""What is wrong with an NGINX configuration (the output of `nginx -T`) that asks this gateway.

What nginx inherits it inherits whole: a level with one `proxy_set_header` or `error_page` of its
own forgets all of those above it (ngx_http_proxy_module, ngx_http_core_module).
"""

import re
from collections.abc import Iterator
from typing import Any

from authgw.doctor.nginx_tree import Block, Finding, parsed

_ORIGINAL = {
    "X-Original-URL": "$scheme://$http_host$request_uri",
    "X-Original-Host": "$host",
    "X-Original-Method": "$request_method",
}
_IDENTITY = ("Remote-User", "Remote-Groups", "Remote-Email", "Remote-Name")
_PASSES = ("proxy_pass", "fastcgi_pass", "uwsgi_pass", "scgi_pass", "grpc_pass")


def examine(dump: str) -> list[Finding]:
    """Every location that bypasses the gateway or forgets a part of its recipe.

    Raises:
        DumpRefused: it cannot be parsed.
    """
    top = parsed(dump)
    servers = [block for block in top.every() if block.name == "server" and _is_http(block)]
    gateways = {name for block in top.every() for name in (_asked_of(block),) if name}
    found = []
    for server in servers:
        found += list(_examined(server, gateways))
    found += list(_without_keepalive(top, gateways))
    return sorted(set(found), key=lambda one: (one.file, one.line, one.what))


def _examined(server: Block, gateways: set[str]) -> Iterator[Finding]:
    asks = {
        one["args"][0]
        for block in server.every()
        for one in block.named("auth_request")
        if one["args"] != ["off"]
    }
    for name, value in (("underscores_in_headers", "on"), ("ignore_invalid_headers", "off")):
        for one in server.inherited(name):
            if asks and one["args"] == [value]:
                yield server.finding(
                    f"with {name} {value} other spellings of our headers reach apps, such as "
                    "Remote_User.",
                    "Remove it.",
                    at=one,
                )
    for block in server.every():
        if block.name not in ("location", "server", "if", "limit_except"):
            continue
        passes = [one for name in _PASSES for one in block.named(name)]
        if block.name == "location" and block.args[-1] in asks:
            yield from _asking(block)
        elif passes and _upstream(passes[0]) not in gateways:
            yield from _passing(block, passes[0])
        if _protected(block) and not _is_named(block):
            yield from _answering(block)
            yield from _letting_in(block, server, gateways)


def _passing(block: Block, passed: Any) -> Iterator[Finding]:
    where = f"location {' '.join(block.args)}"
    if not block.inherited("auth_request"):
        yield block.finding(
            f"{where} passes requests on without asking the gateway.",
            "In its server add: include authgw/protect.conf;",
        )
    told = {one["args"][0].lower(): one["args"][1:] for one in block.inherited("proxy_set_header")}
    missing = [name for name in _IDENTITY if name.lower() not in told]
    if missing and passed["directive"] == "proxy_pass":
        own = block.named("proxy_set_header")
        discards = "has a proxy_set_header of its own, which discards ours"
        why = discards if own else "tells no identity"
        yield block.finding(
            f"{where} {why}: a client's own {missing[0]} would arrive.",
            "Add to it: include authgw/identity.conf;",
            at=own[0] if own else None,
        )
    yield from _telling(block, passed)
    if re.search(r"\$(document_)?uri\b", passed["args"][0]):
        yield block.finding(
            f"{passed['directive']} {passed['args'][0]} sends the path decoded, which the gateway "
            "saw raw.",
            "Write it without $uri.",
            at=passed,
        )
    elif passed["directive"] == "proxy_pass" and _has_path(passed["args"][0]):
        yield block.finding(
            f"proxy_pass {passed['args'][0]} has a URI part: NGINX decodes the path that the "
            "gateway saw raw.",
            f"Write: proxy_pass {_without_path(passed['args'][0])};",
            at=passed,
        )
    if _protected(block):
        pages = block.inherited("error_page")
        own = block.named("error_page")
        covered = {code for one in pages for code in one["args"][:-1]}
        if own and "401" not in covered:
            yield block.finding(
                f"{where} has an error_page of its own, which discards those of protect.conf.",
                "Add to it: error_page 401 = @authgw_401; error_page 403 = @authgw_403; "
                "error_page 500 = @authgw_500;",
                hole=False,
                at=own[0],
            )


def _telling(block: Block, passed: Any) -> Iterator[Finding]:
    """What an app is told by this location that a client could have made up."""
    where = f"location {' '.join(block.args)}"
    if passed["directive"] != "proxy_pass":
        if not _protected(block):
            yield block.finding(
                f"{where} hands a client's own Remote-User on by {passed['directive']}.",
                "Protect it, or use proxy_pass.",
                at=passed,
            )
        return
    told = {one["args"][0].lower(): one for one in block.inherited("proxy_set_header")}
    ours = {one["args"][0] for one in block.inherited("auth_request_set")} | {""}
    foreign = {
        name: told[name.lower()]
        for name in _IDENTITY
        if name.lower() in told and told[name.lower()]["args"][1] not in ours
    }
    for name, one in foreign.items():
        if one["args"][1].startswith("$authgw_"):
            continue
        yield block.finding(
            f"{where} sends {name} {one['args'][1]}, which no auth_request_set takes from the "
            "gateway's answer.",
            f"Write: proxy_set_header {name} $authgw_{name.removeprefix('Remote-').lower()};",
            at=one,
        )
    own = block.named("auth_request_set")
    if own and any(one["args"][1].startswith("$authgw_") for one in foreign.values()):
        yield block.finding(
            f"{where} has an auth_request_set of its own, which discards those of protect.conf.",
            "Move it to its server.",
            hole=False,
            at=own[0],
        )
    upgrade = told.get("upgrade")
    if upgrade is not None and upgrade["args"][1] == "$http_upgrade":
        yield block.finding(
            f"{where} passes any upgrade on: through one to h2c nothing more would be asked.",
            "Write: proxy_set_header Upgrade $authgw_upgrade;",
            at=upgrade,
        )


def _letting_in(block: Block, server: Block, gateways: set[str]) -> Iterator[Finding]:
    """What lets those in whom the gateway refuses."""
    for one in block.inherited("satisfy"):
        if one["args"] == ["any"]:
            yield block.finding(
                "satisfy any lets in whom either the gateway or an address rule allows.",
                "Write: satisfy all;",
                at=one,
            )
    for one in block.named("error_page"):
        if {"401", "403", "500"} & set(one["args"][:-1]):
            yield from _refused_but_served(block, one, server, gateways)


def _refused_but_served(
    block: Block, page: Any, server: Block, gateways: set[str]
) -> Iterator[Finding]:
    target = page["args"][-1]
    for other in server.every():
        if other.name != "location" or other.args[-1] != target or not target.startswith("@"):
            continue
        passes = [one for name in _PASSES for one in other.named(name)]
        if passes and _upstream(passes[0]) not in gateways and not _protected(other):
            yield block.finding(
                f"error_page leads whom the gateway refuses to {target}, which passes them on.",
                "Write: error_page 401 = @authgw_401; and so on, as in protect.conf.",
                at=page,
            )


def _answering(block: Block) -> Iterator[Finding]:
    for one in (*block.named("return"), *block.named("rewrite")):
        if one["directive"] == "return" or one["args"][-1] in ("redirect", "permanent"):
            yield block.finding(
                f"{one['directive']} {' '.join(one['args'])} answers before the gateway is asked.",
                "Remove it, or write `auth_request off;` beside it to say that it is meant.",
                at=one,
            )


def _asking(block: Block) -> Iterator[Finding]:
    told = {one["args"][0].lower(): one["args"][1] for one in block.inherited("proxy_set_header")}
    for name, value in _ORIGINAL.items():
        if told.get(name.lower()) != value:
            yield block.finding(
                f"location {block.args[-1]} does not send {name} as the gateway needs it.",
                f"Add to it: proxy_set_header {name} {value};",
            )
    if told.get("x-forwarded-for") in (None, "$http_x_forwarded_for"):
        yield block.finding(
            f"location {block.args[-1]} lets a client say which address is its own.",
            "Add to it: proxy_set_header X-Forwarded-For $remote_addr;",
        )
    if not block.named("internal"):
        yield block.finding(
            f"location {block.args[-1]} can be asked from outside.", "Add to it: internal;"
        )
    version = [one["args"][0] for one in block.inherited("proxy_http_version")]
    if version != ["1.1"] or told.get("connection") != "":
        yield block.finding(
            f"location {block.args[-1]} does not keep its connections.",
            'Add to it: proxy_http_version 1.1; proxy_set_header Connection "";',
            hole=False,
        )


def _without_keepalive(top: Block, gateways: set[str]) -> Iterator[Finding]:
    for block in top.every():
        if block.name == "upstream" and block.args[0] in gateways and not block.named("keepalive"):
            yield block.finding(
                f"upstream {block.args[0]} keeps no connections.",
                "Add to it: keepalive 128;",
                hole=False,
            )


def _asked_of(block: Block) -> str:
    """The upstream that this block asks as the gateway, or nothing."""
    for one in block.named("proxy_pass"):
        match = re.fullmatch(r"https?://([^/]+)(/authenticate)?", one["args"][0])
        if match and match[2]:
            return match[1]
    return ""


def _protected(block: Block) -> bool:
    asked = block.inherited("auth_request")
    return bool(asked) and asked[0]["args"] != ["off"]


def _is_named(block: Block) -> bool:
    nearest: Block | None = block
    while nearest is not None and nearest.name != "location":
        nearest = nearest.above
    return nearest is not None and (
        nearest.args[-1].startswith("@") or bool(nearest.named("internal"))
    )


def _is_http(block: Block) -> bool:
    above = block.above
    while above is not None and above.name != "stream":
        above = above.above
    return above is None and block.above is not None and block.above.name == "http"


def _upstream(passed: Any) -> str:
    return re.sub(r"^\w+://", "", passed["args"][0]).partition("/")[0]


def _has_path(address: str) -> bool:
    return "/" in re.sub(r"^\w+://", "", address)


def _without_path(address: str) -> str:
    scheme, _, rest = address.partition("://")
    return f"{scheme}://{rest.partition('/')[0]}"
