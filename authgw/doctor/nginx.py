"""All checks of an NGINX configuration (the output of `nginx -T`) in front of this gateway.

NGINX inherits directives of one kind all or not at all: a level with one `proxy_set_header` or
`error_page` of its own drops all of the outer levels (ngx_http_proxy_module, ngx_http_core_module).
"""

from collections.abc import Iterator

from authgw.config.schema import Settings
from authgw.doctor import (
    nginx_bypasses,
    nginx_check,
    nginx_gateway,
    nginx_identity,
    nginx_neutral_directives,
    nginx_sessions,
)
from authgw.doctor.nginx_findings import Finding, hole
from authgw.doctor.nginx_parser import Block, parse_dump
from authgw.doctor.nginx_recipe import Recipe, recipe_of
from authgw.doctor.nginx_site import (
    PASS_DIRECTIVES,
    NginxSite,
    check_uris,
    content_blocks,
    passes_to_gateway,
    site_of,
)


def examine(dump: str, settings: Settings) -> list[Finding]:
    """Return all findings in the order of files and lines.

    Raises:
        NginxDumpError: the dump cannot be parsed, or is incomplete.
        OperatorError: a value of the configuration cannot be written into NGINX's.
    """
    site, recipe = site_of(parse_dump(dump)), recipe_of(settings)
    findings = [
        *nginx_gateway.examine(site, recipe),
        *nginx_sessions.examine(site, recipe),
        *nginx_neutral_directives.examine(site),
    ]
    for server in site.servers:
        findings += _server(site, server, recipe)
    return sorted(set(findings), key=lambda each: (each.file, each.line, each.message))


def _server(site: NginxSite, server: Block, recipe: Recipe) -> Iterator[Finding]:
    if check_uris(server):
        yield from _header_spellings(server)
        yield from nginx_check.examine(server, recipe)
    for block in content_blocks(server):
        yield from nginx_bypasses.examine(site, server, block)
        pass_lines = block.named(*PASS_DIRECTIVES)
        if pass_lines and not passes_to_gateway(site, block):
            yield from nginx_bypasses.examine_pass(block, pass_lines[0])
            yield from nginx_identity.examine(block, pass_lines[0], recipe)


def _header_spellings(server: Block) -> Iterator[Finding]:
    for name, value in (("underscores_in_headers", "on"), ("ignore_invalid_headers", "off")):
        for each in server.inherited(name):
            if each.args == (value,):
                yield hole(
                    each,
                    f"with {name} {value} other spellings of our headers reach apps, such as "
                    "Remote_User.",
                    "Remove it.",
                )
