"""Scenarios through all dialects, and recorded subrequests of five real proxies."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from authgw.core.errors import AuthgwError, UntrustedProxyError, WrongDialectError
from authgw.core.limits import MAX_RD_BYTES
from authgw.core.model import Decision, Principal, ProxyResponse, Verdict
from authgw.dialects.base import Dialect
from authgw.dialects.envoy import ENVOY
from authgw.dialects.forwarded import FORWARDED
from authgw.dialects.nginx import NGINX
from authgw.dialects.responses import for_a_browser
from tests.support.dialects import DIALECTS, NAMES, Asked, by_forwarding, by_nginx, described

RECORDED = json.loads((Path(__file__).parents[2] / "data" / "recorded.json").read_text())
CALLERS = {
    "alice": Principal("alice", "s", ("a", "b"), {"email": "a@example.com", "name": "Alice"}),
    "nobody": None,
}
LOGIN = "https://auth.example.com/login"


@pytest.fixture(params=DIALECTS)
def dialect_and_proxy(
    request: pytest.FixtureRequest,
) -> tuple[Dialect, Callable[[str, str, str], Asked]]:
    return DIALECTS[request.param]


DialectAndProxy = tuple[Dialect, Callable[[str, str, str], Asked]]


@pytest.mark.parametrize(
    ("method", "host", "uri", "url"),
    [
        ("GET", "app.example.com", "/a?b=c", "https://app.example.com/a?b=c"),
        ("POST", "App.Example.COM.", "/", "https://app.example.com/"),
        ("PROPFIND", "app.example.com:8443", "/x", "https://app.example.com:8443/x"),
        ("GET", "bücher.example", "/caf%C3%A9", "https://xn--bcher-kva.example/caf%C3%A9"),
        ("GET", "[::1]:80", "//admin/x?", "https://[::1]:80//admin/x"),
        ("GET", "app.example.com", "/a/../b%2f;c", "https://app.example.com/a/../b%2f;c"),
    ],
)
def test_every_dialect_reads_the_same_request(
    dialect_and_proxy: DialectAndProxy, method: str, host: str, uri: str, url: str
) -> None:
    access = described(dialect_and_proxy[0], dialect_and_proxy[1](method, host, uri))
    assert (access.method, access.location.url) == (method, url)


@pytest.mark.parametrize(
    ("method", "host", "uri"),
    [
        ("get", "app.example.com", "/"),
        ("", "app.example.com", "/"),
        ("GET", "", "/"),
        ("GET", "a, b", "/"),
        ("GET", "user@app.example.com", "/"),
        ("GET", "app.example.com/x", "/"),
        ("GET", "app.example.com", "*"),
        ("GET", "app.example.com", "/\x00"),
        ("GET", "app.example.com:123456", "/"),
        ("GET", "[fe80::1%25eth0]", "/"),
        ("GET", "[::1", "/"),
        ("GET", ":443", "/"),
    ],
)
def test_every_dialect_refuses_malformed_requests(
    dialect_and_proxy: DialectAndProxy, method: str, host: str, uri: str
) -> None:
    dialect, send = dialect_and_proxy
    if dialect is ENVOY and uri == "/\x00":
        return  # The HTTP parser refuses it before the dialect; rules deny it as well.
    with pytest.raises(AuthgwError) as caught:
        described(dialect, send(method, host, uri))
    if (host, uri) != ("app.example.com/x", "/"):
        assert caught.value.code in ("target_malformed", "target_missing")
    reply = dialect.render(Decision(Verdict.DENY, caught.value.code), None, identity=NAMES)
    assert reply.status == 403


def test_every_target_header_is_required_once(dialect_and_proxy: DialectAndProxy) -> None:
    dialect, send = dialect_and_proxy
    method, path, headers = send("GET", "app.example.com", "/a")
    for name, value in headers:
        twice = (method, path, [*headers, (name.lower(), value)])
        with pytest.raises(AuthgwError, match="target_duplicated"):
            described(dialect, twice)
        without = (method, path, [header for header in headers if header[0] != name])
        if (dialect, name) != (ENVOY, "X-Forwarded-Proto"):
            with pytest.raises(AuthgwError, match="target_missing"):
                described(dialect, without)


def test_every_dialect_accepts_trusted_proxies_only(dialect_and_proxy: DialectAndProxy) -> None:
    subrequest = dialect_and_proxy[1]("GET", "app.example.com", "/a")
    with pytest.raises(UntrustedProxyError, match=r"add 192\.0\.2\.1/32"):
        described(dialect_and_proxy[0], subrequest, peer="192.0.2.1")


@pytest.mark.parametrize("name", ["Remote-User", "remote_groups", "REMOTE.EMAIL", "Connection"])
def test_every_dialect_denies_identity_headers_from_a_client(
    dialect_and_proxy: DialectAndProxy, name: str
) -> None:
    method, path, headers = dialect_and_proxy[1]("GET", "app.example.com", "/a")
    with pytest.raises(AuthgwError, match="identity_header_from_client"):
        described(dialect_and_proxy[0], (method, path, [*headers, (name, "Remote-Name")]))


@pytest.mark.parametrize("caller", CALLERS)
def test_every_dialect_sends_the_identity(dialect_and_proxy: DialectAndProxy, caller: str) -> None:
    reply: ProxyResponse = dialect_and_proxy[0].render(
        Decision(Verdict.ALLOW, principal=CALLERS[caller]), None, identity=NAMES
    )
    values = ("alice", "a,b", "a@example.com", "Alice") if caller == "alice" else ("", "", "", "")
    assert (reply.status, reply.body) == (200, "")
    assert reply.headers == (
        *zip(NAMES.names, values, strict=True),
        ("Cache-Control", "no-store"),
    )


BROWSER = [("Accept", "text/html, */*;q=0.8"), ("Sec-Fetch-Mode", "navigate")]


@pytest.mark.parametrize(
    ("method", "more", "statuses"),
    [
        ("GET", BROWSER, {"nginx": 401, "forwarded": 302, "envoy": 302}),
        ("HEAD", BROWSER, {"nginx": 401, "forwarded": 302, "envoy": 302}),
        ("PUT", BROWSER, {}),
        ("OPTIONS", BROWSER, {}),
        ("PROPFIND", BROWSER, {}),
        ("GET", BROWSER[:1], {"nginx": 401, "forwarded": 302, "envoy": 302}),
        ("GET", [("Accept", "application/json")], {}),
        ("GET", [], {}),
        ("GET", [("Accept", "text/html"), ("Sec-Fetch-Mode", "cors")], {}),
        ("GET", [("Accept", "text/htmlx")], {}),
    ],
)
@pytest.mark.parametrize("name", DIALECTS)
def test_only_a_navigating_browser_is_redirected_to_the_login(
    name: str, method: str, more: list[tuple[str, str]], statuses: dict[str, int | None]
) -> None:
    dialect, send = DIALECTS[name]
    subrequest = send(method, "app.example.com:8443", "/a?b=c&d=%20")
    access = described(dialect, (subrequest[0], subrequest[1], [*subrequest[2], *more]))
    login = Decision(Verdict.LOGIN, "token_missing")
    reply: ProxyResponse = dialect.render(login, access, identity=NAMES, login_url=LOGIN)
    headers = dict(reply.headers)
    expected = statuses.get(name)
    assert reply.status == (expected or 401)
    assert ("WWW-Authenticate" in headers) == (reply.status == 401)
    back = "https%3A%2F%2Fapp.example.com%3A8443%2Fa%3Fb%3Dc%26d%3D%2520"
    assert headers.get("Location") == (f"{LOGIN}?rd={back}" if expected else None)
    assert dict(dialect.render(login, access, identity=NAMES).headers).get("Location") is None


@pytest.mark.parametrize("name", DIALECTS)
def test_a_recheck_is_a_redirect_of_its_own_for_browsers_and_401_for_programs(name: str) -> None:
    dialect, send = DIALECTS[name]
    sent = send("GET", "app.example.com", "/a")
    login = Decision(Verdict.LOGIN, "recheck")
    browser = described(dialect, (sent[0], sent[1], [*sent[2], *BROWSER]))
    reply = dialect.render(login, browser, identity=NAMES, login_url=LOGIN)
    back = "https%3A%2F%2Fapp.example.com%2Fa"
    assert dict(reply.headers)["Location"] == f"{LOGIN}?rd={back}&recheck=1"
    program = dialect.render(login, described(dialect, sent), identity=NAMES, login_url=LOGIN)
    headers = dict(program.headers)
    assert program.status == 401
    assert (headers["X-Authgw-Reason"], headers.get("Location")) == ("recheck", None)
    assert 'error="invalid_token"' in headers["WWW-Authenticate"]


HERE = "https://app.example.com:8443"


@pytest.mark.parametrize(
    ("referer", "back"),
    [
        (f"{HERE}/edit?id=1", f"{HERE}/edit?id=1"),
        (f"{HERE}/", f"{HERE}/"),
        ("http://app.example.com:8443/edit", f"{HERE}/edit"),
        ("https://app.example.com/edit", f"{HERE}/"),
        ("https://evil.example/x", f"{HERE}/"),
        ("https://app.example.com:8443@evil.example/x", f"{HERE}/"),
        ("javascript:alert(1)", f"{HERE}/"),
        ("", f"{HERE}/"),
        (f"{HERE}/" + "a" * 9000, f"{HERE}/"),
    ],
)
@pytest.mark.parametrize("name", DIALECTS)
def test_a_form_returns_to_its_page(name: str, referer: str, back: str) -> None:
    dialect, send = DIALECTS[name]
    subrequest = send("POST", "app.example.com:8443", "/save")
    headers = [*subrequest[2], *BROWSER, *([("Referer", referer)] if referer else [])]
    access = described(dialect, (subrequest[0], subrequest[1], headers))
    login = Decision(Verdict.LOGIN, "token_missing")
    reply: ProxyResponse = dialect.render(login, access, identity=NAMES, login_url=LOGIN)
    assert reply.status == (401 if dialect is NGINX else 303)
    location = urlsplit(dict(reply.headers)["Location"])
    assert parse_qs(location.query)["rd"] == [back]
    assert ("cut" in parse_qs(location.query)) == (len(referer) > 9000)


@pytest.mark.parametrize("letter", ["a", "%41", "\udcff", "é"])
@pytest.mark.parametrize("size", [100, 2600, 4096, 8191, 8192, 8193, 12288, 16384, 30000])
@pytest.mark.parametrize("name", DIALECTS)
def test_a_return_target_over_8_kib_is_cut_and_marked(name: str, size: int, letter: str) -> None:
    dialect, send = DIALECTS[name]
    start = b"https://app.example.com/x?"
    piece = letter.encode("utf-8", "surrogateescape")
    query = (piece * size)[: size - len(start)]
    url = (start + query).decode("utf-8", "surrogateescape")
    subrequest = send("GET", "app.example.com", url.removeprefix("https://app.example.com"))
    access = described(dialect, (subrequest[0], subrequest[1], [*subrequest[2], *BROWSER]))
    login = Decision(Verdict.LOGIN, "token_missing")
    reply: ProxyResponse = dialect.render(login, access, identity=NAMES, login_url=LOGIN)
    location = dict(reply.headers)["Location"]
    assert len(location) <= 3 * MAX_RD_BYTES + 100
    fields = parse_qs(urlsplit(location).query, errors="surrogateescape")
    if size <= MAX_RD_BYTES:
        assert fields == {"rd": [url]}
    else:
        assert fields == {"rd": ["https://app.example.com/"], "cut": ["yes"]}


@pytest.mark.parametrize("more", [BROWSER, BROWSER[:1]])
def test_a_rule_for_programs_redirects_no_browser_to_the_login(
    dialect_and_proxy: DialectAndProxy, more: list[tuple[str, str]]
) -> None:
    dialect, send = dialect_and_proxy
    subrequest = send("GET", "api.example.com", "/v1")
    decision = Decision(Verdict.LOGIN, "token_missing", accepts_cookie=False)
    access = described(dialect, (subrequest[0], subrequest[1], [*subrequest[2], *more]))
    reply = dialect.render(for_a_browser(decision, access), access, identity=NAMES, login_url=LOGIN)
    headers = dict(reply.headers)
    assert (reply.status, headers["X-Authgw-Reason"]) == (403, "programs_only")
    assert not {"Location", "WWW-Authenticate"} & set(headers)
    program = described(dialect, subrequest)
    reply = dialect.render(for_a_browser(decision, program), program, identity=NAMES)
    assert (reply.status, "WWW-Authenticate" in dict(reply.headers)) == (401, True)


@pytest.mark.parametrize(
    ("reason", "status"), [("no_rule", 403), ("not_permitted", 403), ("store_unavailable", 503)]
)
def test_every_dialect_refuses_alike(
    dialect_and_proxy: DialectAndProxy, reason: str, status: int
) -> None:
    reply: ProxyResponse = dialect_and_proxy[0].render(
        Decision(Verdict.DENY, reason), None, identity=NAMES
    )
    headers = dict(reply.headers)
    assert (reply.status, headers["X-Authgw-Reason"]) == (status, reason)
    assert headers["Cache-Control"] == "no-store"
    assert ("Retry-After" in headers) == (status == 503)
    assert (reply.body == "") == (dialect_and_proxy[0] is NGINX)


def test_a_recipe_with_the_wrong_endpoint_is_reported() -> None:
    with pytest.raises(WrongDialectError, match="/authenticate/forward"):
        described(NGINX, by_forwarding("GET", "app.example.com", "/"))
    with pytest.raises(WrongDialectError, match="NGINX and HAProxy ask /authenticate"):
        described(FORWARDED, by_nginx("GET", "app.example.com", "/"))
    with pytest.raises(AuthgwError, match=r"add: proxy_set_header X-Original-Host \$host;"):
        described(
            NGINX, ("GET", "/", [("X-Original-URL", "http://a/"), ("X-Original-Method", "GET")])
        )


@pytest.mark.parametrize("proto", ["ftp", "https, ftp", "https;http", ", http", "https://", "h2c"])
@pytest.mark.parametrize("name", ["forwarded", "envoy"])
def test_an_invalid_scheme_is_refused(name: str, proto: str) -> None:
    dialect, send = DIALECTS[name]
    method, path, headers = send("GET", "app.example.com", "/")
    headers = [(key, proto if key == "X-Forwarded-Proto" else value) for key, value in headers]
    with pytest.raises(AuthgwError, match="target_malformed"):
        described(dialect, (method, path, headers))


@pytest.mark.parametrize(
    ("proto", "scheme"),
    [
        ("https,http", "https"),
        ("https, http, http", "https"),
        ("http, https", "http"),
        ("HTTPS", "https"),
        (" https ", "https"),
        ("Wss", "https"),
        ("ws", "http"),
    ],
)
@pytest.mark.parametrize("name", ["forwarded", "envoy"])
def test_the_scheme_is_the_first_of_a_list(name: str, proto: str, scheme: str) -> None:
    dialect, send = DIALECTS[name]
    method, path, headers = send("GET", "app.example.com", "/")
    headers = [(key, proto if key == "X-Forwarded-Proto" else value) for key, value in headers]
    assert described(dialect, (method, path, headers)).location.scheme == scheme


@pytest.mark.parametrize(
    ("host", "canonical"),
    [
        ("app.example.com:443", "app.example.com"),
        ("app.example.com:0443", "app.example.com"),
        ("app.example.com:", "app.example.com"),
        ("app.example.com:0", "app.example.com"),
        ("app.example.com:80", "app.example.com:80"),
        ("app.example.com:08443", "app.example.com:8443"),
        ("APP.example.com.:443", "app.example.com"),
        ("[2001:DB8::0:1]:443", "[2001:db8::1]"),
    ],
)
def test_the_default_port_is_omitted_from_the_url(
    dialect_and_proxy: DialectAndProxy, host: str, canonical: str
) -> None:
    location = described(dialect_and_proxy[0], dialect_and_proxy[1]("GET", host, "/a?b")).location
    assert location.url == f"https://{canonical}/a?b"


def test_the_websocket_schemes_of_traefik() -> None:
    method, path, headers = by_forwarding("GET", "app.example.com", "/ws")
    headers = [(name, "wss" if value == "https" else value) for name, value in headers]
    assert described(FORWARDED, (method, path, headers)).location.scheme == "https"


CASES = [
    (proxy, name) for proxy, recorded in RECORDED["asked"].items() for name in recorded["cases"]
]


def replayed(proxy: str, name: str) -> Any:
    method, path, headers = RECORDED["asked"][proxy]["cases"][name]
    decoded = [
        (key, value.encode("latin-1").decode("utf-8", "surrogateescape")) for key, value in headers
    ]
    client = next(sent for sent in RECORDED["requests"] if sent["name"] == name)
    host = dict(client["headers"])["Host"]
    if proxy == "nginx":
        # Recorded before X-Original-Host was part of the recipe, in which NGINX sends $host.
        line = client["path"].removeprefix("http://").partition("/")[0]
        original_host = line or host.partition(":")[0]
        return described(NGINX, (method, path, [*decoded, ("X-Original-Host", original_host)]))
    if proxy == "haproxy":
        subrequest = by_nginx(client["method"], host, client["path"])
        return described(NGINX, (method, path, [*decoded, *subrequest[2]]))
    if proxy == "envoy":
        return described(ENVOY, (method, path.replace("/authenticate", ENVOY.path, 1), decoded))
    return described(FORWARDED, (method, path, decoded))


@pytest.mark.parametrize(("proxy", "name"), CASES)
def test_recorded_subrequests_of_real_proxies(proxy: str, name: str) -> None:
    client = next(sent for sent in RECORDED["requests"] if sent["name"] == name)
    refused = ""
    try:
        access = replayed(proxy, name)
    except AuthgwError as error:
        refused = error.code
    if refused == "identity_header_from_client":
        sent = " ".join(f"{key} {value}" for key, value in client["headers"]).lower()
        assert "remote-user" in sent or "remote_user" in sent
    elif refused:
        assert (name, refused) in (
            ("two_hosts", "target_malformed"),
            ("absolute_form", "host_conflict"),
            ("absolute_form", "target_malformed"),
        )
    else:
        assert access.method == client["method"]
        hosts = {"evil.example"} if name == "absolute_form" else set()
        assert access.location.host in {"app.example.com"} | hosts


@pytest.mark.parametrize("dialect", [FORWARDED, ENVOY])
def test_a_path_of_its_own_receives_subrequests_only(dialect: Dialect) -> None:
    assert dialect.is_subrequest([])
