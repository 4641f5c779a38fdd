"""The recipe of this configuration, parsed: the lines that a dump is compared with.

They come from the files that `authgw nginx write` writes, so that recipe and doctor agree.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from authgw.config.schema import Settings
from authgw.doctor.nginx_parser import Block, parsed
from authgw.doctor.nginx_site import check_location, check_uris, site_of
from authgw.recipes.nginx import rendered

_PASSES = {
    "proxy_pass": ("proxy_set_header", "identity.conf"),
    "grpc_pass": ("grpc_set_header", "identity-grpc.conf"),
    "fastcgi_pass": ("fastcgi_param", "identity-fastcgi.conf"),
    "uwsgi_pass": ("uwsgi_param", "identity-uwsgi.conf"),
    "scgi_pass": ("scgi_param", "identity-scgi.conf"),
}
_MAIN = "/recipe/nginx.conf"


@dataclass(frozen=True, slots=True)
class Transport:
    """A way to pass requests on, and the lines by which the recipe tells an app of a request.

    `parameters` are named as CGI names headers; `told` has names in lower case.
    """

    passing: str
    telling: str
    file: str
    told: Mapping[str, str]

    @property
    def parameters(self) -> bool:
        """Return true for FastCGI and its siblings."""
        return self.telling.endswith("_param")

    @property
    def prefix(self) -> str:
        """Return the word that this transport's directives begin with."""
        return self.passing.removesuffix("_pass")

    def name_of(self, header: str) -> str:
        """Return the name under which this transport sends a header."""
        return f"HTTP_{header.upper().replace('-', '_')}" if self.parameters else header

    def line(self, header: str, value: str) -> str:
        """Return the line that sends a header."""
        return f"{self.telling} {self.name_of(header)} {value};"


@dataclass(frozen=True, slots=True)
class Recipe:
    """The lines of the recipe, and the values of the configuration behind them.

    `headers` are the names of identity headers by `user`, `groups`, `email` and `name`;
    `definitions` hold each variable's maps; `question` and `published` what the gateway is sent
    with a check and with a request to itself; `taken` what is taken from its answer.
    """

    settings: Settings
    headers: Mapping[str, str]
    transports: Mapping[str, Transport]
    definitions: Mapping[str, tuple[object, ...]]
    question: Mapping[str, str]
    cache_key: tuple[str, ...]
    taken: Mapping[str, str]
    published: Mapping[str, str]


def recipe_of(settings: Settings) -> Recipe:
    """Parse the recipe that belongs to this configuration.

    Raises:
        OperatorError: a value that NGINX's configuration cannot hold.
    """
    top = parsed(_dump(rendered(settings)))
    server = site_of(top).servers[0]
    check = check_location(server, check_uris(server)[0])
    assert check is not None  # noqa: S101  protect.conf has it
    apps = {block.args[-1]: block for block in server.below}
    gateway = next(block for block in server.below if block.args[0] == "~")
    headers = settings.headers
    return Recipe(
        settings,
        {
            "user": headers.user,
            "groups": headers.groups,
            "email": headers.email,
            "name": headers.name,
        },
        {
            passing: Transport(passing, telling, file, told(apps[f"/{passing}"], telling))
            for passing, (telling, file) in _PASSES.items()
        },
        _definitions(top),
        told(check, "proxy_set_header"),
        check.named("proxy_cache_key")[0].args,
        {each.args[0]: each.args[1] for each in server.named("auth_request_set")},
        told(gateway, "proxy_set_header"),
    )


def told(block: Block, telling: str) -> dict[str, str]:
    """Return values by names in lower case; of a name that comes twice the last."""
    return {each.args[0].lower(): each.args[1] for each in block.inherited(telling)}


def definition(block: Block) -> tuple[object, ...]:
    """Return all that decides the value of a variable that a block defines."""
    return (block.name, block.args, tuple((each.name, each.args) for each in block.own))


def _definitions(top: Block) -> dict[str, tuple[object, ...]]:
    found: dict[str, tuple[object, ...]] = {}
    for block in top.every():
        if block.name == "map":
            name = block.args[-1]
            found[name] = (*found.get(name, ()), definition(block))
    return found


def _dump(files: Mapping[str, str]) -> str:
    """Write a dump as `nginx -T` does, of one server that includes every file."""
    apps = "".join(
        f"location /{passing} {{ include authgw/{file}; {passing} http://app; }}\n"
        for passing, (_, file) in _PASSES.items()
    )
    main = (
        "http { include authgw/http.conf; include authgw/front.conf; include authgw/cache.conf;\n"
        "include authgw/question.conf; include authgw/upstream.conf;\n"
        "server { include authgw/protect.conf; include authgw/gateway.conf;\n"
        f"{apps}}} }}\n"
    )
    texts = {_MAIN: main, **{f"/recipe/authgw/{name}": text for name, text in files.items()}}
    return "".join(f"# configuration file {name}:\n{text}\n" for name, text in texts.items())
