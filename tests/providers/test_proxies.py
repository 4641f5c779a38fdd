"""Logins at a provider through the real proxies, from a URL of the app and back to it."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.provider_process import ACCOUNT_PASSWORD
from tests.support.provider_site import BUTTON, NAME, ProviderSite, provider_site
from tests.support.proxies import PROXIES
from tests.support.web_client import WebClient

PATH = "/reports/2026?quarter=4&tag=a%26b&tag=%C3%BC&x=1+2"


@pytest.fixture(scope="module", params=PROXIES)
def site(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ProviderSite]:
    with provider_site(request.param, tmp_path_factory.mktemp(request.param)) as made:
        yield made


def received(browser: WebClient) -> dict[str, Any]:
    """Return the path and the headers of the request that the app received."""
    shown = json.loads(browser.text)
    headers = {name.lower(): value for name, value in shown["headers"]}
    return {"path": shown["path"], "headers": headers}


def test_a_login_leads_from_the_url_to_the_provider_and_back(site: ProviderSite) -> None:
    browser = site.logged_in(PATH)
    assert (browser.status, browser.url) == (200, site.app(PATH))
    request = received(browser)
    assert request["path"] == PATH
    headers = request["headers"]
    assert headers["remote-user"] == f"{NAME}:ada"
    assert headers["remote-groups"] == "admins,kc:staff"
    assert headers["remote-email"] == "ada@example.com"
    assert headers["remote-name"] == "Ada Example"


def test_no_app_sees_a_cookie_of_a_flow(site: ProviderSite) -> None:
    """Not even an app that shares its host with the login pages."""
    names = ("__Host-authgw-flow-abcdefgh", "authgw-flow-abcdefgh", "__Secure-authgw-flow-x")
    line = "; ".join([*(f"{name}=a.b.c" for name in names), "mine=1"])
    received = site.proxied.send("/public/", ("Cookie", line)).json()["headers"]
    cookies = [value for name, value in received if name.lower() == "cookie"]
    assert len(cookies) == 1
    assert cookies[0].strip("; ") == "mine=1"


def test_an_account_that_is_not_accepted_is_told_so(site: ProviderSite) -> None:
    site.provider.change("guest", password=ACCOUNT_PASSWORD, groups=["guests"])
    browser = site.logged_in(PATH, "guest")
    assert browser.status == 403
    assert "X-Authgw-Reason" in browser.headers
    assert browser.get(site.app(PATH)).url.startswith(site.login("/login?rd="))


def test_groups_of_the_provider_decide(site: ProviderSite) -> None:
    assert site.logged_in("/admin/x").status == 200
    site.provider.change("clerk", password=ACCOUNT_PASSWORD, groups=["staff"])
    assert site.logged_in("/admin/x", "clerk").status == 403


def test_a_logout_at_the_provider_ends_the_session_at_once(site: ProviderSite) -> None:
    browser = site.logged_in(PATH, "ben")
    assert site.provider.end_sessions("ben") == 1
    assert site.provider.notices[-1] == {"client": "authgw"}
    assert browser.get(site.app(PATH)).url.startswith(site.login("/login?rd="))


def test_a_logout_here_ends_the_session_at_the_provider(site: ProviderSite) -> None:
    browser = site.logged_in(PATH)
    browser.get(site.login("/login/account"))
    browser.submit("/logout")
    assert browser.url.startswith(f"{site.provider.issuer}/session/end"), browser.visited
    # The session here has ended, whatever happens there.
    elsewhere = WebClient(dict(browser.cookies))
    assert elsewhere.get(site.app(PATH)).url.startswith(site.login("/login?rd="))
    browser.submit("/session/end/confirm", logout="yes")
    assert browser.url.startswith(site.login("/login?state=")), browser.visited
    assert browser.shows(BUTTON)
    browser.get(site.app(PATH))
    browser.follow(f"/login/oidc/{NAME}")
    assert browser.forms, "the provider has no session any more, and shows its form"


def test_wrong_paths_below_the_login_are_unknown(site: ProviderSite) -> None:
    browser = WebClient()
    for path in (f"/login/oidc/{NAME}/other", "/login/oidc/unknown", "/login/oidc/", "/login/x"):
        assert browser.get(site.login(path)).status == 404, path
