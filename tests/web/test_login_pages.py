"""The pages as answers: their headers, who is shown which, where there are none."""

import re
from html import unescape
from pathlib import Path
from urllib.parse import quote

import pytest
from aiohttp import FormData

from authgw.core.login_sites import LoginSites
from tests.support.gateway import PASSWORD, Surface, surface
from tests.support.login_scene import APP, Jar, page_of


async def test_pages_are_nobody_elses(jar: Jar) -> None:
    for path in ("/login", "/logout"):
        answer = await jar.get(path)
        policy = answer.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
    await jar.get(f"/login?rd={quote(APP, safe='')}")
    style = await jar.get("/login/style.css")
    assert style.content_type == "text/css"


async def test_a_log_in_may_lead_on_from_app_to_app(jar: Jar) -> None:
    # Chromium holds every redirect behind a form against form-action; apps redirect as they like.
    answer = await jar.get(f"/login?rd={quote(APP, safe='')}")
    assert "form-action 'self' https: http:;" in answer.headers["Content-Security-Policy"]
    await jar.log_in()
    answer = await jar.get("/login/account")
    assert "form-action 'self';" in answer.headers["Content-Security-Policy"]


@pytest.mark.parametrize("letter", ["a", "/", "%3d"])
async def test_an_address_too_long_for_a_form_keeps_nobody_out(jar: Jar, letter: str) -> None:
    await jar.get(f"/login?rd={quote(APP + letter * 6000, safe='')}")
    (rd,) = re.findall(r'name="rd" value="([^"]*)"', jar.text)
    answer = await jar.post("/login", rd=unescape(rd), username="bob", password=PASSWORD)
    assert answer.status == 303


async def test_a_browser_sees_pages_and_a_program_problems(jar: Jar) -> None:
    jar.running.client.session.headers.clear()
    answer = await jar.send("/login", {"Origin": "null"}, {})
    assert answer.content_type == "text/html"
    program = await jar.running.client.post(
        "/login", data=FormData({}), headers={"Host": "auth.example.com", "Origin": "null"}
    )
    assert program.content_type == "application/problem+json"


async def test_the_refusal_page_is_for_proxies_only(jar: Jar) -> None:
    await jar.log_in("bob")
    told = {
        "X-Original-URL": "https://wiki.example.com/<x>",
        "X-Original-Host": "wiki.example.com",
        "X-Original-Method": "GET",
    }
    page = await jar.get("/login/denied", **told)
    assert (page.status, page.headers["X-Authgw-Reason"]) == (403, "not_permitted")
    assert "group writers" in jar.text
    assert "bob" in jar.text
    assert "&lt;x&gt;" in jar.text
    assert "style-src https://auth.example.com" in page.headers["Content-Security-Policy"]
    assert (await jar.get("/login/denied")).headers["X-Authgw-Reason"] == "target_missing"


async def test_traefik_hands_the_same_page_on(jar: Jar) -> None:
    await jar.log_in("bob")
    told = {
        "X-Forwarded-Proto": "https",
        "X-Forwarded-Host": "wiki.example.com",
        "X-Forwarded-Uri": "/",
        "X-Forwarded-Method": "GET",
    }
    answer = await jar.get("/authenticate/forward", **told)
    assert answer.status == 403
    assert "group writers" in jar.text
    program = await jar.get("/authenticate/forward", **told, Accept="*/*")
    assert program.content_type == "text/plain"


async def test_without_a_login_url_browsers_do_not_log_in(gateway: Surface) -> None:
    for path in ("/login", "/logout"):
        answer = await gateway.client.get(path)
        assert (answer.status, answer.headers["Allow"]) == (405, "POST")
        answer = await gateway.client.post(path, data=FormData({"username": "bob"}))
        assert answer.status == 415
    assert (await gateway.client.get("/login/account")).status == 404
    answer = await gateway.post("/login", {"username": "bob", "password": PASSWORD})
    assert answer.status == 200


async def test_each_root_domain_has_its_own_page(tmp_path: Path) -> None:
    sites = LoginSites(
        tuple(
            site
            for domain in ("example.com", "example.org")
            for site in page_of(url=f"https://auth.{domain}/login", cookie_domain=domain).all
        )
    )
    async for running in surface(tmp_path, sites=sites):
        jar = Jar(running)
        told = await jar.asks("https://app.example.org/x")
        assert told.headers["Location"].startswith("https://auth.example.org/login?rd=")
        told = await jar.asks("https://app.example.com/x")
        assert told.headers["Location"].startswith("https://auth.example.com/login?rd=")
        jar = Jar(running, "https://auth.example.org")
        page = await jar.get("/login", Host="auth.example.org")
        assert page.status == 200
        answer = await jar.send(
            "/login",
            {"Origin": "https://auth.example.org", "Host": "auth.example.org"},
            {
                "token": jar.token,
                "username": "bob",
                "password": PASSWORD,
                "rd": "https://app.example.org/x",
            },
        )
        assert answer.headers["Location"] == "https://app.example.org/x"
        assert jar.given[-3]["domain"] == "example.org"


async def test_the_store_away_is_a_page_that_says_so(jar: Jar) -> None:
    await jar.log_in("bob")
    await jar.get("/login/account")
    await jar.running.store.close()
    answer = await jar.get("/login/account")
    assert answer.status == 503
    assert "The session store cannot be reached." in jar.text
    assert "ValueError" not in jar.text
    assert answer.headers["Retry-After"] == "1"
    refused = await jar.running.client.post(
        "/login", json={"username": "bob", "password": PASSWORD}
    )
    assert refused.status == 503
