"""The shipped NGINX files, in a real NGINX, in front of a real gateway."""

import asyncio
import http.server
import os
import signal
import threading
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import aiohttp
import pytest

from authgw.recipes.cleared import CLEARED
from tests.support.nginx import SPELLINGS, NginxFront, raw, run_nginx, running_site
from tests.support.nginx_versions import NGINXES
from tests.support.processes import HttpResponse, ask, free_port, wait_for


@pytest.fixture(scope="module", params=NGINXES)
def nginx(request: pytest.FixtureRequest) -> list[str]:
    return NGINXES[request.param]()


@pytest.fixture(scope="module")
def site(nginx: list[str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[NginxFront]:
    yield from running_site(tmp_path_factory.mktemp("site"), program=nginx)


def received(answer: HttpResponse) -> dict[str, str]:
    return {name.lower(): value for name, value in answer.json()["headers"]}


def test_the_whole_chain(site: NginxFront) -> None:
    anonymous = site.get("/page?a=b")
    assert anonymous.status == 401
    assert anonymous.headers["WWW-Authenticate"] == 'Bearer realm="authgw"'
    assert anonymous.headers["X-Authgw-Reason"] == "token_missing"
    assert anonymous.headers["Cache-Control"] == "no-store"
    assert anonymous.headers["X-Request-ID"].encode() in anonymous.body
    pair = site.gateway.login(7, site.port, groups=["users", "admins"], name="Zoë")
    answer = site.get("/page?a=b%2Fc", pair["access"])
    assert answer.status == 200
    assert answer.json()["path"] == "/page?a=b%2Fc"
    received_headers = received(answer)
    assert (received_headers["remote-user"], received_headers["remote-groups"]) == (
        "7",
        "users,admins",
    )
    assert received_headers["remote-name"].encode("latin-1").decode() == "Zoë"
    assert "remote-email" not in received_headers
    bearer = {"Authorization": f"Bearer {pair['access']}"}
    assert ask(site.port, "POST", "/logout", bearer).status == 200
    assert site.get("/page", pair["access"]).status == 401


def test_refresh_through_nginx(site: NginxFront) -> None:
    pair = site.gateway.login(1, site.port)
    new = ask(site.port, "POST", "/refresh", body={"refresh": pair["refresh"]}).json()
    assert site.get("/", new["access"]).status == 200
    claims = ask(
        site.port, "GET", "/authenticate", {"Authorization": f"Bearer {new['access']}"}
    ).json()
    assert claims["user_id"] == 1


@pytest.mark.parametrize("name", SPELLINGS)
def test_spoofed_identity_never_arrives(site: NginxFront, name: str) -> None:
    pair = site.gateway.login(3)
    answer = site.get("/", pair["access"], **{name: "admin"})
    # A request may pass without a header that NGINX drops; a header that it keeps is denied.
    assert answer.status in (200, 403)
    assert b"admin" not in answer.body
    if answer.status == 200:
        assert received(answer)["remote-user"] == "3"
    assert site.get("/", **{name: "admin"}).status in (401, 403)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer x"},
        {"Authorization": "Bearer"},
        {"Authorization": "Basic eDp5"},
        {"Authorization": "Bearer a b"},
        {"Authorization": "\x80\xff"},
        {"Connection": "Remote-User"},
        {"Cookie": "authgw=x; " + "a=b; " * 4000},
        {"X": "y" * 20000},
        {"X-Original-URL": "http://localhost/public", "X-Original-Host": "localhost"},
        {"X-Forwarded-Uri": "/public", "X-Forwarded-For": "10.0.0.1"},
        {"Upgrade": "websocket", "Connection": "upgrade"},
        {"Expect": "100-continue"},
        {"Content-Encoding": "gzip"},
    ],
)
def test_denials_are_401_or_403(site: NginxFront, headers: dict[str, str]) -> None:
    assert ask(site.port, "GET", "/", headers).status in (401, 403)


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_no_method_passes_without_a_token(site: NginxFront, method: str) -> None:
    assert ask(site.port, method, "/").status == 401


@pytest.mark.parametrize("path", ["/_authgw", "/login/", "//login", "/login/../page", "/loginx"])
def test_no_path_leads_around(site: NginxFront, path: str) -> None:
    assert site.get(path).status in (400, 401, 404, 405)


def test_requests_in_other_shapes_are_denied(site: NginxFront) -> None:
    head = b"GET http://evil.example/ HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    assert b" 421 " in raw(site.port, head)
    absolute = b"GET http://localhost/ HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n"
    assert b" 403 " in raw(site.port, absolute)
    assert b" 421 " in raw(site.port, b"GET / HTTP/1.0\r\n\r\n")
    twice = (
        b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
        b"Authorization: Bearer a\r\nAuthorization: Bearer b\r\n\r\n"
    )
    assert raw(site.port, twice).split(b" ")[1] in (b"400", b"401")


MANY = "; ".join(f"authgw={number}; a{number}={number}" for number in range(20))


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("authgw=x", None),
        ("a=1; authgw=x; b=2", "a=1; b=2"),
        ("__Host-authgw=x; a=1", "a=1"),
        ("a=1; __Secure-authgw=x", "a=1"),
        ("authgw=1; authgw=2; a=1; authgw=3; authgw=4", "a=1"),
        # As many cookies in sequence, and in twelve places between others, as the recipe handles.
        ("; ".join(["authgw=1"] * 40 + ["a=1"] + ["__Host-authgw-flow-9=1"] * 40), "a=1"),
        (
            "; ".join(f"a{number}=1; authgw-f{number}=x" for number in range(12)),
            "; ".join(f"a{number}=1" for number in range(12)),
        ),
        # With more cookies than that, a session cookie could be hidden behind them.
        (MANY, None),
        # All names with the prefix belong to authgw, also in later versions.
        ("a=1; __Secure-authgw-csrf=x; authgw-login=y; __Host-authgw-flow-q=z; b=2", "a=1; b=2"),
        ("a=1;authgw=x;b=2", "a=1;b=2"),
        ("authgw=x;a=1", "a=1"),
        ("a=1; \tauthgw \t=x; b=2", "a=1; b=2"),
        ("authgw-=x; a=1", "a=1"),
        # A proxy may have joined two headers with a comma; the gateway parses both.
        ("a=1,authgw=5; b=2", "a=1; b=2"),
        ("a=1, __Host-authgw=5", "a=1"),
        ("authgw=1,b=2; c=3", "c=3"),
        (",authgw=5; b=2", "; b=2"),
        # Cookies of other apps with similar names.
        ("notauthgw=1; a=authgw=2", "notauthgw=1; a=authgw=2"),
        ("authgwx=1; authgw; Authgw=1; xauthgw-a=1", "authgwx=1; authgw; Authgw=1; xauthgw-a=1"),
        ("a=1; b=2", "a=1; b=2"),
        ("a=1;; b=2;", "a=1;; b=2;"),
        ('a="x; y"; b={"k":[1,2]}', 'a="x; y"; b={"k":[1,2]}'),
        ("a=" + "x" * 20000 + "; authgw=1", "a=" + "x" * 20000),
        ("; ".join(["a"] * 6000) + "; authgw=1", "; ".join(["a"] * 6000)),
    ],
)
def test_session_cookies_are_removed_and_others_stay(
    site: NginxFront, sent: str, kept: str | None
) -> None:
    token = site.gateway.login()["access"]
    assert received(site.get("/", token, Cookie=sent)).get("cookie") == kept


def test_a_client_cannot_set_proxy_headers(site: NginxFront) -> None:
    token = site.gateway.login()["access"]
    identity = {"remote-user", "remote-groups", "remote-email", "remote-name"}
    names = [name for name in CLEARED if name.lower() not in identity]
    for some in (names[::2], names[1::2]):
        sent = {name.replace("-", "__"): "forged" for name in some}
        answer = site.get("/", token, **sent, X__Forwarded__Port="1", X__Real__IP="6.6.6.6")
        assert answer.status == 200
        received_headers = received(answer)
        assert "forged" not in received_headers.values()
        assert (received_headers["x-forwarded-port"], received_headers["x-real-ip"]) == (
            "80",
            "127.0.0.1",
        )
        assert not {name.lower() for name in some} & received_headers.keys()
    # The gateway has checked the method, so the app may use it.
    kept = site.get("/", token, X__HTTP__Method__Override="GET")
    assert kept.status == 403 or received(kept)["x-http-method-override"] == "GET"
    assert "[warn]" not in site.log.partition("a client request body is buffered")[0]


class Stub(http.server.BaseHTTPRequestHandler):
    """A gateway that redirects requests of any method to a login page."""

    def do_GET(self) -> None:
        if self.path != "/authenticate":
            self.send_response(200)
        else:
            self.send_response(401)
            self.send_header("X-Authgw-Reason", "token_missing")
            if self.headers["Accept"] == "text/html":
                self.send_header("Location", "https://auth.test/login?rd=x")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def stubbed(nginx: list[str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Stub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    folder = tmp_path_factory.mktemp("stubbed")
    gateway = server.server_address[1]
    process, port = run_nginx(folder, gateway=gateway, sample=free_port(), program=nginx)
    try:
        wait_for(port, "/ping")
        yield port
    finally:
        process.terminate()
        process.wait(10)
        server.shutdown()


@pytest.mark.parametrize(
    ("method", "status"),
    [("GET", 302), ("HEAD", 302), ("POST", 303), ("PUT", 303), ("PROPFIND", 303), ("OPTIONS", 303)],
)
def test_a_browser_is_sent_to_log_in_by_any_method(stubbed: int, method: str, status: int) -> None:
    body = b"a=b" if method == "POST" else None
    answer = ask(stubbed, method, "/x", {"Accept": "text/html"}, body)
    assert answer.status == status
    assert answer.headers["Location"] == "https://auth.test/login?rd=x"
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["X-Authgw-Reason"] == "token_missing"
    program = ask(stubbed, method, "/x", {}, body)
    assert program.status == 401
    assert "Location" not in program.headers
    assert method == "HEAD" or b"token_missing" in program.body


def test_a_body_of_a_megabyte_passes(site: NginxFront) -> None:
    bearer = {"Authorization": f"Bearer {site.gateway.login()['access']}"}
    answer = ask(site.port, "POST", "/upload", bearer, b"x" * 1_000_000)
    assert (answer.status, answer.json()["bytes"]) == (200, 1_000_000)
    assert ask(site.port, "POST", "/upload", body=b"x" * 1_000_000).status == 401


async def test_a_websocket_passes(site: NginxFront) -> None:
    bearer = {"Authorization": f"Bearer {site.gateway.login()['access']}", "Host": "localhost"}
    url = f"ws://127.0.0.1:{site.port}/ws"
    async with aiohttp.ClientSession() as client:
        async with client.ws_connect(url, headers=bearer) as link:
            await link.send_str("hello")
            assert (await link.receive(5)).data == "echo hello"
        with pytest.raises(aiohttp.WSServerHandshakeError, match="401"):
            await client.ws_connect(url, headers={"Host": "localhost"})


async def pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while chunk := await reader.read(65536):
        writer.write(chunk)
    writer.close()


def counting_pipe(
    target: int, opened: list[int]
) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]:
    async def count(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        opened.append(1)
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", target)
        both = (pipe(reader, far_writer), pipe(far_reader, writer))
        await asyncio.gather(*both, return_exceptions=True)

    return count


async def test_connections_to_the_gateway_are_reused(tmp_path: Path, nginx: list[str]) -> None:
    for site in running_site(tmp_path, program=nginx):
        target = site.gateway.port
        opened: list[int] = []
        count = counting_pipe(target, opened)
        counter = await asyncio.start_server(count, "127.0.0.1", 0)
        port = counter.sockets[0].getsockname()[1]
        upstream = site.folder / "conf" / "authgw" / "upstream.conf"
        text = upstream.read_text()
        upstream.write_text(text.replace(str(target), str(port)))
        os.kill(int((site.folder / "nginx.pid").read_text()), signal.SIGHUP)
        await asyncio.sleep(1)
        token = site.gateway.login()["access"]
        statuses = []
        for number in range(200):
            good = number % 2 == 0
            answer = await asyncio.to_thread(site.get, "/", token if good else "bad")
            statuses.append(answer.status)
        assert statuses == [200, 401] * 100
        assert 1 <= len(opened) <= 5
        counter.close()


def test_a_pasted_location_cannot_be_used_to_spoof(tmp_path: Path, nginx: list[str]) -> None:
    # Its own proxy_set_header replaces those of the server; identity.conf was not pasted.
    extra = (
        "    location /careless { proxy_set_header X-Mine 1; proxy_pass http://sample; }\n"
        "    location /public { auth_request off; include authgw/identity.conf; "
        "proxy_pass http://sample; }\n"
    )
    for site in running_site(tmp_path, extra, program=nginx):
        token = site.gateway.login()["access"]
        assert site.get("/careless", token).status == 200
        for name in SPELLINGS:
            answer = site.get("/careless", token, **{name: "admin"})
            assert b"admin" not in answer.body
            answer = site.get("/public", **{name: "admin"})
            assert answer.status == 200
            assert b"admin" not in answer.body


def test_an_unavailable_or_hung_gateway_is_503(tmp_path: Path, nginx: list[str]) -> None:
    for site in running_site(tmp_path, program=nginx):
        token = site.gateway.login()["access"]
        assert site.gateway.process is not None
        site.gateway.process.send_signal(signal.SIGSTOP)
        hung = site.get("/", token)
        site.gateway.process.send_signal(signal.SIGCONT)
        assert hung.status == 503
        assert hung.headers["Retry-After"] == "1"
        assert site.get("/", token).status == 200
        site.gateway.stop()
        for answer in (site.get("/", token), site.get("/"), site.get("/ping")):
            assert answer.status == 503
            assert answer.headers["Retry-After"] == "1"
            assert answer.headers["Cache-Control"] == "no-store"
        site.gateway.start()
        assert site.get("/", token).status == 200


RULES = """\
rules:
  - {path: /public/**, allow: anyone}
  - {path: /admin/**, allow: "group:admins"}
  - {path: /files/**, allow: authenticated, encoded: slash}
  - {path: /app/**, allow: authenticated}
"""
CONFUSED = [
    "//admin",
    "/public/../admin",
    "/public/..%2fadmin",
    "/public/%2e%2e/admin",
    "/app/a%2f..%2f..%2fadmin",
    "/%2561dmin",
    "/admin;x",
    "/public;/../admin",
    "/app//admin",
    "/public/x\\..\\admin",
    "/%61dmin/x",
]


def test_rules_through_nginx(tmp_path: Path, nginx: list[str]) -> None:
    for site in running_site(tmp_path, config=RULES, program=nginx):
        user = site.gateway.login(1)["access"]
        admin = site.gateway.login(2, groups=["admins"])["access"]
        assert site.get("/public/x").status == 200
        assert site.get("/admin/x").status == 401
        assert site.get("/admin/x", admin).status == 200
        denied = site.get("/admin/x", user)
        assert (denied.status, denied.headers["X-Authgw-Reason"]) == (403, "not_permitted")
        assert b"not_permitted" in denied.body
        assert site.get("/other", admin).headers["X-Authgw-Reason"] == "no_rule"
        passed = site.get("/files/group%2Fproject", user)
        assert passed.json()["path"] == "/files/group%2Fproject"
        for path in CONFUSED:
            assert site.get(path, user).status in (400, 403), path
        spoofed = site.get("/public/x", X__Original__URL="http://localhost/x")
        assert spoofed.status == 200
        assert site.get("/authenticate", user).status == 403
        site.gateway.stop()
        assert site.get("/public/x").status == 503
