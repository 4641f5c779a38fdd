"""Check what apps receive: identity from the gateway alone, and no session cookie."""

from collections.abc import Iterator
from dataclasses import dataclass

from authgw.doctor.nginx_findings import Finding, fault, hole, problem, unchecked
from authgw.doctor.nginx_site import Expected, is_protected
from authgw.doctor.nginx_tree import Block, Directive
from authgw.doctor.nginx_values import (
    holds_session,
    is_fixed,
    is_literal,
    is_of_client,
    variables_in,
)

_WRITE = "run `authgw nginx write DIR`"


@dataclass(frozen=True, slots=True)
class Transport:
    """A way to pass requests on; `parameters` are named as CGI names headers."""

    passing: str
    telling: str
    recipe: str
    parameters: bool

    def name_of(self, header: str) -> str:
        """Return the name under which this transport sends a header."""
        return f"HTTP_{header.upper().replace('-', '_')}" if self.parameters else header

    @property
    def prefix(self) -> str:
        return self.passing.removesuffix("_pass")


TRANSPORTS = {
    each.passing: each
    for each in (
        Transport("proxy_pass", "proxy_set_header", "identity.conf", False),
        Transport("grpc_pass", "grpc_set_header", "identity-grpc.conf", False),
        Transport("fastcgi_pass", "fastcgi_param", "identity-fastcgi.conf", True),
        Transport("uwsgi_pass", "uwsgi_param", "identity-uwsgi.conf", True),
        Transport("scgi_pass", "scgi_param", "identity-scgi.conf", True),
    )
}

# Headers that an app believes of its proxy. Values that the recipe sends, or that NGINX itself
# makes, are right; a client's own are not.
_OF_PROXY = (
    "X-Real-IP",
    "X-Forwarded-For",
    "X-Forwarded-Proto",
    "X-Forwarded-Host",
    "X-Forwarded-Port",
    "X-Forwarded-Uri",
    "X-Forwarded-Method",
    "X-Forwarded-Prefix",
    "X-Forwarded-Scheme",
    "X-Forwarded-Server",
    "X-Forwarded-Ssl",
    "X-Forwarded-User",
    "X-Forwarded-Tls-Client-Cert",
    "X-Forwarded-Tls-Client-Cert-Info",
    "X-Scheme",
    "X-Original-URL",
    "X-Rewrite-URL",
    "Forwarded",
    "Upgrade",
    "HTTP2-Settings",
)
# Without these lines of the recipe a client's own header arrives.
_NEEDED = ("Cookie", "X-Forwarded-For", "X-Forwarded-Host", "X-Original-URL", "X-Rewrite-URL")


@dataclass(frozen=True, slots=True)
class _Told:
    """What one location sends to its app."""

    block: Block
    transport: Transport
    lines: tuple[Directive, ...]

    def of(self, header: str) -> list[Directive]:
        name = self.transport.name_of(header).lower()
        return [each for each in self.lines if each.args[0].lower() == name]

    def line(self, header: str, value: str) -> str:
        return f"{self.transport.telling} {self.transport.name_of(header)} {value or _EMPTY};"

    @property
    def include(self) -> str:
        return f"include authgw/{self.transport.recipe};"


_EMPTY = '""'


def examine(block: Block, passed: Directive, expected: Expected) -> Iterator[Finding]:
    """Check what this block sends to an app by the directive `passed`."""
    transport = TRANSPORTS.get(passed.name)
    if transport is None:
        yield unchecked(passed, f"{passed.name} is not known to the recipe.")
        return
    lines = [each for each in block.inherited(transport.telling) if len(each.args) > 1]
    told = _Told(block, transport, tuple(lines))
    passes_headers = block.inherited(f"{transport.prefix}_pass_request_headers")
    if not passes_headers or passes_headers[0].args != ("off",):
        yield from _missing(told, expected)
    yield from _identity(told, expected)
    yield from _cookie(told)
    yield from _host(told)
    for header in _OF_PROXY:
        yield from _of_proxy(told, header)
    yield from _twice(told)


def _missing(told: _Told, expected: Expected) -> Iterator[Finding]:
    wanted = (*expected.headers.values(), *_NEEDED)
    missing = [name for name in wanted if not told.of(name)]
    if not missing:
        return
    own = told.block.named(told.transport.telling)
    identity = [name for name in expected.headers.values() if name in missing]
    renamed = _renamed(told)
    if identity and renamed:
        yield hole(
            renamed,
            f"{told.block} sends {renamed.args[0]}, and the configuration calls it {identity[0]}: "
            f"a client's own {identity[0]} would arrive, and no identity.",
            f"Set headers in the configuration as here, or {_WRITE} and copy its files here.",
        )
        return
    discards = f"has a {told.transport.telling} of its own, which discards ours"
    lacks = "tells no identity" if identity else f"does not send {missing[0]} as the recipe does"
    why = discards if own and len(missing) == len(wanted) else lacks
    what = "the client's session cookie" if missing[0] == "Cookie" else f"a client's own {missing[0]}"
    yield hole(
        own[0] if own else told.block, f"{told.block} {why}: {what} would arrive.",
        f"Add to it: {told.include}",
    )


def _renamed(told: _Told) -> Directive | None:
    """Return the line that sends an identity under a name that is not the configuration's."""
    return next((each for each in told.lines if each.args[1] == "$authgw_user"), None)


def _identity(told: _Told, expected: Expected) -> Iterator[Finding]:
    sources = {each.args[0]: each for each in told.block.inherited("auth_request_set")}
    for key, header in expected.headers.items():
        right = f"$upstream_http_{header.lower().replace('-', '_')}"
        lines = told.of(header)
        if told.transport.parameters and key == "user":
            lines += [each for each in told.lines if each.args[0].upper() == "REMOTE_USER"]
        for each in lines:
            value = each.args[1]
            source = sources.get(value)
            if source is not None and source.args[1] == right or value == "":
                continue
            yield from _foreign(told, key, header, right, each, source)


def _foreign(
    told: _Told, key: str, header: str, right: str, line: Directive, source: Directive | None
) -> Iterator[Finding]:
    value = line.args[1]
    if source is not None:
        yield hole(
            source,
            f"{source} is sent as {header}, which the gateway's answer holds in {right}.",
            f"Write: auth_request_set {value} {right};",
        )
        return
    if not value.startswith("$authgw_"):
        yield hole(
            line,
            f"{told.block} sends {line.args[0]} {value}, which no auth_request_set takes from the "
            "gateway's answer.",
            f"Write: {told.line(header, f'$authgw_{key}')}",
        )
        return
    own = told.block.named("auth_request_set")
    if own:
        yield fault(
            own[0],
            f"{told.block} has an auth_request_set of its own, which discards those of "
            "protect.conf.",
            "Move it to its server.",
        )
    elif is_protected(told.block):
        yield problem(
            line,
            f"{told.block} sends {header} {value}, which nothing here sets: no identity arrives.",
            f"Add to its server: auth_request_set {value} {right};",
        )


def _cookie(told: _Told) -> Iterator[Finding]:
    for each in told.of("Cookie"):
        value = each.args[1]
        if value == "$authgw_cookie" or is_literal(value):
            continue
        if holds_session(value):
            what = f"{each} undoes the recipe: the app receives the live session cookie."
            yield hole(each, what, f"Remove it, so that {told.line('Cookie', '$authgw_cookie')} holds.")
        elif not is_fixed(value):
            what = f"whether {each} holds the session cookie is not known."
            yield unchecked(each, what, f"Write: {told.line('Cookie', '$authgw_cookie')}")


def _host(told: _Told) -> Iterator[Finding]:
    for each in told.of("Host"):
        value = each.args[1]
        if is_fixed(value):
            continue
        right = f"Write: {told.line('Host', '$authgw_authority')}"
        if value == "$http_host":
            yield from outdated_host(told.block, each, right)
        elif is_of_client(value):
            yield hole(each, f"{each} lets a client name another site than was judged.", right)
        else:
            yield unchecked(each, f"who decides {value} as Host is not known.", right)


def outdated_host(block: Block, line: Directive, right: str) -> Iterator[Finding]:
    """Report `$http_host`, which is empty in HTTP/3 and in HTTP/1.0 without Host."""
    server = block.nearest("server")
    quic = server is not None and any("quic" in each.args for each in server.named("listen"))
    if quic:
        what = f"{line}: over HTTP/3 $http_host is empty, so that nobody gets in."
        yield problem(line, what, right)
    else:
        what = f"{line} is of an older recipe: $http_host is empty over HTTP/3."
        yield fault(line, what, right)


def _of_proxy(told: _Told, header: str) -> Iterator[Finding]:
    for each in told.of(header):
        value = each.args[1]
        if is_fixed(value) and not (header == "Upgrade" and value == "h2c"):
            continue
        right = f"Remove it, so that the line of {told.transport.recipe} holds."
        if header == "Upgrade" and value == "$http_upgrade":
            what = f"{told.block} passes any upgrade on: through one to h2c nothing more would be "
            yield hole(each, what + "asked.", f"Write: {told.line(header, '$authgw_upgrade')}")
        elif value == "$http_host":
            yield from outdated_host(
                told.block, each, f"Write: {told.line(header, '$authgw_authority')}"
            )
        elif is_of_client(value):
            yield hole(each, f"{each} tells the app what a client says of itself.", right)
        elif set(variables_in(value)) - {"request_uri"}:
            yield unchecked(each, f"who decides {value} is not known.", right)


def _twice(told: _Told) -> Iterator[Finding]:
    seen: dict[str, Directive] = {}
    for each in told.lines:
        name = each.args[0].lower()
        first = seen.setdefault(name, each)
        if first is not each and first.args[1] == each.args[1] and each.args[1]:
            yield fault(each, f"{each} stands twice: the app receives it twice.", "Remove one.")
