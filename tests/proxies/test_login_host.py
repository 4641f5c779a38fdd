"""The login host of each recipe: exactly the public paths of the gateway, and no others."""

import json
from urllib.parse import urlsplit

import pytest

from authgw.core.endpoints import ENDPOINTS, Audience
from tests.support.processes import ISSUED, HttpResponse, ask
from tests.support.proxies import BROWSER, CLIENT, HOST, LOGIN, LOGIN_HOST, Proxied, lower

CLOSED = [entry.path for entry in ENDPOINTS if Audience.PUBLIC not in entry.audience]
SPELLINGS = {
    "plain": "{path}",
    "query": "{path}?x=1",
    "trailing slash": "{path}/",
    "double slash": "/{path}",
    "encoded letter": "/%{first}{rest}",
    "dot": "/.{path}",
    "below a public path": "/login/..{path}",
    "encoded dots": "/login/%2e%2e{path}",
    "encoded slash": "/login/..%2f{bare}",
    "semicolon": "/login/..;{path}",
    "backslash": "/login\\..\\{bare}",
    "two slashes": "/login//..{path}",
    "parameter": "/login;{path}",
    "NUL": "{path}%00",
    "capital": "{upper}",
}


def spelled(spelling: str, path: str) -> str:
    return SPELLINGS[spelling].format(
        path=path,
        first=f"{ord(path[1]):02x}",
        rest=path[2:],
        bare=path[1:],
        upper=path.upper(),
    )


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_closed_paths_are_closed_in_every_spelling(proxied: Proxied, spelling: str) -> None:
    for path in CLOSED:
        for method in ("GET", "POST"):
            answer = ask_as_backend(proxied, spelled(spelling, path), method)
            assert answer.status in (400, 404), (method, path, answer)
            # Not a refusal of the gateway either.
            assert "x-request-id" not in lower(answer), (method, path)
            assert "authgw" not in lower(answer).get("server", ""), (method, path)


def ask_as_backend(
    proxied: Proxied, path: str, method: str, host: str = LOGIN_HOST
) -> HttpResponse:
    """Send a request that the gateway itself would accept at `/revoke` and `/sessions`."""
    secret = ("Authorization", proxied.gateway.basic["Authorization"])
    body = json.dumps({"user_id": 7}).encode() if method == "POST" else b""
    kind = ("Content-Type", "application/json")
    return proxied.send(path, secret, kind, method=method, host=host, body=body)


@pytest.mark.parametrize(
    ("line", "host"),
    [
        ("/revoke", LOGIN_HOST.upper()),
        ("/revoke", f"{LOGIN_HOST}."),
        ("/revoke", f"{LOGIN_HOST}:1"),
        ("/revoke", "evil.example"),
        ("/revoke", "127.0.0.1"),
        ("/revoke", "authgw"),
        ("/revoke", HOST),
        (f"{LOGIN}/revoke", LOGIN_HOST),
        (f"{LOGIN}/revoke", HOST),
        (f"http://{HOST}/revoke", LOGIN_HOST),
        (f"{LOGIN}//revoke", LOGIN_HOST),
    ],
)
def test_closed_paths_are_closed_by_every_name_of_the_host(
    proxied: Proxied, line: str, host: str
) -> None:
    subject = proxied.login(7)
    answer = ask_as_backend(proxied, line, "POST", host)
    assert answer.status in (400, 401, 403, 404, 421), answer
    assert proxied.send("/page", token=subject).status == 200


def test_the_gateway_itself_would_accept_such_a_request(proxied: Proxied) -> None:
    headers = {**proxied.gateway.basic, "Content-Type": "application/json"}
    answer = ask(proxied.gateway.port, "POST", "/revoke", headers, {"user_id": 8})
    assert answer.status == 200


def test_public_paths_are_reached(proxied: Proxied) -> None:
    for path in ("/login", "/login?rd=x", "/logout"):
        page = proxied.send(path, *BROWSER, host=LOGIN_HOST)
        assert (page.status, lower(page)["content-type"]) == (200, "text/html; charset=utf-8")
    style = proxied.send("/login/style.css", host=LOGIN_HOST)
    assert (style.status, lower(style)["content-type"]) == (200, "text/css; charset=utf-8")
    for path in ("/login/icon.svg", "/favicon.ico"):
        icon = proxied.send(path, host=LOGIN_HOST)
        assert (icon.status, lower(icon)["content-type"]) == (200, "image/svg+xml; charset=utf-8")
        assert lower(icon)["cache-control"] == "max-age=86400"
        assert icon.body.startswith(b"<svg ")
    assert proxied.send("/ping", host=LOGIN_HOST).body == b"pong"
    secret = ("Authorization", proxied.gateway.basic["Authorization"])
    kind = ("Content-Type", "application/json")
    pair = proxied.send(
        "/login", secret, kind, method="POST", host=LOGIN_HOST, body=b'{"user_id": 9}'
    )
    refresh = json.dumps({"refresh": pair.json()["refresh"]}).encode()
    again = proxied.send("/refresh", kind, method="POST", host=LOGIN_HOST, body=refresh)
    assert again.status == 200
    ended = proxied.send("/logout", method="POST", host=LOGIN_HOST, token=again.json()["access"])
    assert ended.status == 200
    ISSUED.update([pair.json()["access"], pair.json()["refresh"], again.json()["access"]])


def test_the_root_leads_to_the_account_page(proxied: Proxied) -> None:
    for path in ("/", "/?x=1"):
        answer = proxied.send(path, *BROWSER, host=LOGIN_HOST)
        assert answer.status == 302
        where = urlsplit(lower(answer)["location"])
        assert (where.path, where.query) == ("/login/account", "")
        assert where.hostname in (None, LOGIN_HOST)


def test_an_app_has_its_own_icon(proxied: Proxied) -> None:
    assert proxied.send("/favicon.ico").status == 401
    answer = proxied.send("/favicon.ico", token=proxied.login())
    assert answer.json()["path"] == "/favicon.ico"


@pytest.mark.parametrize("target", [f"http://{HOST}/public/x", f"http://{HOST}/page"])
def test_a_client_cannot_ask_about_a_request(proxied: Proxied, target: str) -> None:
    """With the headers of a subrequest, the gateway would respond as to the proxy."""
    parts = urlsplit(target)
    headers = [
        ("X-Original-URL", target),
        ("X-Original-Host", HOST),
        ("X-Original-Method", "GET"),
        ("X-Forwarded-Uri", parts.path),
        ("X-Forwarded-Method", "GET"),
        ("X-Forwarded-Host", HOST),
        ("X-Forwarded-Proto", "http"),
    ]
    for some in ([], headers[:3], headers[3:], headers):
        answer = proxied.send("/authenticate", *some, host=LOGIN_HOST, token=proxied.login())
        assert (answer.status, lower(answer)["x-authgw-reason"]) == (403, "direct_check_off")


def test_logins_are_counted_by_the_address_of_the_client(proxied: Proxied) -> None:
    forged = [("X-Forwarded-For", "203.0.113.66"), ("X-Real-IP", "203.0.113.66")]
    kind = ("Content-Type", "application/json")
    body = b'{"username": "nobody", "password": "wrong"}'
    answer = proxied.send("/login", kind, *forged, method="POST", host=LOGIN_HOST, body=body)
    assert answer.status == 401
    assert "203.0.113.66" not in proxied.gateway.log
    assert CLIENT in proxied.gateway.log


def test_the_login_host_upgrades_no_connection(proxied: Proxied) -> None:
    upgrade = [("Connection", "Upgrade"), ("Upgrade", "websocket"), ("Sec-WebSocket-Version", "13")]
    answer = proxied.send("/login", *upgrade, host=LOGIN_HOST)
    assert answer.status in (200, 400, 403)
