"""Logins in a real browser through the example of each proxy, as shipped but for its ports."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.support.browser import log_in
from tests.support.processes import ROOT
from tests.support.proxies import EXAMPLES, HOST, LOGIN_HOST, PASSWORD, Proxied, running

pytestmark = pytest.mark.alone

IDENTITY = {"remote-user": "alice", "remote-groups": "", "remote-email": ""}


@pytest.fixture(scope="module", params=EXAMPLES)
def proxied(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Proxied]:
    config = (ROOT / "examples" / request.param / "config.yml").read_text()
    yield from running(request.param, tmp_path_factory.mktemp(request.param), config=config)


def app(proxied: Proxied, path: str) -> str:
    return f"http://{HOST}:{proxied.port}{path}"


def login(proxied: Proxied, path: str) -> str:
    return f"http://{LOGIN_HOST}:{proxied.port}{path}"


def shows(page: Page, heading: str) -> None:
    expect(page.get_by_role("heading", level=1)).to_have_text(heading)


def request_of(page: Page) -> Any:
    """Return the request that the app received, which it shows as JSON."""
    return json.loads(page.inner_text("body"))


def test_a_login_returns_to_the_url_and_a_logout_ends_it(
    proxied: Proxied, page: Page, context: BrowserContext
) -> None:
    path = "/reports/2026?quarter=4&tag=a%26b&tag=%C3%BC&x=1+2"
    page.goto(app(proxied, path))
    page.wait_for_url(re.compile(re.escape(login(proxied, "/login?rd="))))
    log_in(page, "alice", PASSWORD)
    page.wait_for_url(app(proxied, path))
    received = request_of(page)
    assert received["path"] == path
    assert identity(received) == IDENTITY
    assert "__Secure-authgw" in {cookie["name"] for cookie in context.cookies()}
    cookies = [value for name, value in received["headers"] if name.lower() == "cookie"]
    assert "authgw" not in "".join(cookies)
    page.goto(login(proxied, "/"))
    page.wait_for_url(login(proxied, "/login/account"))
    shows(page, "Your account")
    assert "system-ui" in page.evaluate("getComputedStyle(document.body).fontFamily")
    page.get_by_role("button", name="Log out").click()
    shows(page, "You are logged out.")
    page.goto(app(proxied, path))
    page.wait_for_url(re.compile(re.escape(login(proxied, "/login?rd="))))


def identity(received: Any) -> dict[str, str]:
    """Return the identity headers of a request; a header that arrived twice fails the test."""
    found = [(name.lower(), value) for name, value in received["headers"]]
    named = [(name, value) for name, value in found if name in IDENTITY]
    assert len(dict(named)) == len(named)
    return {**dict.fromkeys(IDENTITY, ""), **dict(named)}


def test_a_login_keeps_the_fragment_where_scripts_run(proxied: Proxied, chromium: Browser) -> None:
    context = chromium.new_context()
    page = context.new_page()
    page.goto(app(proxied, "/page?x=1#section-2"))
    log_in(page, "alice", PASSWORD)
    page.wait_for_url(app(proxied, "/page?x=1#section-2"))
    assert request_of(page)["path"] == "/page?x=1"
    context.close()


def test_a_public_page_opens_without_a_login(proxied: Proxied, page: Page) -> None:
    page.goto(app(proxied, "/public/x?y=z"))
    received = request_of(page)
    assert received["path"] == "/public/x?y=z"
    assert set(identity(received).values()) == {""}


def test_a_login_without_a_return_url_leads_to_the_app(proxied: Proxied, page: Page) -> None:
    page.goto(login(proxied, "/login"))
    log_in(page, "alice", PASSWORD)
    page.wait_for_url(app(proxied, "/"))
    assert identity(request_of(page)) == IDENTITY


def test_a_long_link_survives_the_login(proxied: Proxied, page: Page) -> None:
    path = "/page?q=" + "%C3%A9" * 1_320
    page.goto(app(proxied, path))
    log_in(page, "alice", PASSWORD)
    page.wait_for_url(app(proxied, path))
    assert request_of(page)["path"] == path


def test_a_wrong_password_is_told_on_the_page(proxied: Proxied, page: Page) -> None:
    page.goto(app(proxied, "/page"))
    log_in(page, "alice", "wrong")
    expect(page.get_by_role("alert")).to_have_text("The username or password is wrong.")
