"""Checks for bypasses: unchecked content, or content other than that of the checked request."""

import re
from collections.abc import Iterator

from authgw.doctor.nginx_findings import Finding, fault, hole, unchecked
from authgw.doctor.nginx_parser import Block, Directive
from authgw.doctor.nginx_site import (
    NginxSite,
    find_pass,
    is_declared_public,
    is_protected,
    is_unreachable,
    location_for,
    passes_to_gateway,
    pattern_of,
)
from authgw.doctor.nginx_values import variables_in

_REDIRECTS = ("redirect", "permanent")
# Statuses that NGINX itself can set only after the check; clients can provoke all others before it.
_POST_CHECK_STATUSES = frozenset({"404", "410", "502", "504"})
_CLIENT_CHOSEN = re.compile(r"(http|arg|cookie)_\w+|request_body")
_FILE_DIRECTIVES = ("root", "alias", "try_files", "index")
# Directives that make NGINX respond with something other than a file.
_CONTENT_DIRECTIVES = re.compile(
    r"\w+_pass|return|rewrite|stub_status|empty_gif|perl|js_content|echo\w*|content_by_lua\w*|api"
)
_INTERCEPTED = frozenset({"401", "403", "500"})


def examine(site: NginxSite, server: Block, block: Block) -> Iterator[Finding]:
    """Check a location, or another block of a server that can produce a response."""
    if is_protected(block) and not is_unreachable(block):
        yield from _early_responses(block)
        yield from _admission(site, server, block)
    if not is_unreachable(block):
        yield from _rewrites(server, block)
    yield from _files(block)
    yield from _subrequests(block)


def examine_pass(block: Block, pass_line: Directive) -> Iterator[Finding]:
    """Check that an app is reached only after a check, by the path and method that were checked."""
    if not block.inherited("auth_request"):
        yield hole(
            block,
            f"{block} passes requests on without a check by the gateway.",
            "In its server add: include authgw/protect.conf;",
        )
    yield from _pass_target(pass_line)
    yield from _error_pages(block)
    yield from _cache(block, pass_line)
    for each in block.inherited(f"{pass_line.name.removesuffix('_pass')}_method"):
        yield hole(
            each,
            f"{each}: the app gets another method than the gateway checked.",
            "Remove it.",
        )


def _pass_target(pass_line: Directive) -> Iterator[Finding]:
    address = pass_line.args[0]
    names = variables_in(address)
    if {"uri", "document_uri"} & set(names):
        yield hole(
            pass_line,
            f"{pass_line} sends the path decoded, and the gateway checks it encoded.",
            "Write it without $uri.",
        )
        return
    server = re.split(r"/|\?|\$request_uri", re.sub(r"^\w+://", "", address))[0]
    chosen = [
        name for name in variables_in(server) if _CLIENT_CHOSEN.fullmatch(name) or name == "host"
    ]
    if chosen:
        yield hole(
            pass_line,
            f"{pass_line}: a client chooses by ${chosen[0]} the server that receives the request "
            "and the identity.",
            "Write the name of the server.",
        )
    elif pass_line.name == "proxy_pass" and _has_path(address):
        yield hole(
            pass_line,
            f"{pass_line} has a URI part, so that NGINX decodes the path that the gateway checks "
            "encoded.",
            f"Write: proxy_pass {_without_path(address)};",
        )


def _has_path(address: str) -> bool:
    return _without_path(address) != address


def _without_path(address: str) -> str:
    scheme, mark, rest = address.partition("://")
    if not mark:
        return address
    if rest.startswith("unix:"):
        return f"{scheme}://unix:{rest.removeprefix('unix:').partition(':')[0]}"
    return f"{scheme}://{rest.partition('/')[0]}"


def _error_pages(block: Block) -> Iterator[Finding]:
    if not is_protected(block):
        return
    own = block.named("error_page")
    statuses = {code for each in block.inherited("error_page") for code in each.args[:-1]}
    if own and "401" not in statuses:
        yield fault(
            own[0],
            f"{block} has an error_page of its own, which discards those of protect.conf.",
            "Add to it: error_page 401 = @authgw_401; error_page 403 = @authgw_403; "
            "error_page 500 = @authgw_500;",
        )
    for prefix in ("proxy", "fastcgi", "uwsgi", "scgi", "grpc"):
        for each in block.inherited(f"{prefix}_intercept_errors"):
            if each.args == ("on",) and statuses & _INTERCEPTED:
                yield fault(
                    each,
                    f"{each}: if the app itself responds with 401, 403 or 500, users see a "
                    "refusal of the gateway.",
                    "Remove it, or give this location error_page lines of its own.",
                )


def _cache(block: Block, pass_line: Directive) -> Iterator[Finding]:
    prefix = pass_line.name.removesuffix("_pass")
    cache = block.inherited(f"{prefix}_cache")
    if not cache or cache[0].args == ("off",) or not is_protected(block):
        return
    key = block.inherited(f"{prefix}_cache_key")
    conditions = [block.inherited(f"{prefix}_{name}") for name in ("cache_bypass", "no_cache")]
    if (key and "authgw_user" in variables_in(" ".join(key[0].args))) or all(
        any("authgw_user" in variables_in(" ".join(each.args)) for each in lines)
        for lines in conditions
    ):
        return
    yield hole(
        key[0] if key else cache[0],
        f"{cache[0]}: the response of an app to a user is cached and sent to other users.",
        f"Write: {prefix}_cache off; or begin {prefix}_cache_key with $authgw_user.",
    )


def _early_responses(block: Block) -> Iterator[Finding]:
    for each in block.named("return", "rewrite"):
        responds = each.args[-1] in _REDIRECTS
        if each.name == "return":
            responds = not _is_refusal(block, each)
        if responds:
            yield hole(
                each,
                f"{each} responds before the check by the gateway.",
                "Remove it, or write `auth_request off;` next to it if this is intended.",
            )


def _is_refusal(block: Block, directive: Directive) -> bool:
    """Return True if `return` sends a 4xx or 5xx without a body.

    A page for a post-check status would replace it, and is not examined elsewhere.
    """
    code = directive.args[0]
    if len(directive.args) > 1 or not re.fullmatch(r"[45]\d\d", code):
        return False
    pages = block.inherited("error_page")
    return code not in _POST_CHECK_STATUSES or not any(code in page.args[:-1] for page in pages)


def _rewrites(server: Block, block: Block) -> Iterator[Finding]:
    for each in block.named("rewrite"):
        if len(each.args) < 2 or each.args[-1] in _REDIRECTS:
            continue
        if re.match(r"https?://|\$scheme", each.args[1]):
            if is_protected(block):
                yield hole(
                    each,
                    f"{each} responds before the check by the gateway.",
                    "Remove it, or write `auth_request off;` next to it if this is intended.",
                )
            continue
        path = re.sub(r"\$\w+", "x", each.args[1].partition("?")[0])
        target = None if each.args[-1] == "break" else _target(server, path)
        if is_protected(block):
            if target is not None and is_declared_public(target) and is_unreachable(target):
                message = (
                    f"leads, without a check by the gateway, to {target}, which clients cannot "
                    "request."
                )
            else:
                message = "serves another path than the gateway checked."
        elif target is not None and is_protected(target):
            message = f"leads to {target}, and the gateway checks the path before this change."
        else:
            continue
        yield hole(
            each,
            f"{each} {message}",
            "Let the app serve the path that clients request, and remove it.",
        )


def _target(server: Block, path: str) -> Block | None:
    try:
        return location_for(server, path)
    except re.error:
        return None


def _admission(site: NginxSite, server: Block, block: Block) -> Iterator[Finding]:
    for each in block.inherited("satisfy"):
        if each.args == ("any",):
            yield hole(
                each,
                "satisfy any allows what either the gateway or an address rule allows.",
                "Write: satisfy all;",
            )
    for each in block.named("error_page"):
        if not set(each.args[:-1]) <= _POST_CHECK_STATUSES:
            yield from _error_page_bypass(site, server, each)


def _error_page_bypass(site: NginxSite, server: Block, page: Directive) -> Iterator[Finding]:
    target = page.args[-1]
    for other in server.walk():
        if other.name != "location" or other.args[-1] != target or not target.startswith("@"):
            continue
        if is_protected(other) or passes_to_gateway(site, other):
            continue
        pass_line = find_pass(other)
        files = other.named("root", "alias") and not other.named("try_files", "return")
        if pass_line is None and not files:
            continue
        yield hole(
            page,
            f"{page} sends refused requests to {target}, which "
            f"{'passes them on' if pass_line else 'serves them the file'}: statuses other than "
            "404, 410, 502 and 504 can occur before the check.",
            f"Remove `auth_request off;` in location {target}, or write error_page as "
            "protect.conf does.",
        )


def _files(block: Block) -> Iterator[Finding]:
    """Check directives that serve files."""
    for each in block.named(*_FILE_DIRECTIVES):
        chosen = [
            name for name in variables_in(" ".join(each.args)) if _CLIENT_CHOSEN.fullmatch(name)
        ]
        if chosen and block.inherited("auth_request"):
            yield hole(
                each,
                f"{each}: a client chooses by ${chosen[0]} a file other than the path that was "
                "checked.",
                "Write it without this variable.",
            )
    alias = block.named("alias")
    if alias and block.name == "location":
        modifier, path = pattern_of(block)
        if modifier in ("", "^~") and alias[0].args[0].endswith("/") and not path.endswith("/"):
            yield hole(
                alias[0],
                f"{alias[0]}: {path}../ leads out of the directory without a dot segment in the "
                "path.",
                f"Write: {block}/",
            )
    if not block.inherited("auth_request"):
        yield from _undeclared_files(block)


def _undeclared_files(block: Block) -> Iterator[Finding]:
    """Check files and WebDAV methods in blocks without `auth_request`, not even `off`."""
    methods = [each for each in block.inherited("dav_methods") if each.args != ("off",)]
    if methods and block.name == "location":
        yield hole(
            methods[0],
            f"{block} accepts files from any client without a check by the gateway.",
            "In its server add: include authgw/protect.conf;",
        )
        return
    has_locations = any(each.name == "location" for each in block.children)
    is_alone = block.name == "server" and not has_locations
    responds = [each for each in block.directives if _CONTENT_DIRECTIVES.fullmatch(each.name)]
    is_reachable = block.name == "location" and not is_unreachable(block)
    refuses = any(each.args == ("on",) for each in block.named("ssl_reject_handshake"))
    if (is_alone or is_reachable) and not responds and not refuses:
        yield fault(
            block,
            f"{block} serves files without a check by the gateway.",
            "In its server add include authgw/protect.conf; or write `auth_request off;` here if "
            "this is intended.",
        )


def _subrequests(block: Block) -> Iterator[Finding]:
    """Check content that NGINX includes in a response: subrequests are not authorized."""
    for each in (*block.inherited("add_before_body"), *block.inherited("add_after_body")):
        if each.args[0]:
            yield hole(
                each,
                f"{each} includes this in responses without a check by the gateway.",
                "Remove it.",
            )
    for each in block.inherited("ssi"):
        if each.args == ("on",):
            yield hole(
                each,
                "ssi on: the text of a response can include any location, without a check by the "
                "gateway.",
                "Write: ssi off;",
            )
    for prefix in ("proxy", "fastcgi", "uwsgi", "scgi"):
        for each in block.named(f"{prefix}_store"):
            if each.args != ("off",):
                yield unchecked(
                    each,
                    f"{each} stores responses as files; the doctor cannot tell who can read them.",
                )
