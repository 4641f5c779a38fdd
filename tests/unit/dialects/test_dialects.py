"""One scenario table through every dialect, and what five real proxies were recorded to send."""

import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from authgw.core.errors import AuthgwError, UntrustedProxyError, WrongDialectError
from authgw.core.model import Decision, Principal, ProxyResponse, Verdict
from authgw.core.redirects import MAX_RD_BYTES
from authgw.dialects import envoy, forwarded, nginx
from authgw.dialects.responses import for_a_browser
from tests.support.dialects import DIALECTS, NAMES, Asked, by_forwarding, by_nginx, described

RECORDED = json.loads((Path(__file__).parents[2] / "data" / "recorded.json").read_text())
PEOPLE = {"alice": Principal("alice", "s", ("a", "b"), "a@example.com", "Alice"), "nobody": None}
LOGIN = "https://auth.example.com/login"


@pytest.fixture(params=DIALECTS)
def spoken(request: pytest.FixtureRequest) -> tuple[ModuleType, Callable[[str, str, str], Asked]]:
    return DIALECTS[request.param]


Spoken = tuple[ModuleType, Callable[[str, str, str], Asked]]


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
    spoken: Spoken, method: str, host: str, uri: str, url: str
) -> None:
    access = described(spoken[0], spoken[1](method, host, uri))
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
    spoken: Spoken, method: str, host: str, uri: str
) -> None:
    dialect, ask = spoken
    if dialect is envoy and uri == "/\x00":
        return  # The parser of HTTP refuses it before the dialect; rules deny it as well.
    with pytest.raises(AuthgwError) as caught:
        described(dialect, ask(method, host, uri))
    if (host, uri) != ("app.example.com/x", "/"):
        assert caught.value.code in ("target_malformed", "target_missing")
    reply = dialect.render(Decision(Verdict.DENY, caught.value.code), None, identity=NAMES)
    assert reply.status == 403


def test_every_target_header_is_required_once(spoken: Spoken) -> None:
    dialect, ask = spoken
    method, path, said = ask("GET", "app.example.com", "/a")
    for name, value in said:
        twice = (method, path, [*said, (name.lower(), value)])
        with pytest.raises(AuthgwError, match="target_duplicated"):
            described(dialect, twice)
        without = (method, path, [one for one in said if one[0] != name])
        if (dialect, name) != (envoy, "X-Forwarded-Proto"):
            with pytest.raises(AuthgwError, match="target_missing"):
                described(dialect, without)


def test_every_dialect_accepts_trusted_proxies_only(spoken: Spoken) -> None:
    asked = spoken[1]("GET", "app.example.com", "/a")
    with pytest.raises(UntrustedProxyError, match=r"add 192\.0\.2\.1/32"):
        described(spoken[0], asked, peer="192.0.2.1")


@pytest.mark.parametrize("name", ["Remote-User", "remote_groups", "REMOTE.EMAIL", "Connection"])
def test_every_dialect_denies_identity_headers_from_a_client(spoken: Spoken, name: str) -> None:
    method, path, said = spoken[1]("GET", "app.example.com", "/a")
    with pytest.raises(AuthgwError, match="identity_header_from_client"):
        described(spoken[0], (method, path, [*said, (name, "Remote-Name")]))


@pytest.mark.parametrize("whom", PEOPLE)
def test_every_dialect_sends_the_identity(spoken: Spoken, whom: str) -> None:
    reply: ProxyResponse = spoken[0].render(
        Decision(Verdict.ALLOW, principal=PEOPLE[whom]), None, identity=NAMES
    )
    said = ("alice", "a,b", "a@example.com", "Alice") if whom == "alice" else ("", "", "", "")
    assert (reply.status, reply.body) == (200, "")
    assert reply.headers == (
        *zip(NAMES.names, said, strict=True),
        ("Cache-Control", "no-store"),
    )


BROWSER = [("Accept", "text/html, */*;q=0.8"), ("Sec-Fetch-Mode", "navigate")]


@pytest.mark.parametrize(
    ("method", "more", "answers"),
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
    name: str, method: str, more: list[tuple[str, str]], answers: dict[str, int | None]
) -> None:
    dialect, ask = DIALECTS[name]
    asked = ask(method, "app.example.com:8443", "/a?b=c&d=%20")
    access = described(dialect, (asked[0], asked[1], [*asked[2], *more]))
    login = Decision(Verdict.LOGIN, "token_missing")
    reply: ProxyResponse = dialect.render(login, access, identity=NAMES, login_url=LOGIN)
    headers = dict(reply.headers)
    expected = answers.get(name)
    assert reply.status == (expected or 401)
    assert ("WWW-Authenticate" in headers) == (reply.status == 401)
    back = "https%3A%2F%2Fapp.example.com%3A8443%2Fa%3Fb%3Dc%26d%3D%2520"
    assert headers.get("Location") == (f"{LOGIN}?rd={back}" if expected else None)
    assert dict(dialect.render(login, access, identity=NAMES).headers).get("Location") is None


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
    dialect, ask = DIALECTS[name]
    asked = ask("POST", "app.example.com:8443", "/save")
    said = [*asked[2], *BROWSER, *([("Referer", referer)] if referer else [])]
    access = described(dialect, (asked[0], asked[1], said))
    login = Decision(Verdict.LOGIN, "token_missing")
    reply: ProxyResponse = dialect.render(login, access, identity=NAMES, login_url=LOGIN)
    assert reply.status == (401 if dialect is nginx else 303)
    where = urlsplit(dict(reply.headers)["Location"])
    assert parse_qs(where.query)["rd"] == [back]
    assert ("cut" in parse_qs(where.query)) == (len(referer) > 9000)


@pytest.mark.parametrize("letter", ["a", "%41", "\udcff", "é"])
@pytest.mark.parametrize("size", [100, 2600, 4096, 8191, 8192, 8193, 12288, 16384, 30000])
@pytest.mark.parametrize("name", DIALECTS)
def test_a_return_target_over_8_kib_is_cut_and_marked(name: str, size: int, letter: str) -> None:
    dialect, ask = DIALECTS[name]
    start = b"https://app.example.com/x?"
    piece = letter.encode("utf-8", "surrogateescape")
    query = (piece * size)[: size - len(start)]
    url = (start + query).decode("utf-8", "surrogateescape")
    asked = ask("GET", "app.example.com", url.removeprefix("https://app.example.com"))
    access = described(dialect, (asked[0], asked[1], [*asked[2], *BROWSER]))
    login = Decision(Verdict.LOGIN, "token_missing")
    reply: ProxyResponse = dialect.render(login, access, identity=NAMES, login_url=LOGIN)
    where = dict(reply.headers)["Location"]
    assert len(where) <= 3 * MAX_RD_BYTES + 100
    said = parse_qs(urlsplit(where).query, errors="surrogateescape")
    if size <= MAX_RD_BYTES:
        assert said == {"rd": [url]}
    else:
        assert said == {"rd": ["https://app.example.com/"], "cut": ["yes"]}


@pytest.mark.parametrize("more", [BROWSER, BROWSER[:1]])
def test_a_rule_for_programs_redirects_no_browser_to_the_login(
    spoken: Spoken, more: list[tuple[str, str]]
) -> None:
    dialect, ask = spoken
    asked = ask("GET", "api.example.com", "/v1")
    decision = Decision(Verdict.LOGIN, "token_missing", accepts_cookie=False)
    access = described(dialect, (asked[0], asked[1], [*asked[2], *more]))
    reply = dialect.render(for_a_browser(decision, access), access, identity=NAMES, login_url=LOGIN)
    headers = dict(reply.headers)
    assert (reply.status, headers["X-Authgw-Reason"]) == (403, "programs_only")
    assert not {"Location", "WWW-Authenticate"} & set(headers)
    program = described(dialect, asked)
    reply = dialect.render(for_a_browser(decision, program), program, identity=NAMES)
    assert (reply.status, "WWW-Authenticate" in dict(reply.headers)) == (401, True)


@pytest.mark.parametrize(
    ("reason", "status"), [("no_rule", 403), ("not_permitted", 403), ("store_unavailable", 503)]
)
def test_every_dialect_refuses_alike(spoken: Spoken, reason: str, status: int) -> None:
    reply: ProxyResponse = spoken[0].render(Decision(Verdict.DENY, reason), None, identity=NAMES)
    headers = dict(reply.headers)
    assert (reply.status, headers["X-Authgw-Reason"]) == (status, reason)
    assert headers["Cache-Control"] == "no-store"
    assert ("Retry-After" in headers) == (status == 503)
    assert (reply.body == "") == (spoken[0] is nginx)


def test_a_recipe_with_the_wrong_endpoint_is_reported() -> None:
    with pytest.raises(WrongDialectError, match="/authenticate/forward"):
        described(nginx, by_forwarding("GET", "app.example.com", "/"))
    with pytest.raises(WrongDialectError, match="NGINX and HAProxy ask /authenticate"):
        described(forwarded, by_nginx("GET", "app.example.com", "/"))
    with pytest.raises(AuthgwError, match=r"add: proxy_set_header X-Original-Host \$host;"):
        described(
            nginx, ("GET", "/", [("X-Original-URL", "http://a/"), ("X-Original-Method", "GET")])
        )


@pytest.mark.parametrize("proto", ["ftp", "https, ftp", "https;http", ", http", "https://", "h2c"])
@pytest.mark.parametrize("name", ["forwarded", "envoy"])
def test_an_invalid_scheme_is_refused(name: str, proto: str) -> None:
    dialect, ask = DIALECTS[name]
    method, path, said = ask("GET", "app.example.com", "/")
    said = [(key, proto if key == "X-Forwarded-Proto" else value) for key, value in said]
    with pytest.raises(AuthgwError, match="target_malformed"):
        described(dialect, (method, path, said))


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
    dialect, ask = DIALECTS[name]
    method, path, said = ask("GET", "app.example.com", "/")
    said = [(key, proto if key == "X-Forwarded-Proto" else value) for key, value in said]
    assert described(dialect, (method, path, said)).location.scheme == scheme


@pytest.mark.parametrize(
    ("host", "shown"),
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
def test_the_default_port_is_omitted_from_the_url(spoken: Spoken, host: str, shown: str) -> None:
    location = described(spoken[0], spoken[1]("GET", host, "/a?b")).location
    assert location.url == f"https://{shown}/a?b"


def test_the_websocket_schemes_of_traefik() -> None:
    method, path, said = by_forwarding("GET", "app.example.com", "/ws")
    said = [(name, "wss" if value == "https" else value) for name, value in said]
    assert described(forwarded, (method, path, said)).location.scheme == "https"


CASES = [
    (proxy, name) for proxy, recorded in RECORDED["asked"].items() for name in recorded["cases"]
]


def replayed(proxy: str, name: str) -> Any:
    method, path, headers = RECORDED["asked"][proxy]["cases"][name]
    said = [
        (key, value.encode("latin-1").decode("utf-8", "surrogateescape")) for key, value in headers
    ]
    client = next(one for one in RECORDED["requests"] if one["name"] == name)
    host = dict(client["headers"])["Host"]
    if proxy == "nginx":
        # Recorded before X-Original-Host was part of the recipe: there NGINX sends $host.
        line = client["path"].removeprefix("http://").partition("/")[0]
        canonical = line or host.partition(":")[0]
        return described(nginx, (method, path, [*said, ("X-Original-Host", canonical)]))
    if proxy == "haproxy":
        asked = by_nginx(client["method"], host, client["path"])
        return described(nginx, (method, path, [*said, *asked[2]]))
    if proxy == "envoy":
        return described(envoy, (method, path.replace("/authenticate", envoy.PREFIX, 1), said))
    return described(forwarded, (method, path, said))


@pytest.mark.parametrize(("proxy", "name"), CASES)
def test_recorded_subrequests_of_real_proxies(proxy: str, name: str) -> None:
    client = next(one for one in RECORDED["requests"] if one["name"] == name)
    refused = ""
    try:
        access = replayed(proxy, name)
    except AuthgwError as error:
        refused = error.code
    if refused == "identity_header_from_client":
        brought = " ".join(f"{key} {value}" for key, value in client["headers"]).lower()
        assert "remote-user" in brought or "remote_user" in brought
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
