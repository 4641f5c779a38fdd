"""The provider of these tests itself, by a client that does what OpenID Connect demands."""

import base64
import hashlib
import json
import secrets
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any
from urllib.parse import parse_qs, parse_qsl, quote_plus, urlencode, urlsplit

import pytest

from tests.support.gateway import basic
from tests.support.processes import HttpResponse, ask, free_port
from tests.support.provider_process import (
    ACCOUNT_PASSWORD,
    CLIENT_ID,
    CLIENT_SECRET,
    ProviderProcess,
    client_of,
    provider_process,
)
from tests.support.web_client import WebClient


class _Recorder(BaseHTTPRequestHandler):
    """The pages and the back channel of a client."""

    notices: list[str] = []  # noqa: RUF012  of all instances: the server makes each itself

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        self.notices.append(parse_qs(body)["logout_token"][0])
        self.do_GET()

    def log_message(self, *_: Any) -> None:
        """Log nothing."""


class RelyingParty:
    """A client of the provider, much smaller than a gateway."""

    def __init__(self, login: str, provider: ProviderProcess) -> None:
        self.login = login
        self.provider = provider
        self.verifier = secrets.token_urlsafe(32)
        digest = hashlib.sha256(self.verifier.encode()).digest()
        self.challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        self.redirect = f"{login}/oidc/company/callback"

    def log_in(self, browser: WebClient, account: str = "ada") -> dict[str, str]:
        """Return the parameters of the callback."""
        query = {
            "client_id": CLIENT_ID,
            "response_type": "code",
            "redirect_uri": self.redirect,
            "scope": "openid profile email groups",
            "state": "a state",
            "nonce": "a nonce",
            "code_challenge": self.challenge,
            "code_challenge_method": "S256",
        }
        browser.get(f"{self.provider.issuer}/auth?{urlencode(query)}")
        if browser.forms:
            browser.submit("/interaction/", account=account, password=ACCOUNT_PASSWORD)
        assert browser.url.startswith(self.redirect), browser.text
        return dict(parse_qsl(urlsplit(browser.url).query))

    def token(self, **form: str) -> HttpResponse:
        return ask(
            self.provider.port,
            "POST",
            "/token",
            {
                **basic(CLIENT_ID, quote_plus(CLIENT_SECRET)),
                "Content-Type": "application/x-www-form-urlencoded",
            },
            urlencode(form).encode(),
        )

    def exchange(self, code: str, verifier: str = "") -> HttpResponse:
        return self.token(
            grant_type="authorization_code",
            code=code,
            redirect_uri=self.redirect,
            code_verifier=verifier or self.verifier,
        )


@pytest.fixture(scope="module")
def login() -> Iterator[str]:
    port = free_port()
    server = HTTPServer(("127.0.0.1", port), _Recorder)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://auth.example.localhost:{port}/login"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="module")
def provider(login: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ProviderProcess]:
    with provider_process(tmp_path_factory.mktemp("provider"), [client_of(login)]) as made:
        yield made


@pytest.fixture
def client(login: str, provider: ProviderProcess) -> RelyingParty:
    _Recorder.notices.clear()
    return RelyingParty(login, provider)


def payload(token: str) -> dict[str, Any]:
    part = token.split(".")[1]
    found: dict[str, Any] = json.loads(base64.urlsafe_b64decode(part + "=="))
    return found


def test_a_login_brings_a_code_with_the_issuer(client: RelyingParty) -> None:
    callback = client.log_in(WebClient())
    assert callback["state"] == "a state"
    assert callback["iss"] == client.provider.issuer
    tokens = client.exchange(callback["code"]).json()
    claims = payload(tokens["id_token"])
    assert claims["nonce"] == "a nonce"
    assert claims["groups"] == ["kc-admins", "staff"]
    assert claims["amr"] == ["pwd", "mfa"]
    assert {"auth_time", "sid", "refresh_token"} <= {*claims, *tokens}


def test_a_code_is_spent_once_and_needs_its_verifier(client: RelyingParty) -> None:
    callback = client.log_in(WebClient())
    assert client.exchange(callback["code"], "0" * 43).json()["error"] == "invalid_grant"
    callback = client.log_in(WebClient())
    assert client.exchange(callback["code"]).status == 200
    assert client.exchange(callback["code"]).json()["error"] == "invalid_grant"


def test_a_second_login_of_the_same_browser_shows_no_form(client: RelyingParty) -> None:
    browser = WebClient()
    client.log_in(browser)
    client.log_in(browser)
    assert not any("/interaction/" in url for url in browser.visited)


def test_a_wrong_password_shows_the_form_again(client: RelyingParty) -> None:
    with pytest.raises(AssertionError, match="Wrong account"):
        client.log_in(WebClient(), "nobody")


def test_a_refresh_replaces_its_token_and_brings_the_present_groups(client: RelyingParty) -> None:
    client.provider.change("eve", password=ACCOUNT_PASSWORD, groups=["old"])
    tokens = client.exchange(client.log_in(WebClient(), "eve")["code"]).json()
    client.provider.change("eve", groups=["new"])
    refreshed = client.token(grant_type="refresh_token", refresh_token=tokens["refresh_token"])
    assert payload(refreshed.json()["id_token"])["groups"] == ["new"]
    again = client.token(grant_type="refresh_token", refresh_token=tokens["refresh_token"])
    assert again.json()["error"] == "invalid_grant"


@pytest.mark.parametrize("end", ["remove", "end_sessions"])
def test_a_refresh_fails_once_the_account_or_the_session_is_gone(
    client: RelyingParty, end: str
) -> None:
    client.provider.change("tmp", password=ACCOUNT_PASSWORD)
    tokens = client.exchange(client.log_in(WebClient(), "tmp")["code"]).json()
    getattr(client.provider, end)("tmp")
    refreshed = client.token(grant_type="refresh_token", refresh_token=tokens["refresh_token"])
    assert refreshed.json()["error"] == "invalid_grant"


def test_the_end_of_a_session_is_told_to_the_client(client: RelyingParty) -> None:
    tokens = client.exchange(client.log_in(WebClient(), "ben")["code"]).json()
    assert client.provider.end_sessions("ben") == 1
    (notice,) = _Recorder.notices
    sent = payload(notice)
    assert sent["sid"] == payload(tokens["id_token"])["sid"]
    assert sent["sub"] == "ben"
    assert "nonce" not in sent
    assert client.provider.notices[-1] == {"client": CLIENT_ID}


def test_a_logout_at_the_provider_leads_back_to_the_client(
    client: RelyingParty, login: str
) -> None:
    browser = WebClient()
    client.log_in(browser)
    query = {"client_id": CLIENT_ID, "post_logout_redirect_uri": login, "state": "x"}
    browser.get(f"{client.provider.issuer}/session/end?{urlencode(query)}")
    browser.submit("/session/end/confirm", logout="yes")
    assert browser.url == f"{login}?state=x"
    assert len(_Recorder.notices) == 1


def test_calls_are_counted(client: RelyingParty) -> None:
    before = client.provider.calls.get("/jwks", 0)
    ask(client.provider.port, "GET", "/jwks")
    assert client.provider.calls["/jwks"] == before + 1
