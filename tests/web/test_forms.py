"""Forms: those from elsewhere do nothing, and the rest are read strictly."""

import pytest

from tests.support.gateway import PASSWORD, MakeGateway, RunningGateway
from tests.support.login_scene import OWN, Jar, code, page_of

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
    {"Sec-Fetch-Site": "none"},
    *(
        {"Origin": "https://auth.example.com", "Sec-Fetch-Site": site}
        for site in ("none", "cross-site", "same-site", "same-origin, same-origin", "")
    ),
    {"Origin": "null", "Sec-Fetch-Site": "same-origin", "Host": "auth.example.com:8443"},
    {"Sec-Fetch-Site": "same-origin", "Host": "auth.example.com:8443"},
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


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "same-origin"},
        # By an operator's `Referrer-Policy: no-referrer`.
        {"Sec-Fetch-Site": "same-origin", "Origin": "null"},
        {"Sec-Fetch-Site": "same-origin", "Origin": "https://auth.example.com"},
        {"Origin": "https://auth.example.com"},
    ],
)
async def test_our_own_form_is_known_by_any_of_its_proofs(
    jar: Jar, headers: dict[str, str]
) -> None:
    await jar.get("/login")
    fields = {"token": jar.token, "username": "bob", "password": PASSWORD}
    assert (await jar.send("/login", headers, fields)).status == 303
    await jar.get("/login/account")
    fields = {"token": jar.token, "others": "yes"}
    assert (await jar.send("/login/end", headers, fields)).status == 200
    assert (await jar.send("/logout", headers, {})).status == 303


PAGES = ["/login", "/login/totp", "/login/account", "/logout", "/login/end"]


@pytest.mark.parametrize("host", ["app.example.com", "127.0.0.1", "evil.example", "x..y"])
@pytest.mark.parametrize("path", PAGES)
async def test_another_host_is_no_login_page(jar: Jar, path: str, host: str) -> None:
    await jar.log_in()
    headers = {"Host": host, "Origin": f"https://{host}", "Sec-Fetch-Site": "same-origin"}
    answers = [await jar.send(path, headers, {"token": jar.token})]
    answers += [] if path == "/login/end" else [await jar.get(path, Host=host)]
    for answer in answers:
        if answer.status != 405:
            assert (answer.status, answer.headers["X-Authgw-Reason"]) == (421, "misdirected")
        assert 'href="https://auth.example.com/login"' in jar.text
        assert "style-src https://auth.example.com" in answer.headers["Content-Security-Policy"]
    assert (await jar.asks()).status == 200


@pytest.mark.parametrize("lost", [True, False])
async def test_a_form_without_its_cookie_is_shown_again(jar: Jar, lost: bool) -> None:
    await jar.get("/login")
    token = "x" * 22
    if lost:
        token = jar.token
        jar.cookies.clear()
    rd = "https://app.example.com/x?y=z"
    fields = {"token": token, "rd": rd, "username": "bob", "password": PASSWORD}
    answer = await jar.send("/login", {"Origin": jar.origin}, fields)
    assert (answer.status, answer.headers["X-Authgw-Reason"]) == (403, "cross_site")
    assert ("sent no cookie with this form" if lost else "was too old") in jar.text
    assert f'name="rd" value="{rd}"' in jar.text
    assert 'value="bob"' in jar.text
    assert PASSWORD not in jar.text
    again = await jar.post("/login", rd=rd, username="bob", password=PASSWORD)
    assert (again.status, again.headers["Location"]) == (303, rd)


async def test_a_code_without_its_cookie_is_asked_for_again(jar: Jar) -> None:
    await jar.log_in("alice")
    await jar.get("/login/totp")
    fields = {"token": "x" * 22, "rd": "/x", "code": "123456"}
    answer = await jar.send("/login/totp", {"Origin": jar.origin}, fields)
    assert answer.status == 403
    assert 'name="rd" value="/x"' in jar.text
    assert (await jar.post("/login/totp", rd="/x", code=code())).status == 303


async def test_a_page_over_http_says_that_it_needs_https(make_gateway: MakeGateway) -> None:
    url = "https://auth.lan/login"
    running = await make_gateway(login=page_of(url=url, cookie_domain=None))
    jar = Jar(running, "http://auth.lan")
    await jar.get("/login")
    jar.cookies.clear()
    answer = await jar.post("/login", username="bob", password=PASSWORD)
    assert answer.status == 403
    assert "his page is reached by http; browsers keep our cookie only over https" in jar.text
    assert "another site" not in jar.text
    assert f'href="{url}"' in jar.text


async def test_forms_of_the_account_page_belong_to_one_session(jar: Jar) -> None:
    await jar.log_in("bob")
    await jar.get("/login/account")
    mine = jar.token
    other = Jar(jar.running)
    await other.log_in("bob")
    await other.get("/login/account")
    assert other.token != mine
    csrf = jar.cookies["__Secure-authgw-csrf"]
    for token in (other.token, csrf, "", "é"):
        fields = {"token": token, "others": "yes"}
        answer = await jar.send("/login/end", {"Origin": jar.origin}, fields)
        assert (answer.status, answer.headers["X-Authgw-Reason"]) == (403, "cross_site")
        assert "Nothing was ended" in jar.text
    assert (await other.asks()).status == 200
    await jar.send("/login/end", {"Origin": jar.origin}, {"token": mine, "others": "yes"})
    assert (await other.asks()).status == 401


async def test_a_json_log_in_from_a_page_elsewhere_sets_no_cookie(running: RunningGateway) -> None:
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
