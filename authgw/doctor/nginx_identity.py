"""Checks of the headers that apps receive: identity from the gateway only, no session cookie."""

from collections.abc import Iterator
from dataclasses import dataclass

from authgw.doctor.nginx_findings import Finding, fault, hole, problem, unchecked
from authgw.doctor.nginx_parser import Block, Directive
from authgw.doctor.nginx_recipe import Recipe, Transport
from authgw.doctor.nginx_site import is_protected
from authgw.doctor.nginx_values import (
    holds_session,
    is_client_controlled,
    is_literal,
    is_server_controlled,
    variables_in,
)

# NGINX sends these by itself where no line sets them, or apps do not trust them.
_OPTIONAL = ("Host", "Connection", "X-Request-ID")
_WRITE = "run `authgw nginx write DIR` and copy its files here"


@dataclass(frozen=True, slots=True)
class _ProxiedApp:
    """A location that passes requests on, and the lines that set its app's request headers."""

    block: Block
    transport: Transport
    recipe: Recipe
    lines: tuple[Directive, ...]

    def lines_for(self, header: str) -> list[Directive]:
        """Return the lines that send a header."""
        name = self.transport.name_of(header).lower()
        return [each for each in self.lines if each.args[0].lower() == name]

    @property
    def include(self) -> str:
        return f"include authgw/{self.transport.file};"


def examine(block: Block, pass_line: Directive, recipe: Recipe) -> Iterator[Finding]:
    """Check the headers that a block sends to an app by its directive `pass_line`."""
    transport = recipe.transports.get(pass_line.name)
    if transport is None:
        yield unchecked(pass_line, f"{pass_line.name} is not known to the recipe.")
        return
    lines = [each for each in block.inherited(transport.header_directive) if len(each.args) > 1]
    app = _ProxiedApp(block, transport, recipe, tuple(lines))
    passes_headers = block.inherited(f"{transport.prefix}_pass_request_headers")
    if not passes_headers or passes_headers[0].args != ("off",):
        yield from _missing_headers(app)
    for key in recipe.headers:
        yield from _identity(app, key)
    yield from _cookie(app)
    yield from _host(app)
    yield from _proxy_headers(app)
    yield from _duplicates(app)


def outdated_host(block: Block, line: Directive, remedy: str) -> Finding:
    """Report a use of `$http_host`, which is empty in HTTP/3 and in HTTP/1.0 without Host.

    It is a problem only where the server listens for QUIC.
    """
    server = block.nearest("server")
    if server is not None and any("quic" in each.args for each in server.named("listen")):
        return problem(
            line,
            f"{line}: over HTTP/3 $http_host is empty, so that every request is refused.",
            remedy,
        )
    return fault(line, f"{line} is of an older recipe: $http_host is empty over HTTP/3.", remedy)


def _required_names(app: _ProxiedApp) -> list[str]:
    """Return the names, as sent, that must be set so that a client's own header does not arrive."""
    optional = {app.transport.name_of(header).lower() for header in _OPTIONAL}
    names = [name for name in app.transport.headers if name not in optional]
    return [name for name in names if name.startswith("http_") or not app.transport.is_cgi]


def _missing_headers(app: _ProxiedApp) -> Iterator[Finding]:
    sent = {each.args[0].lower() for each in app.lines}
    required = _required_names(app)
    missing = [name for name in required if name not in sent]
    if not missing:
        return
    ours = {app.transport.name_of(header).lower(): header for header in app.recipe.headers.values()}
    identity = [name for name in missing if name in ours]
    header = _canonical_header((identity or missing)[0], app)
    user_line = _user_line(app)
    if identity and user_line is not None:
        yield _name_mismatch(
            app, user_line, header, "the client's own would arrive instead of the identity"
        )
        return
    own = app.block.named(app.transport.header_directive)
    if app.transport.is_cgi and identity:
        yield hole(
            app.block,
            f"{app.block} passes a client's own {header} on by {app.transport.pass_directive}"
            f"{', and the live session cookie' if 'http_cookie' in missing else ''}.",
            f"Add to it: {app.include}",
        )
        return
    if own and len(missing) >= len(required) - 1:
        why = f"has a {app.transport.header_directive} of its own, which discards ours"
    else:
        why = "sends no identity" if identity else f"does not send {header} as the recipe does"
    arriving = (
        "the live session cookie" if header.lower() == "cookie" else f"a client's own {header}"
    )
    yield hole(
        own[0] if own else app.block,
        f"{app.block} {why}: {arriving} would arrive.",
        f"Add to it: {app.include}",
    )


def _canonical_header(name: str, app: _ProxiedApp) -> str:
    """Return the usual spelling of a header for its name as sent."""
    header = name.removeprefix("http_").replace("_", "-") if app.transport.is_cgi else name
    spellings = {each.lower(): each for each in app.recipe.headers.values()}
    return spellings.get(header, header.title())


def _user_line(app: _ProxiedApp) -> Directive | None:
    return next((each for each in app.lines if each.args[1] == "$authgw_user"), None)


def _name_mismatch(app: _ProxiedApp, line: Directive, header: str, consequence: str) -> Finding:
    keys = {each.lower(): key for key, each in app.recipe.headers.items()}
    make = hole if "would arrive" in consequence else problem
    return make(
        line,
        f"{app.block} sends {line.args[0]} {line.args[1]}, but the configuration names this "
        f"header {header}: {consequence}.",
        f"Correct headers.{keys.get(header.lower(), 'user')} in the configuration, or {_WRITE}.",
    )


def _identity(app: _ProxiedApp, key: str) -> Iterator[Finding]:
    header = app.recipe.headers[key]
    variable = f"$upstream_http_{header.lower().replace('-', '_')}"
    sources = {each.args[0]: each for each in app.block.inherited("auth_request_set")}
    lines = app.lines_for(header)
    if app.transport.is_cgi:
        lines = _effective(lines)
        if key == "user":
            remote_user = [each for each in app.lines if each.args[0].upper() == "REMOTE_USER"]
            lines += _effective(remote_user)
    for each in lines:
        source = sources.get(each.args[1])
        if each.args[1] and (source is None or source.args[1] != variable):
            yield from _wrong_source(app, key, each, source)
    if is_protected(app.block) and lines and not any(each.args[1] for each in lines):
        elsewhere = [each for each in app.lines if each.args[1] == f"$authgw_{key}"]
        if elsewhere:
            yield _name_mismatch(app, elsewhere[0], header, "the app gets no identity")


def _effective(lines: list[Directive]) -> list[Directive]:
    """Return the last line without `if_not_empty` and the lines after it, else all lines."""
    unconditional = [number for number, each in enumerate(lines) if "if_not_empty" not in each.args]
    return lines[unconditional[-1] :] if unconditional else list(lines)


def _source_remedy(app: _ProxiedApp, header: str, key: str, line: Directive) -> str:
    """Return the remedy for a line that sets an identity header from another source.

    Distributions set REMOTE_USER in their own fastcgi_params: of two lines the last is effective.
    """
    if line.args[0] == "REMOTE_USER" and line.args[1] == "$remote_user":
        return f"Include {line.file} before authgw/{app.transport.file}."
    return f"Write: {app.transport.line(header, f'$authgw_{key}')}"


def _wrong_source(
    app: _ProxiedApp, key: str, line: Directive, source: Directive | None
) -> Iterator[Finding]:
    header, value = app.recipe.headers[key], line.args[1]
    variable = f"$upstream_http_{header.lower().replace('-', '_')}"
    if source is not None:
        names = app.recipe.headers.values()
        ours = [f"$upstream_http_{each.lower().replace('-', '_')}" for each in names]
        if source.args[1].startswith("$upstream_http_") and source.args[1] not in ours:
            return  # reported by nginx_check
        yield hole(
            source,
            f"{source} is sent as {header}, and the gateway's response has it in {variable}.",
            f"Write: auth_request_set {value} {variable};",
        )
    elif not value.startswith("$authgw_"):
        yield hole(
            line,
            f"{app.block} sends {line.args[0]} {value}, which no auth_request_set takes from the "
            "gateway's response.",
            _source_remedy(app, header, key, line),
        )
    elif app.block.named("auth_request_set"):
        yield fault(
            app.block.named("auth_request_set")[0],
            f"{app.block} has an auth_request_set of its own, which discards those of "
            "protect.conf.",
            "Move it to its server.",
        )
    elif is_protected(app.block):
        yield problem(
            line,
            f"{app.block} sends {line.args[0]} {value}, which nothing here sets: no identity "
            "arrives.",
            f"Add to its server: auth_request_set {value} {variable};",
        )


def _cookie(app: _ProxiedApp) -> Iterator[Finding]:
    for each in app.lines_for("Cookie"):
        value = each.args[1]
        if value == "$authgw_cookie" or is_literal(value):
            continue
        expected = app.transport.line("Cookie", "$authgw_cookie")
        if holds_session(value):
            message = (
                f"{each} overrides the recipe, so that the app receives the live session cookie."
            )
            yield hole(each, message, f"Remove it, so that this line applies: {expected}")
        elif not is_server_controlled(value):
            message = f"the doctor cannot tell if {each} contains the session cookie."
            yield unchecked(each, message, f"Write: {expected}")


def _host(app: _ProxiedApp) -> Iterator[Finding]:
    for each in app.lines_for("Host"):
        value = each.args[1]
        if is_server_controlled(value):
            continue
        remedy = f"Write: {app.transport.line('Host', '$authgw_authority')}"
        if value == "$http_host":
            yield outdated_host(app.block, each, remedy)
        elif is_client_controlled(value):
            yield hole(each, f"{each} lets a client name another site than was checked.", remedy)
        else:
            yield unchecked(each, f"the doctor cannot tell who sets {value} as Host.", remedy)


def _proxy_headers(app: _ProxiedApp) -> Iterator[Finding]:
    """Check the headers that apps trust because a proxy sets them."""
    excluded = (*app.recipe.headers.values(), "Cookie", *_OPTIONAL)
    excluded_names = {app.transport.name_of(header).lower() for header in excluded}
    names = set(app.transport.headers) - excluded_names - {"remote_user"}
    for each in app.lines:
        name, value = each.args[0].lower(), each.args[1]
        if name not in names or is_server_controlled(value):
            continue
        header = _canonical_header(name, app)
        recipe_value = app.transport.headers[name]
        remedy = f"Write: {app.transport.header_directive} {each.args[0]} {recipe_value or _EMPTY};"
        if name == "upgrade" and value == "$http_upgrade":
            message = "passes every upgrade on: requests after an upgrade to h2c are not checked."
            yield hole(each, f"{app.block} {message}", remedy)
        elif value == "$http_host":
            yield outdated_host(app.block, each, remedy)
        elif is_client_controlled(value):
            message = f"{each} sends the app, as {header}, a value that the client chooses."
            yield hole(each, message, f"Remove it, or write {remedy.removeprefix('Write: ')}")
        elif set(variables_in(value)) - {"request_uri"}:
            yield unchecked(each, f"the doctor cannot tell who sets {value} as {header}.", remedy)


_EMPTY = '""'


def _duplicates(app: _ProxiedApp) -> Iterator[Finding]:
    """Find headers that are sent twice; of CGI parameters apps take the last."""
    if app.transport.is_cgi:
        return
    identity = {header.lower() for header in app.recipe.headers.values()}
    seen: dict[str, Directive] = {}
    for each in app.lines:
        name, value = each.args[0].lower(), each.args[1]
        if not value or name not in app.transport.headers:
            continue
        first = seen.setdefault(name, each)
        is_redundant = (
            name not in identity
            and is_server_controlled(first.args[1])
            and is_server_controlled(value)
        )
        if first is not each and (first.args[1] == value or is_redundant):
            where = f"{first.file}:{first.line}"
            message = f"{each}: {each.args[0]} is in {where} too, so that the header arrives twice."
            yield fault(each, message, "Remove one.")
