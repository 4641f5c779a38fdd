"""What is wrong with an NGINX configuration (the output of `nginx -T`) that asks this gateway.

What nginx inherits it inherits whole: a level with one `proxy_set_header` or `error_page` of its
own forgets all of those above it (ngx_http_proxy_module, ngx_http_core_module).
"""

import re
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import crossplane

_FILE = re.compile(r"^# configuration file (?P<name>.+):$", re.MULTILINE)
_INCLUDE = re.compile(r"^(\s*(?:.*[;{]\s*)?include\s+)([^;\s]+)", re.MULTILINE)
_ORIGINAL = {
    "X-Original-URL": "$scheme://$http_host$request_uri",
    "X-Original-Host": "$host",
    "X-Original-Method": "$request_method",
}
_IDENTITY = ("Remote-User", "Remote-Groups", "Remote-Email", "Remote-Name")
_PASSES = ("proxy_pass", "fastcgi_pass", "uwsgi_pass", "scgi_pass", "grpc_pass")


class DumpRefused(ValueError):
    """A file that is not the output of `nginx -T`; the message says why."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What is wrong, where, and the line to write; a hole lets somebody in."""

    file: str
    line: int
    what: str
    remedy: str
    hole: bool

    def __str__(self) -> str:
        kind = "hole" if self.hole else "fault"
        return f"{self.file}:{self.line}: {kind}: {self.what} {self.remedy}"


@dataclass(slots=True)
class _Block:
    """One block of the configuration with the directives that stand in it."""

    file: str
    line: int
    name: str
    args: list[str]
    above: "_Block | None" = None
    own: list[dict[str, Any]] = field(default_factory=list)
    below: "list[_Block]" = field(default_factory=list)

    def named(self, directive: str) -> list[dict[str, Any]]:
        return [one for one in self.own if one["directive"] == directive]

    def inherited(self, directive: str) -> list[dict[str, Any]]:
        """This level's, else those of the nearest level above that has any."""
        here = self.named(directive)
        return here or (self.above.inherited(directive) if self.above else [])

    def every(self) -> "Iterator[_Block]":
        yield self
        for block in self.below:
            yield from block.every()

    def finding(self, what: str, remedy: str, *, hole: bool = True, at: Any = None) -> Finding:
        where = at or {"file": self.file, "line": self.line}
        return Finding(where["file"], where["line"], what, remedy, hole)


def examine(dump: str) -> list[Finding]:
    """Every location that bypasses the gateway or forgets a part of its recipe.

    Raises:
        DumpRefused: it cannot be parsed.
    """
    top = _parsed(dump)
    servers = [block for block in top.every() if block.name == "server" and _is_http(block)]
    gateways = {name for block in top.every() for name in (_asked_of(block),) if name}
    found = []
    for server in servers:
        found += list(_examined(server, gateways))
    found += list(_without_keepalive(top, gateways))
    return sorted(set(found), key=lambda one: (one.file, one.line, one.what))


def _examined(server: _Block, gateways: set[str]) -> Iterator[Finding]:
    asks = {
        one["args"][0]
        for block in server.every()
        for one in block.named("auth_request")
        if one["args"] != ["off"]
    }
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


def _passing(block: _Block, passed: Any) -> Iterator[Finding]:
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
    if passed["directive"] == "proxy_pass" and _has_path(passed["args"][0]):
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


def _answering(block: _Block) -> Iterator[Finding]:
    for one in (*block.named("return"), *block.named("rewrite")):
        if one["directive"] == "return" or one["args"][-1] in ("redirect", "permanent"):
            yield block.finding(
                f"{one['directive']} {' '.join(one['args'])} answers before the gateway is asked.",
                "Remove it, or write `auth_request off;` beside it to say that it is meant.",
                at=one,
            )


def _asking(block: _Block) -> Iterator[Finding]:
    told = {one["args"][0].lower(): one["args"][1] for one in block.inherited("proxy_set_header")}
    for name, value in _ORIGINAL.items():
        if told.get(name.lower()) != value:
            yield block.finding(
                f"location {block.args[-1]} does not send {name} as the gateway needs it.",
                f"Add to it: proxy_set_header {name} {value};",
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


def _without_keepalive(top: _Block, gateways: set[str]) -> Iterator[Finding]:
    for block in top.every():
        if block.name == "upstream" and block.args[0] in gateways and not block.named("keepalive"):
            yield block.finding(
                f"upstream {block.args[0]} keeps no connections.",
                "Add to it: keepalive 128;",
                hole=False,
            )


def _asked_of(block: _Block) -> str:
    """The upstream that this block asks as the gateway, or nothing."""
    for one in block.named("proxy_pass"):
        match = re.fullmatch(r"https?://([^/]+)(/authenticate)?", one["args"][0])
        if match and match[2]:
            return match[1]
    return ""


def _protected(block: _Block) -> bool:
    asked = block.inherited("auth_request")
    return bool(asked) and asked[0]["args"] != ["off"]


def _is_named(block: _Block) -> bool:
    nearest: _Block | None = block
    while nearest is not None and nearest.name != "location":
        nearest = nearest.above
    return nearest is not None and (
        nearest.args[-1].startswith("@") or bool(nearest.named("internal"))
    )


def _is_http(block: _Block) -> bool:
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


def _parsed(dump: str) -> _Block:
    """The whole configuration as one tree, with includes resolved as nginx did."""
    names = [match["name"] for match in _FILE.finditer(dump)]
    if not names:
        raise DumpRefused("is not the output of `nginx -T`: write `nginx -T > FILE` first")
    # Each file begins on the line after the one that names it.
    texts = [text.removeprefix("\n") for text in _FILE.split(dump)[2::2]]
    with tempfile.TemporaryDirectory() as folder:
        mapped = _spread(Path(folder), names, texts)
        payload = crossplane.parse(str(mapped[names[0]]), check_ctx=False, check_args=False)
        back = {str(path): name for name, path in mapped.items()}
        if payload["errors"]:
            raise DumpRefused(str(payload["errors"][0]["error"]).replace(folder, ""))
        files = payload["config"]
        top = _Block(names[0], 0, "main", [])
        _fill(top, files[0]["parsed"], files, files[0]["file"], back)
    return top


def _spread(folder: Path, names: list[str], texts: list[str]) -> dict[str, Path]:
    """Write each file of the dump below a folder, with its includes pointing there."""
    root = Path(names[0]).parent
    mapped = {}
    for name, text in zip(names, texts, strict=True):
        path = folder / name.lstrip("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(_INCLUDE.sub(_moved(folder, root), text))
        mapped[name] = path
    return mapped


def _moved(folder: Path, root: Path) -> Any:
    def move(match: "re.Match[str]") -> str:
        wanted = Path(match[2].strip("\"'"))
        absolute = wanted if wanted.is_absolute() else root / wanted
        return f"{match[1]}{folder}/{str(absolute).lstrip('/')}"

    return move


def _fill(
    block: _Block, parsed: list[Any], files: list[Any], file: str, back: dict[str, str]
) -> None:
    for one in parsed:
        if one["directive"] == "include":
            for index in one.get("includes", ()):
                _fill(block, files[index]["parsed"], files, files[index]["file"], back)
        elif "block" in one:
            below = _Block(back[file], one["line"], one["directive"], one["args"], block)
            block.below.append(below)
            _fill(below, one["block"], files, file, back)
        else:
            block.own.append({**one, "file": back[file]})
