"""The same table of scenarios, through five real proxies."""

from urllib.parse import quote

import aiohttp
import pytest

from tests.support.proxies import BROWSER, HOST, LOGIN, Proxied, lower, only_as, told


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


def test_a_denial_is_shown_as_a_page(proxied: Proxied) -> None:
    cookie = ("Cookie", proxied.browser())
    answer = proxied.send("/admin/x", *BROWSER, cookie)
    response_headers = lower(answer)
    assert (answer.status, response_headers["x-authgw-reason"]) == (403, "not_permitted")
    assert response_headers["content-type"] == "text/html; charset=utf-8"
    assert f"style-src {LOGIN};" in response_headers["content-security-policy"]
    assert "script-src 'sha256-" in response_headers["content-security-policy"]
    assert response_headers["x-content-type-options"] == "nosniff"
    assert response_headers["cache-control"] == "no-store"
    page = answer.body.decode()
    assert "You are logged in as <strong><bdi>Alice A</bdi></strong>" in page
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
