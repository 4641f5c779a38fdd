"""The recipe for this configuration, parsed: the reference that a dump is compared with.

It comes from the files that `authgw nginx write` writes, so that recipe and doctor agree.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from authgw.config.schema import Settings
from authgw.doctor.nginx_parser import Block, parse_dump
from authgw.doctor.nginx_site import check_location, check_uris, site_of
from authgw.recipes.nginx import render_files

_TRANSPORTS = {
    "proxy_pass": ("proxy_set_header", "identity.conf"),
    "grpc_pass": ("grpc_set_header", "identity-grpc.conf"),
    "fastcgi_pass": ("fastcgi_param", "identity-fastcgi.conf"),
    "uwsgi_pass": ("uwsgi_param", "identity-uwsgi.conf"),
    "scgi_pass": ("scgi_param", "identity-scgi.conf"),
}
_MAIN = "/recipe/nginx.conf"


@dataclass(frozen=True, slots=True)
class Transport:
    """A protocol to apps, and the headers or parameters that the recipe sends with it.

    `headers` maps each name as sent, in lower case, to its value.
    """

    pass_directive: str
    header_directive: str
    file: str
    headers: Mapping[str, str]

    @property
    def is_cgi(self) -> bool:
        """Return True for FastCGI, uwsgi and SCGI, which send headers as CGI parameters."""
        return self.header_directive.endswith("_param")

    @property
    def prefix(self) -> str:
        """Return the prefix of this transport's directives, such as `proxy`."""
        return self.pass_directive.removesuffix("_pass")

    def name_of(self, header: str) -> str:
        """Return the name under which this transport sends a header, such as `HTTP_COOKIE`."""
        return f"HTTP_{header.upper().replace('-', '_')}" if self.is_cgi else header

    def line(self, header: str, value: str) -> str:
        """Return the directive that sends a header with a value."""
        return f"{self.header_directive} {self.name_of(header)} {value};"


@dataclass(frozen=True, slots=True)
class Recipe:
    """The lines of the recipe, and the configuration from which it was rendered.

    Attributes:
        settings: the configuration.
        headers: names of the identity headers by claim.
        transports: protocols to apps by their pass directive.
        definitions: the maps that define each variable.
        check_headers: headers of a check, by name in lower case.
        cache_key: arguments of `proxy_cache_key` in the location of checks.
        response_variables: variables set from the response to a check (`auth_request_set`).
        published_headers: headers of requests for the gateway's own pages and API.
    """

    settings: Settings
    headers: Mapping[str, str]
    transports: Mapping[str, Transport]
    definitions: Mapping[str, tuple[object, ...]]
    check_headers: Mapping[str, str]
    cache_key: tuple[str, ...]
    response_variables: Mapping[str, str]
    published_headers: Mapping[str, str]


def recipe_of(settings: Settings) -> Recipe:
    """Render and parse the recipe for this configuration.

    Raises:
        OperatorError: a value cannot be written into NGINX's configuration.
    """
    top = parse_dump(_dump(render_files(settings)))
    server = site_of(top).servers[0]
    check = check_location(server, check_uris(server)[0])
    assert check is not None  # noqa: S101  protect.conf has it
    apps = {block.args[-1]: block for block in server.children}
    published = next(block for block in server.children if block.args[0] == "~")
    return Recipe(
        settings,
        settings.headers.identity.by_claim,
        {
            passing: Transport(passing, sending, file, header_values(apps[f"/{passing}"], sending))
            for passing, (sending, file) in _TRANSPORTS.items()
        },
        _definitions(top),
        header_values(check, "proxy_set_header"),
        check.named("proxy_cache_key")[0].args,
        {each.args[0]: each.args[1] for each in server.named("auth_request_set")},
        header_values(published, "proxy_set_header"),
    )


def header_values(block: Block, header_directive: str) -> dict[str, str]:
    """Return the values that a block sends, by name in lower case; the last of duplicates."""
    return {each.args[0].lower(): each.args[1] for each in block.inherited(header_directive)}


def definition(block: Block) -> tuple[object, ...]:
    """Return everything in a block (such as `map`) that determines its variable's value."""
    return (block.name, block.args, tuple((each.name, each.args) for each in block.directives))


def _definitions(top: Block) -> dict[str, tuple[object, ...]]:
    definitions: dict[str, tuple[object, ...]] = {}
    for block in top.walk():
        if block.name == "map":
            name = block.args[-1]
            definitions[name] = (*definitions.get(name, ()), definition(block))
    return definitions


def _dump(files: Mapping[str, str]) -> str:
    """Return a dump as `nginx -T` writes it, for a server that includes every file."""
    apps = "".join(
        f"location /{pass_directive} {{ include authgw/{file}; {pass_directive} http://app; }}\n"
        for pass_directive, (_, file) in _TRANSPORTS.items()
    )
    main = (
        "http { include authgw/http.conf; include authgw/front.conf; include authgw/cache.conf;\n"
        "include authgw/question.conf; include authgw/upstream.conf;\n"
        "server { include authgw/protect.conf; include authgw/gateway.conf;\n"
        f"{apps}}} }}\n"
    )
    texts = {_MAIN: main, **{f"/recipe/authgw/{name}": text for name, text in files.items()}}
    return "".join(f"# configuration file {name}:\n{text}\n" for name, text in texts.items())
