"""Forms: origin, CSRF token, and strict parsing."""

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
async def test_forms_of_other_sites_are_refused(jar: Jar, headers: dict[str, str]) -> None:
    await jar.log_in()
    session = jar.session
    fields = {"token": jar.token, "username": "bob", "password": PASSWORD, "rd": ""}
    for path, sent in [
        ("/login", fields),
        ("/login/totp", {"token": jar.token, "rd": "", "code": "1"}),
        ("/login/end", {"token": jar.token, "sid": "", "others": "yes"}),
        ("/logout", {}),
    ]:
        response = await jar.send(path, headers, sent)
        assert (response.status, response.headers["X-Authgw-Reason"]) == (403, "cross_site"), path
    assert jar.session == session
    assert (await jar.check()).status == 200


async def test_a_form_without_its_csrf_token_is_refused(jar: Jar) -> None:
    await jar.get("/login")
    for token in ("", "x" * 22, "é"):
        response = await jar.send(
            "/login",
            {"Origin": "https://auth.example.com"},
            {"token": token, "username": "bob", "password": PASSWORD},
        )
        assert response.status == 403
    jar.cookies.clear()
    response = await jar.post("/login", username="bob", password=PASSWORD)
    assert response.status == 403


async def test_a_planted_csrf_cookie_does_not_prevent_a_login(jar: Jar) -> None:
    await jar.get("/login")
    fields = {"token": jar.token, "username": "bob", "password": PASSWORD}
    ours = f"__Secure-authgw-csrf={jar.cookies['__Secure-authgw-csrf']}"
    for line, status in ((f"__Secure-authgw-csrf=x; {ours}", 303), ("__Secure-authgw-csrf=x", 403)):
        response = await jar.send("/login", {"Origin": jar.origin, "Cookie": line}, fields)
        assert response.status == status


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "same-origin"},
        # With an operator's `Referrer-Policy: no-referrer`.
        {"Sec-Fetch-Site": "same-origin", "Origin": "null"},
        {"Sec-Fetch-Site": "same-origin", "Origin": "https://auth.example.com"},
        {"Origin": "https://auth.example.com"},
    ],
)
async def test_headers_of_our_own_forms_are_accepted(jar: Jar, headers: dict[str, str]) -> None:
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
async def test_other_hosts_have_no_login_page(jar: Jar, path: str, host: str) -> None:
    await jar.log_in()
    headers = {"Host": host, "Origin": f"https://{host}", "Sec-Fetch-Site": "same-origin"}
    responses = [await jar.send(path, headers, {"token": jar.token})]
    responses += [] if path == "/login/end" else [await jar.get(path, Host=host)]
    for response in responses:
        if response.status != 405:
            assert (response.status, response.headers["X-Authgw-Reason"]) == (421, "misdirected")
        assert 'href="https://auth.example.com/login"' in jar.text
        assert "style-src https://auth.example.com" in response.headers["Content-Security-Policy"]
    assert (await jar.check()).status == 200


@pytest.mark.parametrize("lost", [True, False])
async def test_a_form_without_its_cookie_is_shown_again(jar: Jar, lost: bool) -> None:
    await jar.get("/login")
    token = "x" * 22
    if lost:
        token = jar.token
        jar.cookies.clear()
    rd = "https://app.example.com/x?y=z"
    fields = {"token": token, "rd": rd, "username": "bob", "password": PASSWORD}
    response = await jar.send("/login", {"Origin": jar.origin}, fields)
    assert (response.status, response.headers["X-Authgw-Reason"]) == (403, "cross_site")
    assert ("sent no cookie with this form" if lost else "was too old") in jar.text
    assert f'name="rd" value="{rd}"' in jar.text
    assert 'value="bob"' in jar.text
    assert PASSWORD not in jar.text
    again = await jar.post("/login", rd=rd, username="bob", password=PASSWORD)
    assert (again.status, again.headers["Location"]) == (303, rd)


async def test_a_code_form_without_its_cookie_is_shown_again(jar: Jar) -> None:
    await jar.log_in("alice")
    await jar.get("/login/totp")
    fields = {"token": "x" * 22, "rd": "/x", "code": "123456"}
    response = await jar.send("/login/totp", {"Origin": jar.origin}, fields)
    assert response.status == 403
    assert 'name="rd" value="/x"' in jar.text
    assert (await jar.post("/login/totp", rd="/x", code=code())).status == 303


async def test_a_page_over_http_explains_that_it_needs_https(make_gateway: MakeGateway) -> None:
    url = "https://auth.lan/login"
    running = await make_gateway(login=page_of(url=url, cookie_domain=None))
    jar = Jar(running, "http://auth.lan")
    await jar.get("/login")
    jar.cookies.clear()
    response = await jar.post("/login", username="bob", password=PASSWORD)
    assert response.status == 403
    assert "his page is reached by http; browsers keep our cookie only over https" in jar.text
    assert "another site" not in jar.text
    assert f'href="{url}"' in jar.text


async def test_forms_of_the_account_page_are_bound_to_the_session(jar: Jar) -> None:
    await jar.log_in("bob")
    await jar.get("/login/account")
    own_token = jar.token
    other = Jar(jar.running)
    await other.log_in("bob")
    await other.get("/login/account")
    assert other.token != own_token
    csrf = jar.cookies["__Secure-authgw-csrf"]
    for token in (other.token, csrf, "", "é"):
        fields = {"token": token, "others": "yes"}
        response = await jar.send("/login/end", {"Origin": jar.origin}, fields)
        assert (response.status, response.headers["X-Authgw-Reason"]) == (403, "cross_site")
        assert "No session was ended" in jar.text
    assert (await other.check()).status == 200
    await jar.send("/login/end", {"Origin": jar.origin}, {"token": own_token, "others": "yes"})
    assert (await other.check()).status == 401


async def test_a_json_login_from_another_origin_sets_no_cookie(running: RunningGateway) -> None:
    body = {"username": "bob", "password": PASSWORD}
    response = await running.post("/login", body, headers={"Origin": "https://evil.example"})
    assert response.status == 200
    assert "Set-Cookie" not in response.headers
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
async def test_malformed_forms_are_refused(
    jar: Jar, body: bytes, headers: dict[str, str], status: int
) -> None:
    plain = {"Content-Type": "application/x-www-form-urlencoded", **OWN, **headers}
    response = await jar.running.client.post(
        "/login", data=body, headers={**plain, "Origin": "https://auth.example.com"}
    )
    assert response.status == status
    assert response.content_type == "text/html"


async def test_a_form_of_another_content_type_is_refused(jar: Jar) -> None:
    response = await jar.running.client.post(
        "/login/end", data=b"[]", headers={"Origin": "https://auth.example.com", **OWN}
    )
    assert response.status == 415
