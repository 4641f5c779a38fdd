"""The fragment of the first URL, in a browser with JavaScript, through a real NGINX."""

import re
from collections.abc import Iterator

import pyotp
import pytest
from playwright.sync_api import Browser, Page, Request, expect

from tests.support.browser import Sso, log_in
from tests.support.processes import authgw

pytestmark = pytest.mark.alone

FRAGMENT = "#section-2/%C3%BC?a=b&rd=https://evil.example/"
WANTED = f"/reports/2026?quarter=4&tag=a%26b{FRAGMENT}"


@pytest.fixture
def sent() -> list[str]:
    """All that the browser has sent: URLs, bodies and headers."""
    return []


@pytest.fixture
def page(chromium: Browser, sent: list[str]) -> Iterator[Page]:
    context = chromium.new_context()
    context.set_default_timeout(10_000)

    def record(request: Request) -> None:
        # The driver's URL of a request has the fragment, which is not sent.
        url = request.url.partition("#")[0]
        sent.extend((url, request.post_data or "", str(request.all_headers())))

    page = context.new_page()
    page.on("request", record)
    yield page
    context.close()


@pytest.fixture(scope="module")
def totp(site: Sso) -> pyotp.TOTP:
    """The second factor of erin."""
    site.user("erin")
    result = authgw(site.gateway.folder, "user", "totp", "erin")
    secret = re.search(r"secret=([A-Z2-7]+)", result.stdout)
    assert secret
    site.wait_for_the_file()
    return pyotp.TOTP(secret[1])


def arrives(site: Sso, page: Page, url: str, sent: list[str]) -> None:
    """Assert that the browser shows this URL, and that no server has received its fragment."""
    page.wait_for_url(url)
    expect(page.get_by_role("heading", level=1)).to_have_text("Protected page")
    assert page.url == url
    everything = "".join(sent)
    assert "section-2" not in everything
    assert "section-2" not in site.gateway.log


def test_a_login_returns_to_the_fragment(site: Sso, page: Page, sent: list[str]) -> None:
    wanted = site.url("app", WANTED)
    page.goto(wanted)
    page.wait_for_url(re.compile(re.escape(site.url("auth", "/login?rd="))))
    log_in(page, "alice", "wrong")
    expect(page.get_by_role("alert")).to_have_text("The username or password is wrong.")
    log_in(page, "alice")
    arrives(site, page, wanted, sent)


def test_the_second_step_keeps_the_fragment(
    site: Sso, page: Page, sent: list[str], totp: pyotp.TOTP
) -> None:
    wanted = site.url("app", WANTED)
    page.goto(wanted)
    log_in(page, "erin")
    page.wait_for_url(re.compile("/login/totp"))
    code = page.get_by_label("Code", exact=True)
    code.fill("000000")
    page.get_by_role("button", name="Continue", exact=True).click()
    expect(page.get_by_role("alert")).to_have_text("The code is wrong.")
    code.fill(totp.now())
    page.get_by_role("button", name="Continue", exact=True).click()
    arrives(site, page, wanted, sent)


def test_another_user_keeps_the_fragment(site: Sso, page: Page, sent: list[str]) -> None:
    wanted = site.url("wiki", f"/edit{FRAGMENT}")
    page.goto(wanted)
    log_in(page, "bob")
    expect(page.get_by_role("heading", level=1)).to_have_text("You have no access to this page")
    assert page.url == wanted
    page.get_by_role("link", name="Switch account").click()
    log_in(page, "alice")
    arrives(site, page, wanted, sent)


@pytest.mark.usefixtures("totp")
def test_another_user_after_the_first_step_keeps_the_fragment(
    site: Sso, page: Page, sent: list[str]
) -> None:
    wanted = site.url("app", WANTED)
    page.goto(wanted)
    log_in(page, "erin")
    page.get_by_role("link", name="Log in as another user").click()
    log_in(page, "alice")
    arrives(site, page, wanted, sent)


def test_a_fragment_leads_to_no_other_page(site: Sso, page: Page) -> None:
    page.goto(site.url("auth", "/login#//evil.example/"))
    log_in(page, "alice")
    page.wait_for_url(site.url("app", "/#//evil.example/"))


def test_the_fragment_of_the_way_back_is_kept(site: Sso, page: Page) -> None:
    wanted = site.url("app", "/page%23own")
    page.goto(site.url("auth", f"/login?rd={wanted}#other"))
    log_in(page, "alice")
    page.wait_for_url(site.url("app", "/page#own"))
