"""Logins at a provider in Chromium, through NGINX and Traefik."""

import json
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.support.chromium import launched
from tests.support.provider_process import ACCOUNT_PASSWORD
from tests.support.provider_site import BUTTON, NAME, ProviderSite, provider_site

pytestmark = pytest.mark.alone

PATH = "/reports/2026?quarter=4&tag=a%26b&tag=%C3%BC&x=1+2"


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with launched() as browser:
        yield browser


@pytest.fixture(scope="module", params=["nginx", "traefik"])
def site(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ProviderSite]:
    with provider_site(request.param, tmp_path_factory.mktemp(request.param)) as made:
        yield made


@pytest.fixture
def context(request: pytest.FixtureRequest, chromium: Browser) -> Iterator[BrowserContext]:
    """Return a new browser, without scripts unless a test asks for both.

    All browsers have the same address, of which the gateway takes ten callbacks in a minute.
    """
    context = chromium.new_context(java_script_enabled=getattr(request, "param", False))
    context.set_default_timeout(10_000)
    yield context
    context.close()


def log_in_at_the_provider(page: Page, account: str = "ada") -> None:
    page.get_by_role("link", name=BUTTON).click()
    page.get_by_label("Account").fill(account)
    page.get_by_label("Password").fill(ACCOUNT_PASSWORD)
    page.get_by_role("button", name="Sign in").click()


@pytest.mark.parametrize("context", [True, False], ids=["scripts", "no scripts"], indirect=True)
def test_a_login_leads_from_the_url_to_the_provider_and_back(
    site: ProviderSite, context: BrowserContext
) -> None:
    page = context.new_page()
    page.goto(site.app(PATH))
    log_in_at_the_provider(page)
    page.wait_for_url(site.app(PATH))
    request = json.loads(page.inner_text("body"))
    assert request["path"] == PATH
    headers = {name.lower(): value for name, value in request["headers"]}
    assert headers["remote-user"] == f"{NAME}:ada"
    assert "authgw" not in headers.get("cookie", "")
    names = {cookie.get("name", "") for cookie in context.cookies()}
    assert "__Secure-authgw" in names
    assert not [name for name in names if "flow" in name], "the flow is over"


def test_a_second_app_opens_without_a_form(site: ProviderSite, context: BrowserContext) -> None:
    """The provider has a session: after a logout here the button is enough."""
    page = context.new_page()
    page.goto(site.app(PATH))
    log_in_at_the_provider(page)
    page.wait_for_url(site.app(PATH))
    context.clear_cookies(domain=".example.localhost")
    page.goto(site.app("/second"))
    page.get_by_role("link", name=BUTTON).click()
    page.wait_for_url(site.app("/second"))


def test_a_logout_leads_to_the_provider_and_back(
    site: ProviderSite, context: BrowserContext
) -> None:
    page = context.new_page()
    page.goto(site.app(PATH))
    log_in_at_the_provider(page)
    page.wait_for_url(site.app(PATH))
    page.goto(site.login("/login/account"))
    page.get_by_role("button", name="Log out", exact=True).click()
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_text("You are logged out.")).to_be_visible()
    page.goto(site.app(PATH))
    expect(page.get_by_role("link", name=BUTTON)).to_be_visible()


def test_a_logout_at_the_provider_shows_the_login_page(
    site: ProviderSite, context: BrowserContext
) -> None:
    page = context.new_page()
    page.goto(site.app(PATH))
    log_in_at_the_provider(page, "ben")
    page.wait_for_url(site.app(PATH))
    assert site.provider.end_sessions("ben") >= 1
    page.reload()
    expect(page.get_by_role("link", name=BUTTON)).to_be_visible()


def test_a_fragment_survives_where_scripts_run(site: ProviderSite, chromium: Browser) -> None:
    context = chromium.new_context()
    page = context.new_page()
    page.goto(site.app("/page?x=1#section-2"))
    log_in_at_the_provider(page)
    page.wait_for_url(site.app("/page?x=1#section-2"))
    context.close()
