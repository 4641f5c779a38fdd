"""Check what apps receive: identity from the gateway alone, and no session cookie."""

from collections.abc import Iterator
from dataclasses import dataclass

from authgw.doctor.nginx_findings import Finding, fault, hole, problem, unchecked
from authgw.doctor.nginx_parser import Block, Directive
from authgw.doctor.nginx_recipe import Recipe, Transport
from authgw.doctor.nginx_site import is_protected
from authgw.doctor.nginx_values import (
    holds_session,
    is_fixed,
    is_literal,
    is_of_client,
    variables_in,
)

# NGINX makes these itself where no line does, or apps do not believe them.
_OPTIONAL = ("Host", "Connection", "X-Request-ID")
_WRITE = "run `authgw nginx write DIR` and copy its files here"


@dataclass(frozen=True, slots=True)
class _App:
    """One location that passes requests on, and the lines by which it tells its app of them."""

    block: Block
    transport: Transport
    recipe: Recipe
    lines: tuple[Directive, ...]

    def of(self, header: str) -> list[Directive]:
        """Return the lines that send a header."""
        name = self.transport.name_of(header).lower()
        return [each for each in self.lines if each.args[0].lower() == name]

    @property
    def include(self) -> str:
        return f"include authgw/{self.transport.file};"


def examine(block: Block, passed: Directive, recipe: Recipe) -> Iterator[Finding]:
    """Check what this block sends to an app by the directive `passed`."""
    transport = recipe.transports.get(passed.name)
    if transport is None:
        yield unchecked(passed, f"{passed.name} is not known to the recipe.")
        return
    lines = [each for each in block.inherited(transport.telling) if len(each.args) > 1]
    app = _App(block, transport, recipe, tuple(lines))
    passes_headers = block.inherited(f"{transport.prefix}_pass_request_headers")
    if not passes_headers or passes_headers[0].args != ("off",):
        yield from _missing(app)
    for key in recipe.headers:
        yield from _identity(app, key)
    yield from _cookie(app)
    yield from _host(app)
    yield from _of_proxy(app)
    yield from _twice(app)


def outdated_host(block: Block, line: Directive, right: str) -> Finding:
    """Report `$http_host`, which is empty in HTTP/3 and in HTTP/1.0 without Host."""
    server = block.nearest("server")
    if server is not None and any("quic" in each.args for each in server.named("listen")):
        return problem(line, f"{line}: over HTTP/3 $http_host is empty, so nobody gets in.", right)
    return fault(line, f"{line} is of an older recipe: $http_host is empty over HTTP/3.", right)


def _needed(app: _App) -> list[str]:
    """Return the names, as sent, without which a client's own header arrives."""
    optional = {app.transport.name_of(header).lower() for header in _OPTIONAL}
    names = [name for name in app.transport.told if name not in optional]
    return [name for name in names if name.startswith("http_") or not app.transport.parameters]


def _missing(app: _App) -> Iterator[Finding]:
    sent = {each.args[0].lower() for each in app.lines}
    needed = _needed(app)
    missing = [name for name in needed if name not in sent]
    if not missing:
        return
    ours = {app.transport.name_of(header).lower(): header for header in app.recipe.headers.values()}
    identity = [name for name in missing if name in ours]
    header = _spelled((identity or missing)[0], app)
    renamed = _renamed(app)
    if identity and renamed is not None:
        yield _named_otherwise(app, renamed, header, "a client's own would arrive, and no identity")
        return
    own = app.block.named(app.transport.telling)
    if app.transport.parameters and identity:
        yield hole(
            app.block,
            f"{app.block} hands a client's own {header} on by {app.transport.passing}"
            f"{', and the live session cookie' if 'http_cookie' in missing else ''}.",
            f"Add to it: {app.include}",
        )
        return
    if own and len(missing) >= len(needed) - 1:
        why = f"has a {app.transport.telling} of its own, which discards ours"
    else:
        why = "tells no identity" if identity else f"does not send {header} as the recipe does"
    what = "the live session cookie" if header.lower() == "cookie" else f"a client's own {header}"
    yield hole(
        own[0] if own else app.block,
        f"{app.block} {why}: {what} would arrive.",
        f"Add to it: {app.include}",
    )


def _spelled(name: str, app: _App) -> str:
    """Return a header's usual spelling for a name as sent."""
    header = name.removeprefix("http_").replace("_", "-") if app.transport.parameters else name
    known = {each.lower(): each for each in app.recipe.headers.values()}
    return known.get(header, header.title())


def _renamed(app: _App) -> Directive | None:
    return next((each for each in app.lines if each.args[1] == "$authgw_user"), None)


def _named_otherwise(app: _App, line: Directive, header: str, follows: str) -> Finding:
    keys = {each.lower(): key for key, each in app.recipe.headers.items()}
    make = hole if "would arrive" in follows else problem
    return make(
        line,
        f"{app.block} sends {line.args[0]} {line.args[1]}, and the configuration calls this "
        f"header {header}: {follows}.",
        f"Correct headers.{keys.get(header.lower(), 'user')} in the configuration, or {_WRITE}.",
    )


def _identity(app: _App, key: str) -> Iterator[Finding]:
    header = app.recipe.headers[key]
    right = f"$upstream_http_{header.lower().replace('-', '_')}"
    sources = {each.args[0]: each for each in app.block.inherited("auth_request_set")}
    lines = app.of(header)
    if app.transport.parameters:
        lines = _that_count(lines)
        if key == "user":
            named = [each for each in app.lines if each.args[0].upper() == "REMOTE_USER"]
            lines += _that_count(named)
    for each in lines:
        source = sources.get(each.args[1])
        if each.args[1] and (source is None or source.args[1] != right):
            yield from _foreign(app, key, each, source)
    if is_protected(app.block) and lines and not any(each.args[1] for each in lines):
        elsewhere = [each for each in app.lines if each.args[1] == f"$authgw_{key}"]
        if elsewhere:
            yield _named_otherwise(app, elsewhere[0], header, "the app gets no identity by it")


def _that_count(lines: list[Directive]) -> list[Directive]:
    """Return the last parameter of a name, and those before it that it may leave in place."""
    whole = [number for number, each in enumerate(lines) if "if_not_empty" not in each.args]
    return lines[whole[-1] :] if whole else list(lines)


def _instead(app: _App, header: str, key: str, line: Directive) -> str:
    """Return the remedy for a line that fills an identity header from elsewhere.

    Distributions set REMOTE_USER in their own fastcgi_params: of two lines the last one counts.
    """
    if line.args[0] == "REMOTE_USER" and line.args[1] == "$remote_user":
        return f"Include {line.file} before authgw/{app.transport.file}."
    return f"Write: {app.transport.line(header, f'$authgw_{key}')}"


def _foreign(app: _App, key: str, line: Directive, source: Directive | None) -> Iterator[Finding]:
    header, value = app.recipe.headers[key], line.args[1]
    right = f"$upstream_http_{header.lower().replace('-', '_')}"
    if source is not None:
        names = app.recipe.headers.values()
        ours = [f"$upstream_http_{each.lower().replace('-', '_')}" for each in names]
        if source.args[1].startswith("$upstream_http_") and source.args[1] not in ours:
            return  # reported where the gateway's answer is examined
        yield hole(
            source,
            f"{source} is sent as {header}, which the gateway's answer holds in {right}.",
            f"Write: auth_request_set {value} {right};",
        )
    elif not value.startswith("$authgw_"):
        yield hole(
            line,
            f"{app.block} sends {line.args[0]} {value}, which no auth_request_set takes from the "
            "gateway's answer.",
            _instead(app, header, key, line),
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
            f"Add to its server: auth_request_set {value} {right};",
        )


def _cookie(app: _App) -> Iterator[Finding]:
    for each in app.of("Cookie"):
        value = each.args[1]
        if value == "$authgw_cookie" or is_literal(value):
            continue
        right = app.transport.line("Cookie", "$authgw_cookie")
        if holds_session(value):
            what = f"{each} undoes the recipe: the app receives the live session cookie."
            yield hole(each, what, f"Remove it, so that this holds: {right}")
        elif not is_fixed(value):
            what = f"whether {each} holds the session cookie is not known."
            yield unchecked(each, what, f"Write: {right}")


def _host(app: _App) -> Iterator[Finding]:
    for each in app.of("Host"):
        value = each.args[1]
        if is_fixed(value):
            continue
        right = f"Write: {app.transport.line('Host', '$authgw_authority')}"
        if value == "$http_host":
            yield outdated_host(app.block, each, right)
        elif is_of_client(value):
            yield hole(each, f"{each} lets a client name another site than was judged.", right)
        else:
            yield unchecked(each, f"who decides {value} as Host is not known.", right)


def _of_proxy(app: _App) -> Iterator[Finding]:
    """Check headers that an app believes of its proxy."""
    checked = (*app.recipe.headers.values(), "Cookie", *_OPTIONAL)
    skipped = {app.transport.name_of(header).lower() for header in checked}
    names = set(app.transport.told) - skipped - {"remote_user"}
    for each in app.lines:
        name, value = each.args[0].lower(), each.args[1]
        if name not in names or is_fixed(value):
            continue
        header = _spelled(name, app)
        recipes = app.transport.told[name]
        right = f"Write: {app.transport.telling} {each.args[0]} {recipes or _EMPTY};"
        if name == "upgrade" and value == "$http_upgrade":
            what = "passes any upgrade on: through one to h2c nothing more would be asked."
            yield hole(each, f"{app.block} {what}", right)
        elif value == "$http_host":
            yield outdated_host(app.block, each, right)
        elif is_of_client(value):
            what = f"{each} tells the app, as {header}, what a client says of itself."
            yield hole(each, what, f"Remove it, or write {right.removeprefix('Write: ')}")
        elif set(variables_in(value)) - {"request_uri"}:
            yield unchecked(each, f"who decides {value} as {header} is not known.", right)


_EMPTY = '""'


def _twice(app: _App) -> Iterator[Finding]:
    """Find headers that arrive twice; of parameters apps take the last."""
    if app.transport.parameters:
        return
    identity = {header.lower() for header in app.recipe.headers.values()}
    seen: dict[str, Directive] = {}
    for each in app.lines:
        name, value = each.args[0].lower(), each.args[1]
        if not value or name not in app.transport.told:
            continue
        first = seen.setdefault(name, each)
        both_right = name not in identity and is_fixed(first.args[1]) and is_fixed(value)
        if first is not each and (first.args[1] == value or both_right):
            where = f"{first.file}:{first.line}"
            what = f"{each}: {each.args[0]} stands in {where} too, and arrives twice."
            yield fault(each, what, "Remove one.")
