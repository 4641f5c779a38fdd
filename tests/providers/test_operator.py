"""What an operator does about accounts, at a real provider behind NGINX: link, block, release."""

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.processes import prepare
from tests.support.provider_process import ACCOUNT_PASSWORD
from tests.support.provider_site import NAME, ProviderSite, provider_site
from tests.support.web_client import WebClient

# Seconds until a gateway has seen a change of its files.
_SEEN = 1.5


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ProviderSite]:
    folder = tmp_path_factory.mktemp("operator")
    keys: dict[str, Any] = {"subject": "preferred_username", "bind": "first"}
    with provider_site("nginx", folder, None, **keys) as made:
        yield made


def run(site: ProviderSite, *words: str) -> str:
    """Run a command of the operator, and wait until the gateway has seen its effect."""
    shown = prepare(site.proxied.gateway.folder, "user", *words)
    time.sleep(_SEEN)
    return shown


def user_of(browser: WebClient) -> str:
    assert browser.status == 200, browser.text
    headers = json.loads(browser.text)["headers"]
    return next(str(value) for name, value in headers if name.lower() == "remote-user")


def add_account(site: ProviderSite, name: str) -> None:
    site.provider.change(name, password=ACCOUNT_PASSWORD, groups=["staff"], preferred_username=name)


def is_logged_in(site: ProviderSite, browser: WebClient) -> bool:
    return browser.get(site.app()).url == site.app()


def test_a_linked_account_is_the_user_until_it_is_unlinked(site: ProviderSite) -> None:
    add_account(site, "alice-at-company")
    run(site, "link", "alice", NAME, "alice-at-company")
    browser = site.logged_in("/", "alice-at-company")
    assert user_of(browser) == "alice"
    run(site, "unlink", "alice", NAME)
    assert not is_logged_in(site, browser)
    assert user_of(site.logged_in("/", "alice-at-company")) == f"{NAME}:alice-at-company"


def test_a_blocked_account_is_out_at_once_and_stays_out(site: ProviderSite) -> None:
    add_account(site, "mallory")
    browser = site.logged_in("/", "mallory")
    assert user_of(browser) == f"{NAME}:mallory"
    run(site, "block", f"oidc:{NAME}/mallory")
    assert not is_logged_in(site, browser)
    assert site.logged_in("/", "mallory").status == 403
    run(site, "unblock", f"oidc:{NAME}/mallory")
    assert user_of(site.logged_in("/", "mallory")) == f"{NAME}:mallory"


def test_a_name_belongs_to_its_account_until_it_is_released(site: ProviderSite) -> None:
    add_account(site, "first")
    assert user_of(site.logged_in("/", "first")) == f"{NAME}:first"
    site.provider.change("second", password=ACCOUNT_PASSWORD, groups=["staff"])
    site.provider.change("first", preferred_username="former")
    site.provider.change("second", preferred_username="first")
    assert site.logged_in("/", "second").status == 403
    assert f"{NAME}:first" in run(site, "binding", "list")
    run(site, "binding", "release", f"{NAME}:first", "--yes")
    assert user_of(site.logged_in("/", "second")) == f"{NAME}:first"


def test_the_gateway_wrote_no_secret_of_the_provider(site: ProviderSite) -> None:
    log = site.proxied.gateway.log
    assert "Traceback" not in log
    assert "callback?" not in log
