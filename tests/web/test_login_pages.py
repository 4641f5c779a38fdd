"""Responses with pages: headers, refusals for proxies, hosts without a login page."""

import re
from html import unescape
from urllib.parse import quote

import pytest
from aiohttp import FormData

from tests.support.dialects import by_forwarding
from tests.support.every_page import Page, script_source
from tests.support.gateway import PASSWORD, MakeGateway, RunningGateway
from tests.support.login_scene import APP, Jar, page_of


async def test_security_headers_of_pages(jar: Jar) -> None:
    for path in ("/login", "/logout"):
        response = await jar.get(path)
        policy = response.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert response.headers["Cache-Control"] == "no-store"
        assert response.headers["X-Content-Type-Options"] == "nosniff"
    await jar.get(f"/login?rd={quote(APP, safe='')}")
    style = await jar.get("/login/style.css")
    assert style.content_type == "text/css"


async def test_the_only_script_that_runs_is_the_one_of_the_page(jar: Jar) -> None:
    target_headers = {
        "X-Original-URL": "https://wiki.example.com/x",
        "X-Original-Host": "wiki.example.com",
        "X-Original-Method": "GET",
    }
    for path, headers in (
        ("/login", {}),
        ("/login/nothing", {}),
        ("/login/denied", target_headers),
    ):
        page = await jar.get(path, **headers)
        policy = page.headers["Content-Security-Policy"].split("; ")
        assert f"script-src {script_source(Page(jar.text))}" in policy
        await jar.log_in("bob")


async def test_browsers_keep_the_icon_for_a_day(jar: Jar) -> None:
    policy = (await jar.get("/login")).headers["Content-Security-Policy"]
    assert "img-src 'self';" in policy
    assert 'href="/login/icon.svg"' in jar.text
    for path in ("/login/icon.svg", "/favicon.ico"):
        icon = await jar.get(path)
        assert (icon.status, icon.content_type) == (200, "image/svg+xml")
        assert icon.headers["Cache-Control"] == "max-age=86400"
        assert icon.headers["Content-Security-Policy"].startswith("default-src 'none'; ")
        assert jar.text.startswith("<svg ")


async def test_form_action_allows_redirects_of_apps(jar: Jar) -> None:
    # Chromium applies form-action to every redirect after a form, and apps redirect anywhere.
    response = await jar.get(f"/login?rd={quote(APP, safe='')}")
    assert "form-action 'self' https: http:;" in response.headers["Content-Security-Policy"]
    await jar.log_in()
    response = await jar.get("/login/account")
    assert "form-action 'self';" in response.headers["Content-Security-Policy"]


@pytest.mark.parametrize("letter", ["a", "/", "%3d"])
async def test_a_login_with_a_too_long_return_url_succeeds(jar: Jar, letter: str) -> None:
    await jar.get(f"/login?rd={quote(APP + letter * 6000, safe='')}")
    (rd,) = re.findall(r'name="rd" value="([^"]*)"', jar.text)
    response = await jar.post("/login", rd=unescape(rd), username="bob", password=PASSWORD)
    assert response.status == 303


async def test_browsers_get_pages_and_programs_problem_documents(jar: Jar) -> None:
    jar.running.client.session.headers.clear()
    response = await jar.send("/login", {"Origin": "null"}, {})
    assert response.content_type == "text/html"
    program = await jar.running.client.post(
        "/login", data=FormData({}), headers={"Host": "auth.example.com", "Origin": "null"}
    )
    assert program.content_type == "application/problem+json"


async def test_the_refusal_page_is_for_proxies_only(jar: Jar) -> None:
    await jar.log_in("bob")
    target_headers = {
        "X-Original-URL": "https://wiki.example.com/<x>",
        "X-Original-Host": "wiki.example.com",
        "X-Original-Method": "GET",
    }
    page = await jar.get("/login/denied", **target_headers)
    assert (page.status, page.headers["X-Authgw-Reason"]) == (403, "not_permitted")
    assert "bob" in jar.text
    assert "&lt;x&gt;" in jar.text
    policy = page.headers["Content-Security-Policy"]
    assert "style-src https://auth.example.com;" in policy
    assert "img-src https://auth.example.com;" in policy
    assert (await jar.get("/login/denied")).headers["X-Authgw-Reason"] == "target_missing"


async def test_traefik_gets_the_same_refusal_page(jar: Jar) -> None:
    await jar.log_in("bob")
    target_headers = dict(by_forwarding("GET", "wiki.example.com", "/")[2])
    response = await jar.get("/authenticate/forward", **target_headers)
    assert response.status == 403
    assert "You have no access to this page" in jar.text
    program = await jar.get("/authenticate/forward", **target_headers, Accept="*/*")
    assert program.content_type == "text/plain"


@pytest.mark.parametrize("shown", [False, True])
async def test_the_refusal_page_lists_groups_only_if_configured(
    make_gateway: MakeGateway, shown: bool
) -> None:
    login = page_of(cookie_domain="example.com")
    rules = [{"host": "wiki.example.com", "allow": ["group:writers", "user:zoe"]}]
    switch = {"show_groups": True} if shown else {}
    jar = Jar(await make_gateway(login={**login, **switch}, rules=rules))
    await jar.log_in("bob")
    target_headers = dict(by_forwarding("GET", "wiki.example.com", "/")[2])
    response = await jar.get("/authenticate/forward", **target_headers)
    assert (response.status, "bob" in jar.text) == (403, True)
    assert ("writers" in jar.text, "zoe" in jar.text) == (shown, shown)
    assert "needs group:writers, user:zoe" in str(jar.running.events)


async def test_without_a_login_url_browsers_cannot_log_in(gateway: RunningGateway) -> None:
    for path in ("/login", "/logout"):
        response = await gateway.client.get(path)
        assert (response.status, response.headers["Allow"]) == (405, "POST")
        response = await gateway.client.post(path, data=FormData({"username": "bob"}))
        assert response.status == 415
    assert (await gateway.client.get("/login/account")).status == 404
    response = await gateway.post("/login", {"username": "bob", "password": PASSWORD})
    assert response.status == 200


async def test_each_root_domain_has_its_own_login_page(make_gateway: MakeGateway) -> None:
    pages = [
        page_of(url=f"https://auth.{domain}/login", cookie_domain=domain)
        for domain in ("example.com", "example.org")
    ]
    running = await make_gateway(login={"domains": pages})
    jar = Jar(running)
    checked = await jar.check("https://app.example.org/x")
    assert checked.headers["Location"].startswith("https://auth.example.org/login?rd=")
    checked = await jar.check("https://app.example.com/x")
    assert checked.headers["Location"].startswith("https://auth.example.com/login?rd=")
    jar = Jar(running, "https://auth.example.org")
    page = await jar.get("/login", Host="auth.example.org")
    assert page.status == 200
    response = await jar.send(
        "/login",
        {"Origin": "https://auth.example.org", "Host": "auth.example.org"},
        {
            "token": jar.token,
            "username": "bob",
            "password": PASSWORD,
            "rd": "https://app.example.org/x",
        },
    )
    assert response.headers["Location"] == "https://app.example.org/x"
    assert jar.set_cookies[-3]["domain"] == "example.org"


async def test_an_unavailable_store_shows_a_page(jar: Jar) -> None:
    await jar.log_in("bob")
    await jar.get("/login/account")
    await jar.running.store.close()
    response = await jar.get("/login/account")
    assert response.status == 503
    assert "The session store cannot be reached." in jar.text
    assert "ValueError" not in jar.text
    assert response.headers["Retry-After"] == "1"
    refused = await jar.running.client.post(
        "/login", json={"username": "bob", "password": PASSWORD}
    )
    assert refused.status == 503
