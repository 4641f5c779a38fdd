"""Logins at npm's oidc-provider with two replicas on a real Redis."""

import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
import yaml

from tests.support.processes import (
    GatewayProcess,
    HttpResponse,
    ask,
    free_port,
    two_replicas,
)
from tests.support.provider_process import (
    ACCOUNT_PASSWORD,
    ProviderProcess,
    client_of,
    provider_process,
)
from tests.support.provider_site import NAME, gateway_config, secret_file
from tests.support.proxies import HOST, LOGIN_HOST
from tests.support.web_client import WebClient

PAGE = f"http://{LOGIN_HOST}:4000/login"
APP = f"http://{HOST}:4000/page?x=1"
# Seconds: sessions are read again after 1 s, if the push of a revocation is lost.
_BOUND = 1.5


@dataclass
class Replicas:
    """Two replicas without a proxy; the browser reaches one of them by its name."""

    first: GatewayProcess
    second: GatewayProcess
    provider: ProviderProcess

    def browser(self, replica: GatewayProcess) -> WebClient:
        browser = WebClient()
        self.lead(browser, replica)
        return browser

    def lead(self, browser: WebClient, replica: GatewayProcess) -> None:
        """Lead the login page to this replica, and the app, which is the same for this purpose."""
        for host in (LOGIN_HOST, HOST):
            browser.ports[f"{host}:4000"] = replica.port

    def log_in(self, browser: WebClient, account: str = "ada") -> None:
        """Log in at the provider, until the gateway leads on to the app."""
        browser.get(f"{PAGE}?rd={APP}")
        browser.follow(f"/login/oidc/{NAME}")
        if browser.forms:
            browser.submit("/interaction/", account=account, password=ACCOUNT_PASSWORD)
        assert browser.url == APP, (browser.visited, browser.text)

    def check(self, replica: GatewayProcess, browser: WebClient) -> HttpResponse:
        cookies = browser.cookies_of(HOST)
        headers = {
            "X-Original-URL": APP,
            "X-Original-Host": f"{HOST}:4000",
            "X-Original-Method": "GET",
            "Cookie": "; ".join(f"{name}={value}" for name, value in cookies.items()),
        }
        return ask(replica.port, "GET", "/authenticate", headers)

    def status(self, browser: WebClient) -> tuple[int, int]:
        first, second = (self.check(each, browser).status for each in (self.first, self.second))
        return first, second


@pytest.fixture(scope="module")
def replicas(redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Replicas]:
    folder = tmp_path_factory.mktemp("replicas")
    first, second = two_replicas(folder / "gateway", redis_url)
    issuer_port = free_port()
    config = gateway_config(PAGE, f"http://127.0.0.1:{issuer_port}", secret_file(folder))
    (first.folder / "config.yml").write_text(yaml.safe_dump(config))
    backchannel = f"http://{LOGIN_HOST}:{first.port}/login/oidc/{NAME}/backchannel"
    clients = [client_of(PAGE, NAME, backchannel_logout_uri=backchannel)]
    with provider_process(folder / "provider", clients, port=issuer_port) as provider:
        for replica in (first, second):
            replica.start()
        for replica in (first, second):
            replica.wait_until_ready()
        yield Replicas(first, second, provider)
        for replica in (first, second):
            replica.stop()


def test_a_login_is_begun_at_one_replica_and_ended_at_another(replicas: Replicas) -> None:
    browser = replicas.browser(replicas.first)
    browser.get(f"{PAGE}?rd={APP}")
    browser.follow(f"/login/oidc/{NAME}")
    replicas.lead(browser, replicas.second)
    browser.submit("/interaction/", account="ada", password=ACCOUNT_PASSWORD)
    assert browser.url == APP
    assert replicas.status(browser) == (200, 200)


def test_a_callback_is_accepted_by_one_replica_only(replicas: Replicas) -> None:
    browser = replicas.browser(replicas.first)
    replicas.log_in(browser)
    callback = next(url for url in browser.visited if "/callback?" in url)
    other = replicas.browser(replicas.second)
    other.get(f"{PAGE}?rd={APP}")
    other.follow(f"/login/oidc/{NAME}")
    other.get(callback)
    assert other.status == 400
    assert other.headers["X-Authgw-Reason"] == "flow_invalid"


def test_a_logout_at_the_provider_ends_its_sessions_on_every_replica(replicas: Replicas) -> None:
    ada, first, second = (replicas.browser(replicas.first) for _ in range(3))
    replicas.log_in(ada)
    replicas.log_in(first, "ben")
    replicas.log_in(second, "ben")
    assert [replicas.status(each) for each in (ada, first, second)] == [(200, 200)] * 3
    assert replicas.provider.end_sessions("ben") == 2
    time.sleep(_BOUND)
    assert [replicas.status(each) for each in (ada, first, second)] == [
        (200, 200),
        (401, 401),
        (401, 401),
    ]


def test_a_logout_here_ends_the_session_of_this_browser_alone(replicas: Replicas) -> None:
    mine, other = replicas.browser(replicas.first), replicas.browser(replicas.second)
    replicas.log_in(mine)
    replicas.log_in(other)
    mine.get(PAGE.removesuffix("/login") + "/login/account")
    cookies = dict(mine.cookies)
    mine.submit("/logout")
    mine.cookies = cookies
    time.sleep(_BOUND)
    assert replicas.status(mine) == (401, 401)
    assert replicas.status(other) == (200, 200)
