"""A gateway without passwords whose login page leads straight to its only provider."""

from collections.abc import Iterator

import pytest

from tests.support.processes import ask
from tests.support.provider_process import ACCOUNT_PASSWORD
from tests.support.provider_site import BUTTON, NAME, ProviderSite, provider_site
from tests.support.web_client import WebClient

PATH = "/reports/2026?quarter=4"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ProviderSite]:
    login = {"passwords": False, "auto": True}
    with provider_site("nginx", tmp_path_factory.mktemp("auto"), login) as made:
        yield made


def logged_in(site: ProviderSite) -> WebClient:
    browser = WebClient()
    browser.get(site.app(PATH))
    assert browser.url.startswith(site.provider.issuer), browser.visited
    return browser.submit("/interaction/", account="ada", password=ACCOUNT_PASSWORD)


def test_the_url_of_an_app_leads_to_the_provider_and_back(site: ProviderSite) -> None:
    assert logged_in(site).url == site.app(PATH)


def test_a_logout_is_followed_by_no_login(site: ProviderSite) -> None:
    browser = logged_in(site)
    browser.get(site.login("/login/account"))
    browser.submit("/logout")
    browser.submit("/session/end/confirm", logout="yes")
    assert browser.shows(BUTTON)
    assert browser.url.startswith(site.login("/login?state="))


def test_a_refusal_is_shown_and_the_next_try_can_choose_another_account(
    site: ProviderSite,
) -> None:
    site.provider.change("guest", password=ACCOUNT_PASSWORD, groups=["guests"])
    browser = WebClient()
    browser.get(site.app(PATH))
    browser.submit("/interaction/", account="guest", password=ACCOUNT_PASSWORD)
    assert browser.status == 403
    browser.follow(f"/login/oidc/{NAME}")
    started = next(url for url in browser.visited if url.startswith(f"{site.provider.issuer}/auth"))
    assert "prompt=select_account" in started or "prompt=login" in started


def test_no_password_opens_a_session(site: ProviderSite) -> None:
    gateway = site.proxied.gateway
    assert "password" not in WebClient().get(site.login("/login?switch=1")).text.lower()
    body = {"username": "alice", "password": "correct horse battery staple"}
    answer = ask(gateway.port, "POST", "/login", body=body)
    assert answer.status in (401, 403, 404)
