"""Forms: those from elsewhere do nothing, and the rest are read strictly."""

import pytest

from tests.web.conftest import PASSWORD, Surface
from tests.web.login_scene import OWN, Jar
from tests.web.login_scene import jar as jar
from tests.web.login_scene import with_login_page as with_login_page

CROSS_SITE: list[dict[str, str]] = [
    {"Origin": "https://evil.example"},
    {"Origin": "null"},
    {"Origin": "http://auth.example.com"},
    {"Origin": "https://auth.example.com:8443"},
    {"Origin": "https://app.example.com"},
    {},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
    {"Origin": "https://evil.example", "Sec-Fetch-Site": "same-origin"},
]


@pytest.mark.parametrize("headers", CROSS_SITE)
async def test_forms_of_other_sites_do_nothing(jar: Jar, headers: dict[str, str]) -> None:
    await jar.log_in()
    alive = jar.session
    fields = {"token": jar.token, "username": "bob", "password": PASSWORD, "rd": ""}
    for path, sent in [
        ("/login", fields),
        ("/login/totp", {"token": jar.token, "rd": "", "code": "1"}),
        ("/login/end", {"token": jar.token, "sid": "", "others": "yes"}),
        ("/logout", {}),
    ]:
        answer = await jar.send(path, headers, sent)
        assert (answer.status, answer.headers["X-Authgw-Reason"]) == (403, "cross_site"), path
    assert jar.session == alive
    assert (await jar.asks()).status == 200


async def test_without_its_token_a_form_does_nothing(jar: Jar) -> None:
    await jar.get("/login")
    for token in ("", "x" * 22, "é"):
        answer = await jar.send(
            "/login",
            {"Origin": "https://auth.example.com"},
            {"token": token, "username": "bob", "password": PASSWORD},
        )
        assert answer.status == 403
    jar.cookies.clear()
    answer = await jar.post("/login", username="bob", password=PASSWORD)
    assert answer.status == 403


async def test_a_planted_cookie_keeps_nobody_from_logging_in(jar: Jar) -> None:
    await jar.get("/login")
    fields = {"token": jar.token, "username": "bob", "password": PASSWORD}
    ours = f"__Secure-authgw-csrf={jar.cookies['__Secure-authgw-csrf']}"
    for line, status in ((f"__Secure-authgw-csrf=x; {ours}", 303), ("__Secure-authgw-csrf=x", 403)):
        answer = await jar.send("/login", {"Origin": jar.origin, "Cookie": line}, fields)
        assert answer.status == status


async def test_sec_fetch_site_stands_in_for_a_missing_origin(jar: Jar) -> None:
    await jar.get("/login")
    fields = {"token": jar.token, "username": "bob", "password": PASSWORD}
    assert (await jar.send("/login", {"Sec-Fetch-Site": "same-origin"}, fields)).status == 303


async def test_a_json_log_in_from_a_page_elsewhere_sets_no_cookie(running: Surface) -> None:
    body = {"username": "bob", "password": PASSWORD}
    answer = await running.post("/login", body, headers={"Origin": "https://evil.example"})
    assert answer.status == 200
    assert "Set-Cookie" not in answer.headers
    plain = await running.client.post(
        "/login", data=b'{"username": "bob"}', headers={"Content-Type": "text/plain"}
    )
    assert plain.status == 415


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (b"x=" + b"y" * 33000, {}, 413),
        (b"token=a&token=b", {}, 400),
        (b"token=a&surprise=b", {}, 400),
        (b"token=%ff", {}, 400),
        (b"token=\xff", {}, 400),
        (b"token", {}, 400),
        (b"token=a", {"Content-Encoding": "gzip"}, 415),
        (b"", {}, 403),
    ],
)
async def test_forms_are_read_strictly(
    jar: Jar, body: bytes, headers: dict[str, str], status: int
) -> None:
    plain = {"Content-Type": "application/x-www-form-urlencoded", **OWN, **headers}
    answer = await jar.running.client.post(
        "/login", data=body, headers={**plain, "Origin": "https://auth.example.com"}
    )
    assert answer.status == status
    assert answer.content_type == "text/html"


async def test_a_form_for_another_page_is_none_of_another_kind(jar: Jar) -> None:
    answer = await jar.running.client.post(
        "/login/end", data=b"[]", headers={"Origin": "https://auth.example.com", **OWN}
    )
    assert answer.status == 415
