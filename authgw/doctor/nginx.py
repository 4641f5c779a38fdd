"""Find what is wrong with an NGINX configuration (the output of `nginx -T`) around this gateway.

NGINX inherits a kind of directive whole or not at all: a level with one `proxy_set_header` or
`error_page` of its own drops all of those above it (ngx_http_proxy_module, ngx_http_core_module).
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
from authgw.doctor.nginx_parser import Block, parsed
from authgw.doctor.nginx_recipe import Recipe, recipe_of
from authgw.doctor.nginx_site import (
    PASSES,
    NginxSite,
    answering_blocks,
    check_uris,
    is_to_gateway,
    site_of,
)


def examine(dump: str, settings: Settings) -> list[Finding]:
    """Return every finding, in the order of files and lines.

    Raises:
        NginxDumpError: the dump cannot be parsed, or is not whole.
        OperatorError: the configuration has a value that NGINX's cannot hold.
    """
    site, recipe = site_of(parsed(dump)), recipe_of(settings)
    found = [
        *nginx_gateway.examine(site, recipe),
        *nginx_sessions.examine(site, recipe),
        *nginx_neutral_directives.examine(site),
    ]
    for server in site.servers:
        found += _server(site, server, recipe)
    return sorted(set(found), key=lambda each: (each.file, each.line, each.what))


def _server(site: NginxSite, server: Block, recipe: Recipe) -> Iterator[Finding]:
    if check_uris(server):
        yield from _spellings(server)
        yield from nginx_check.examine(server, recipe)
    for block in answering_blocks(server):
        yield from nginx_bypasses.examine(site, server, block)
        passed = block.named(*PASSES)
        if passed and not is_to_gateway(site, block):
            yield from nginx_bypasses.passing(block, passed[0])
            yield from nginx_identity.examine(block, passed[0], recipe)


def _spellings(server: Block) -> Iterator[Finding]:
    for name, value in (("underscores_in_headers", "on"), ("ignore_invalid_headers", "off")):
        for each in server.inherited(name):
            if each.args == (value,):
                yield hole(
                    each,
                    f"with {name} {value} other spellings of our headers reach apps, such as "
                    "Remote_User.",
                    "Remove it.",
                )
