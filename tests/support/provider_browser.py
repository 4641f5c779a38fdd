"""A gateway with an identity provider, and a browser that logs in there."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

import pytest
from aiohttp import ClientResponse

from authgw.core.sessions import Session
from authgw.server.outgoing import OutgoingClient
from tests.support.fake_provider import ISSUER, FakeProvider
from tests.support.gateway import MakeGateway, RunningGateway
from tests.support.login_scene import APP, RULES, Jar, page_of

ICON = b'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 1 1"/>'
START = "/login/oidc/company"
CALLBACK = f"{START}/callback"
# A navigation by a link on one of our own pages, and by a link of another site.
OWN_PAGE = {"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "navigate"}
ELSEWHERE = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}


def with_provider(
    folder: Path, /, login: Mapping[str, Any] | None = None, **keys: Any
) -> dict[str, Any]:
    """Return a section `login` with a provider, whose files are in `folder`."""
    for name, content in (("kc", b"top secret"), ("kc.svg", ICON)):
        (folder / name).write_bytes(content)
        (folder / name).chmod(0o600)
    company = {
        "issuer": ISSUER,
        "client_id": "authgw",
        "client_secret_file": "kc",
        "label": "Example Ltd",
        "icon": "kc.svg",
        "accept": "everyone",
        **keys,
    }
    return {**page_of(), **(login or {}), "providers": {"company": company}}


@dataclass
class OidcSite:
    """A running gateway, its provider, and a browser."""

    running: RunningGateway
    provider: FakeProvider
    jar: Jar

    async def start(self, path: str = START, rd: str = APP, **headers: str) -> ClientResponse:
        return await self.jar.get(f"{path}?rd={quote(rd, safe='')}" if rd else path, **headers)

    def answer(self, started: ClientResponse, **claims: Any) -> str:
        """Let the user log in at the provider; return the path of the callback."""
        sent = sent_by(started)
        self.provider.tokens["id_token"] = self.provider.id_token(sent["nonce"], **claims)
        query = urlencode({"code": "C1", "state": sent["state"]})
        return f"{START}/callback?{query}"

    async def log_in(self, rd: str = APP, **claims: Any) -> ClientResponse:
        started = await self.start(rd=rd)
        assert started.status == 303, await started.text()
        return await self.jar.get(self.answer(started, **claims))

    def flows(self) -> list[str]:
        """Return the names of the browser's cookies of flows."""
        prefix = "__Host-authgw-flow-"
        return [name for name, value in self.jar.cookies.items() if value and prefix in name]


def sent_by(response: ClientResponse) -> dict[str, str]:
    """Return the parameters of the request to the provider that a redirect makes."""
    return dict(parse_qsl(urlsplit(response.headers["Location"]).query))


async def newest_session(site: OidcSite) -> Session:
    """Return the session of the latest login."""
    *_, login = (event for event in site.running.events if event.name == "login")
    session = (await site.running.store.read(login.sid)).session
    assert session is not None
    return session


@dataclass
class MakeSite:
    """Starts gateways with a provider."""

    make_gateway: MakeGateway
    provider: FakeProvider

    async def __call__(self, login: Mapping[str, Any] | None = None, **keys: Any) -> OidcSite:
        section = with_provider(self.make_gateway.folder, login=login, **keys)
        running = await self.make_gateway(login=section, rules=RULES)
        return OidcSite(running, self.provider, Jar(running))


@pytest.fixture
def make_site(make_gateway: MakeGateway, monkeypatch: pytest.MonkeyPatch) -> MakeSite:
    """Return a function that starts gateways, whose calls a fake provider responds to."""
    provider = FakeProvider(now=time.time())
    monkeypatch.setattr(OutgoingClient, "calls_of", lambda *_: provider.calls)
    return MakeSite(make_gateway, provider)
