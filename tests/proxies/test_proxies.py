"""A table of scenarios, through five real proxies."""

import json
import posixpath
import re
import signal
import socketserver
import threading
from base64 import b64encode
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

import aiohttp
import pytest

from tests.support.foreign_authorization import FOREIGN, OF_A_CONNECTION
from tests.support.nginx import SPELLINGS
from tests.support.processes import Answer, ask
from tests.support.proxies import BROWSER, HOST, LOGIN, Proxied, lower, running, told

RECORDED = json.loads((Path(__file__).parents[1] / "data" / "recorded.json").read_text())
IDENTITY = ("remote-user", "remote-groups", "remote-email", "remote-name")
# By the gateway; by NGINX if there are two lines of Authorization.
REFUSED = (401, 400)
BACK = f"{LOGIN}/login?rd={quote(f'http://{HOST}', safe='')}"


def resolved(path: str) -> str:
    """Return the path that a lenient upstream would use."""
    path = path.partition("?")[0].partition("#")[0]
    for _ in range(4):
        path = unquote(path)
    path = path.replace("\\", "/").replace("\x00", "")
    path = "/".join(segment.partition(";")[0] for segment in path.split("/"))
    return "/" + posixpath.normpath(path).lstrip("/").lower()


def is_admin(path: str) -> bool:
    return resolved(path) == "/admin" or resolved(path).startswith("/admin/")


def only_as(answer: Answer, user: str, groups: str = "users") -> None:
    """Check that the app received this identity, each header once, and no similar header."""
    identity_headers = [(name, value) for name, value in told(answer) if "remote" in name]
    assert {name for name, _ in identity_headers} <= set(IDENTITY), identity_headers
    assert len(dict(identity_headers)) == len(identity_headers), identity_headers
    response_headers = dict(identity_headers)
    assert (response_headers.get("remote-user", ""), response_headers.get("remote-groups", "")) == (
        user,
        groups,
    )
    assert response_headers.get("remote-email", "") == ""


def test_a_browser_is_sent_to_log_in_and_back(proxied: Proxied) -> None:
    answer = proxied.send("/page?a=b%20c&d=/e", *BROWSER)
    back = quote(f"http://{HOST}/page?a=b%20c&d=/e", safe="")
    assert answer.status == 302
    headers = lower(answer)
    assert headers["location"] == f"{LOGIN}/login?rd={back}"
    assert headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    "headers",
    [
        [("Accept", "application/json")],
        [("Accept", "text/html"), ("X-Requested-With", "XMLHttpRequest")],
        [("Accept", "text/html"), ("Sec-Fetch-Mode", "cors")],
        [("Authorization", "Bearer x")],
    ],
)
def test_a_program_gets_401(proxied: Proxied, headers: list[tuple[str, str]]) -> None:
    answer = proxied.send("/page", *headers)
    assert answer.status == 401
    response_headers = lower(answer)
    assert response_headers["x-authgw-reason"] in ("token_missing", "token_malformed")
    assert response_headers["x-request-id"]


def test_the_wrong_group_gets_403_and_the_right_one_passes(proxied: Proxied) -> None:
    assert proxied.send("/admin/x", token=proxied.login(1, "users")).status == 403
    answer = proxied.send("/admin/x", token=proxied.login(2, "users", "admins"))
    assert answer.status == 200
    only_as(answer, "2", "users,admins")
    names = [value for name, value in told(answer) if name == "remote-name"]
    assert [name.encode("latin-1").decode() for name in names] == ["Zoë"]


def test_a_public_page_receives_no_identity(proxied: Proxied) -> None:
    answer = proxied.send("/public/x?y=z")
    assert (answer.status, answer.json()["path"]) == (200, "/public/x?y=z")
    only_as(answer, "", "")


@pytest.mark.parametrize("name", SPELLINGS)
def test_spoofed_identity_never_arrives(proxied: Proxied, name: str) -> None:
    token = proxied.login(3, "users")
    for path in ("/", "/public/x"):
        for sent in ([(name, "root")], [(name, "root"), ("Connection", name)], [(name, "")]):
            for known_token in (token, ""):
                answer = proxied.send(path, *sent, token=known_token)
                assert b"root" not in answer.body
                if answer.status == 200:
                    # A public page does not wait long for the identity.
                    nobody = not known_token or (
                        path != "/" and ("remote-user", "3") not in told(answer)
                    )
                    only_as(answer, *(("", "") if nobody else ("3", "users")))
                else:
                    assert answer.status in (400, 401, 403)


@pytest.mark.parametrize("name", [*IDENTITY, "Remote-User, Remote-Groups"])
def test_connection_cannot_drop_the_identity(proxied: Proxied, name: str) -> None:
    answer = proxied.send("/", ("Connection", name), token=proxied.login(3, "users"))
    assert answer.status in (200, 400, 403)
    if answer.status == 200:
        only_as(answer, "3")
        # If the app is a proxy, it must not be told to drop the identity either.
        assert not [
            value for name, value in told(answer) if name == "connection" and "emote" in value
        ]


@pytest.mark.parametrize("recorded", RECORDED["requests"], ids=lambda one: one["name"])
def test_recorded_requests(proxied: Proxied, recorded: dict[str, Any]) -> None:
    sizes = {"cookie_8k": 8192, "cookie_20k": 20480}
    headers, path = [], recorded["path"]
    for name, value in recorded["headers"]:
        if name in ("Connection", "Content-Length", "Transfer-Encoding", "Expect"):
            continue
        if recorded["name"] in sizes and name == "Cookie":
            value = "a=" + "x" * (sizes[recorded["name"]] - 2)
        headers.append((name, value.replace("app.example.com", HOST)))
    if recorded["name"] == "long_url_10k":
        path = "/a?q=" + "z" * 10240
    body = b"x" * recorded["body"]
    path = path.replace("app.example.com", HOST)

    def send(token: str = "") -> Answer:
        return proxied.send(
            path,
            *headers,
            body=body,
            token=token,
            method=recorded["method"],
            version=recorded["version"],
            host=None,
        )

    anonymous = send()
    assert not 200 <= anonymous.status < 300
    known_token = send(proxied.login(3, "users"))
    assert known_token.status != 500
    if known_token.status == 200 and recorded["method"] != "HEAD":
        assert not is_admin(known_token.json()["path"])
        only_as(known_token, "3")


@pytest.mark.parametrize(
    "path",
    [
        *("//admin", "/a/../admin", "/a%2f..%2fadmin", "/%2561dmin", "/admin;x", "/admin%00"),
        *("/public/../admin", "/public/%2e%2e/admin", "/public/..%2fadmin", "/public//../admin"),
        *(
            "/public/..;/admin",
            "/public/%2e%2e%2fadmin",
            "/public\\..\\admin",
            "/ADMIN",
            "/./admin",
        ),
        *("/public/#/../../admin", "/a#/../admin", "/admin#", "/%61dmin", "/admin/.", "/admin?x"),
    ],
)
def test_no_spelling_reaches_what_is_not_allowed(proxied: Proxied, path: str) -> None:
    for token in (proxied.login(3, "users"), ""):
        answer = proxied.send(path, token=token)
        assert answer.status not in (0, 500)
        if answer.status == 200:
            assert not is_admin(answer.json()["path"])


def test_client_headers_about_the_request_are_ignored(proxied: Proxied) -> None:
    forged = [
        ("X-Forwarded-Uri", "/public/x"),
        ("X-Forwarded-Method", "OPTIONS"),
        ("X-Forwarded-Host", "other.test"),
        ("X-Forwarded-Proto", "https"),
        ("X-Forwarded-For", "10.1.2.3"),
        ("X-Real-IP", "10.1.2.3"),
        ("X-Original-URL", f"http://{HOST}/public/x"),
        ("X-Original-Method", "OPTIONS"),
        ("X-Original-Host", HOST),
        ("X-Rewrite-URL", "/public/x"),
        ("X-HTTP-Method-Override", "OPTIONS"),
    ]
    user = proxied.login(3, "users")
    for some in [*([lie] for lie in forged), forged]:
        assert proxied.send("/page", *some).status in (401, 403), some
        assert proxied.send("/admin/x", *some, token=user).status == 403, some
        assert proxied.send("/net/x", *some).status in (401, 403), some
        assert proxied.send("/page", *some, token=user).status in (200, 403), some


def test_another_host_in_the_request_line(proxied: Proxied) -> None:
    user = proxied.login(3, "users")
    for path, host in [
        ("http://evil.example/public/x", HOST),
        (f"http://{HOST}/admin/x", "evil.example"),
        (f"http://{HOST}/admin/x", HOST),
        ("/page", "evil.example"),
        ("/page", f"{HOST}, evil.example"),
    ]:
        answer = proxied.send(path, token=user, host=host)
        assert not 200 <= answer.status < 300, (path, host)
    assert proxied.send("/page", ("Host", "evil.example"), token=user).status not in (200, 500)


def test_cookies(proxied: Proxied) -> None:
    token = proxied.login(3, "users")
    large = [("Cookie", "; ".join(f"c{n}={'x' * 2000}" for n in range(10)))]
    assert proxied.send("/", *large, token=token).status == 200
    answer = proxied.send("/", ("Cookie", "a=1"), ("Cookie", "b=2"), token=token)
    assert answer.status == 200
    joined = "; ".join(value for name, value in told(answer) if name == "cookie")
    assert "a=1" in joined
    assert "b=2" in joined


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        (["authgw=x"], set()),
        (["a=1, __Secure-authgw=x"], {"a=1"}),
        (["a=1; __Host-authgw=x; b=2"], {"a=1", "b=2"}),
        (["__Secure-authgw=x;a=1"], {"a=1"}),
        (["authgw=1; __Host-authgw=2; a=authgw=3; authgw=4"], {"a=authgw=3"}),
        (["a=1", "authgw=x", "b=2"], {"a=1", "b=2"}),
        (["a=1;\t__Host-authgw=x; __Host-authgw =y; b=2"], {"a=1", "b=2"}),
        (["a=1; b=\xc3\xa9; __Host-authgw=x"], {"a=1", "b=\xc3\xa9"}),
        (["__Host-authgw=x; " + "; ".join(f"c{n}={'x' * 2000}" for n in range(9))], None),
    ],
)
def test_the_session_cookie_does_not_reach_the_app(
    proxied: Proxied, sent: list[str], kept: set[str] | None
) -> None:
    headers = [("Cookie", line) for line in sent]
    for path, token in (("/", proxied.login(3, "users")), ("/public/x", "")):
        answer = proxied.send(path, *headers, token=token)
        assert answer.status == 200
        assert "cookie" not in {name.lower() for name in answer.headers}
        lines = [value for name, value in told(answer) if name == "cookie"]
        # Envoy joins two header lines of HTTP/1.1 with a comma; no browser sends two.
        between = "[;,]" if proxied.name == "envoy" else ";"
        identity_headers = {pair.strip() for line in lines for pair in re.split(between, line)} - {
            ""
        }
        assert identity_headers == (kept if kept is not None else set(sent[0].split("; ")[1:]))


def test_a_cookie_that_is_not_text_causes_no_failure(proxied: Proxied) -> None:
    sent = ("Cookie", "a=\xff\xfe; __Host-authgw=x; b=2")
    answer = proxied.send("/", sent, token=proxied.login(3, "users"))
    assert answer.status == 200
    (line,) = [value for name, value in told(answer) if name == "cookie"]
    identity_headers = {pair.strip() for pair in line.split(";")} - {""}
    # The gateway omits values that it cannot repeat; Envoy converts them before the check.
    assert identity_headers == {"traefik": {"b=2"}, "envoy": {"a=!!", "b=2"}}.get(
        proxied.name, {"a=\xff\xfe", "b=2"}
    )


def test_a_browser_logs_in_and_out(proxied: Proxied) -> None:
    cookie = proxied.browser()
    answer = proxied.send("/page", *BROWSER, ("Cookie", f"a=1; {cookie}"))
    assert answer.status == 200
    only_as(answer, "alice", "")
    assert cookie.encode() not in answer.body
    proxied.submit("/logout", cookie)
    answer = proxied.send("/page", *BROWSER, ("Cookie", cookie))
    assert (answer.status, lower(answer)["location"]) == (302, f"{BACK}%2Fpage")
    assert lower(proxied.send("/page", ("Cookie", cookie)))["x-authgw-reason"] == "session_ended"


def test_a_page_that_asks_for_a_second_factor(proxied: Proxied) -> None:
    cookie = ("Cookie", proxied.browser())
    answer = proxied.send("/vault/x", *BROWSER, cookie)
    assert (answer.status, lower(answer)["location"]) == (302, f"{BACK}%2Fvault%2Fx")
    answer = proxied.send("/vault/x", cookie)
    response_headers = 'Bearer realm="authgw", error="insufficient_user_authentication"'
    assert (answer.status, lower(answer)["www-authenticate"]) == (401, response_headers)


def test_two_active_cookies_are_ambiguous(proxied: Proxied) -> None:
    one, other = proxied.browser(), proxied.browser()
    for cookies in ([f"{one}; {other}"], [one, other], [other, "a=1", one]):
        answer = proxied.send("/page", *(("Cookie", line) for line in cookies))
        if proxied.name == "envoy" and len(cookies) > 1:
            # Envoy joins them with a comma; a cookie for one host is not accepted behind it.
            assert answer.status == 200
            continue
        assert (answer.status, lower(answer)["x-authgw-reason"]) == (401, "credentials_ambiguous")
    twice = [("Cookie", f"{one}; {one}; __Host-authgw=x")]
    assert proxied.send("/page", *twice).status == 200


def test_an_app_password_opens_its_own_path_alone(proxied: Proxied) -> None:
    def by(user: str, secret: str) -> tuple[str, str]:
        return ("Authorization", f"Basic {b64encode(f'{user}:{secret}'.encode()).decode()}")

    right = by("alice", proxied.program)
    for method in ("GET", "PROPFIND", "PUT"):
        answer = proxied.send("/dav/x", right, method=method)
        assert answer.status == 200
        only_as(answer, "alice", "")
    challenge = 'Basic realm="authgw", Bearer realm="authgw"'
    for headers in ([], [by("alice", "authgw-wrong")], [by("bob", proxied.program)]):
        answer = proxied.send("/dav/x", *headers)
        assert answer.status == 401
        assert lower(answer)["www-authenticate"].startswith(challenge)
        assert lower(answer)["www-authenticate"].count("Basic") == 1
    for path in ("/page", "/admin/x", "/vault/x", "/davx"):
        answer = proxied.send(path, right)
        assert answer.status == 401
        assert "Basic" not in lower(answer)["www-authenticate"]
    # In turn, credentials of other paths are not valid for this path.
    assert proxied.send("/dav/x", ("Cookie", proxied.browser())).status == 401
    assert proxied.send("/dav/x", token=proxied.login()).status == 401


def test_an_apps_own_authorization_passes_next_to_a_cookie(proxied: Proxied) -> None:
    cookie = ("Cookie", proxied.browser())
    for name, lines in FOREIGN.items():
        sent = [("Authorization", line) for line in lines]
        answer = proxied.send("/page", cookie, *sent)
        assert answer.status == accepted(proxied, lines), name
        if answer.status == 200:
            only_as(answer, "alice", "")
            arrived = [value for header, value in told(answer) if header == "authorization"]
            assert arrived == lines, name
        for path, headers in (("/page", sent), ("/own/x", [cookie, *sent]), ("/dav/x", sent)):
            assert proxied.send(path, *headers).status in REFUSED, (name, path)
        # A public page requires no credentials.
        status = proxied.send("/public/x", *sent).status
        assert status == 200 or (proxied.name, len(lines)) == ("nginx", 2), name


def accepted(proxied: Proxied, lines: list[str]) -> int:
    """Return the expected status of a request with these foreign lines.

    Not every proxy forwards two lines: NGINX refuses them, Envoy joins them, and the gateway
    refuses the result.
    """
    return {"nginx": 400, "envoy": 401}.get(proxied.name, 200) if len(lines) > 1 else 200


def test_connection_authentication_passes_only_if_the_rule_allows_it(proxied: Proxied) -> None:
    cookie = ("Cookie", proxied.browser())
    for name, lines in OF_A_CONNECTION.items():
        sent = [("Authorization", line) for line in lines]
        assert proxied.send("/page", cookie, *sent).status in REFUSED, name
        answer = proxied.send("/kerberos/x", cookie, *sent)
        assert answer.status == accepted(proxied, lines), name
        if answer.status == 200:
            only_as(answer, "alice", "")


def test_an_authgw_token_next_to_a_cookie_must_be_valid(proxied: Proxied) -> None:
    cookie = ("Cookie", proxied.browser())
    ended = proxied.login()
    logout = ask(proxied.gateway.port, "POST", "/logout", {"Authorization": f"Bearer {ended}"})
    assert logout.status == 200
    ours, secret = f"Bearer {ended}", proxied.program
    for lines in (
        [ours],
        [f"Token {ended}"],
        [f"Bearer {ended[:-3]}"],
        [f"Bearer {secret}"],
        [f"Basic {b64encode(f'alice:{secret}'.encode()).decode()}"],
        # Envoy joins two lines.
        ["Basic eDp5", ours],
        [ours, "Basic eDp5"],
        [f"Basic eDp5,{ours}"],
        [f"Token {'x' * 8192}"],
    ):
        sent = [("Authorization", line) for line in lines]
        refused = (400,) if proxied.name == "nginx" and len(lines) > 1 else (401,)
        assert proxied.send("/page", cookie, *sent).status in refused, lines
    assert proxied.send("/page", cookie).status == 200


def test_a_denial_is_shown_as_a_page(proxied: Proxied) -> None:
    cookie = ("Cookie", proxied.browser())
    answer = proxied.send("/admin/x", *BROWSER, cookie)
    response_headers = lower(answer)
    assert (answer.status, response_headers["x-authgw-reason"]) == (403, "not_permitted")
    assert response_headers["content-type"] == "text/html; charset=utf-8"
    assert f"style-src {LOGIN};" in response_headers["content-security-policy"]
    assert response_headers["x-content-type-options"] == "nosniff"
    assert response_headers["cache-control"] == "no-store"
    page = answer.body.decode()
    assert "You are signed in as <strong><bdi>Alice A</bdi></strong>" in page
    assert "<li>group admins</li>" in page
    # The page shows the same request id as the log.
    assert page.count(response_headers["x-request-id"]) == 1
    assert response_headers["x-request-id"] in proxied.gateway.log
    plain = proxied.send("/admin/x", cookie)
    assert plain.status == 403
    assert lower(plain)["content-type"].startswith("text/plain")
    assert b"<" not in plain.body


async def test_a_websocket(proxied: Proxied) -> None:
    bearer = {"Authorization": f"Bearer {proxied.login()}", "Host": HOST}
    url = f"ws://127.0.0.1:{proxied.port}/ws"
    async with aiohttp.ClientSession() as client:
        async with client.ws_connect(url, headers=bearer) as link:
            await link.send_str("hello")
            assert (await link.receive(5)).data == "echo hello"
        with pytest.raises(aiohttp.WSServerHandshakeError, match="401"):
            await client.ws_connect(url, headers={"Host": HOST})


@pytest.mark.parametrize(
    "upgrades", [["h2c"], ["H2C"], ["websocket", "h2c"], ["h2c", "websocket"], ["h2c, websocket"]]
)
def test_an_upgrade_does_not_bypass_the_gateway(proxied: Proxied, upgrades: list[str]) -> None:
    headers = [("Upgrade", value) for value in upgrades]
    more = [("HTTP2-Settings", "AAMAAABkAARAAAAAAAIAAAAA"), ("Connection", "Upgrade")]
    answer = proxied.send("/public/x", *headers, *more)
    assert answer.status in (200, 400, 403)
    if answer.status == 200:
        arrived = dict(told(answer))
        assert "h2c" not in arrived.get("upgrade", "").lower()
        assert "upgrade" not in arrived.get("connection", "").lower()


def test_a_post_passes_with_its_body(proxied: Proxied) -> None:
    answer = proxied.send("/up", method="POST", body=b"x" * 100_000, token=proxied.login())
    assert (answer.status, answer.json()["bytes"]) == (200, 100_000)
    assert proxied.send("/up", method="POST", body=b"x" * 100_000).status == 401


GARBAGE = [
    b"",
    b"\x00\xff\x01garbage\r\n\r\n",
    b"HTTP/1.1 200\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Le",
    b"HTTP/1.1 999 Odd\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 429 No\r\nContent-Length: 0\r\n\r\n",
]


def test_a_failing_gateway_allows_nothing(
    proxied: Proxied, tmp_path_factory: pytest.TempPathFactory
) -> None:
    for own in running(proxied.name, tmp_path_factory.mktemp("failing")):
        token = own.login()
        assert own.send("/", token=token).status == 200
        process = own.gateway.process
        assert process is not None
        process.send_signal(signal.SIGSTOP)
        hung = own.send("/", token=token)
        # Traefik has no setting for the timeout, and waits for 30 s.
        assert hung.status in ((0,) if own.name == "traefik" else (403, 500, 502, 503, 504))
        process.send_signal(signal.SIGKILL)
        process.wait(10)
        _says_that_nobody_can_say(own, token)
        for response_headers in GARBAGE:
            with _Liar(own.gateway.port, response_headers):
                status = own.send("/", token=token).status
                assert not 200 <= status < 300, response_headers
        own.gateway.start()
        own.gateway.wait_until_ready()
        _does_not_blame_the_gateway(own)


def _says_that_nobody_can_say(own: Proxied, token: str) -> None:
    program, browser = own.send("/", token=token), own.send("/", *BROWSER, token=token)
    if own.name == "traefik":
        # Traefik cannot show a page of its own.
        assert [(one.status, one.body) for one in (program, browser)] == [(500, b"")] * 2
        return
    for one in (program, browser):
        assert one.status == 503
        assert (lower(one)["retry-after"], lower(one)["cache-control"]) == ("1", "no-store")
    assert lower(program)["content-type"].startswith("text/plain")
    assert program.body.startswith(b"503 the gateway cannot answer now")
    assert lower(browser)["content-type"].startswith("text/html")
    assert b"<h1>Not available now</h1>" in browser.body


def _does_not_blame_the_gateway(own: Proxied) -> None:
    own.app.kill()
    answer = own.send("/", *BROWSER, ("Cookie", own.browser()))
    assert answer.status in (502, 503)
    assert b"Not available now" not in answer.body


class _Liar:
    """A server on the gateway's port that sends the same bytes on every connection."""

    def __init__(self, port: int, response_headers: bytes) -> None:
        class Answering(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                self.request.settimeout(5)
                self.request.recv(65536)
                self.request.sendall(response_headers)

        class Server(socketserver.ThreadingTCPServer):
            allow_reuse_address = True
            daemon_threads = True

        self._server = Server(("127.0.0.1", port), Answering)

    def __enter__(self) -> None:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
