"""A gateway with a hostile provider, and a browser that logs in there."""

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import aiohttp
from aiohttp import ClientResponse

from authgw.core.audit import Event
from tests.support.clocks import MovableClock
from tests.support.gateway import Clock, MakeGateway, RunningGateway
from tests.support.hostile_provider import CLIENT_ID, CLIENT_SECRET, HostileProvider, merged
from tests.support.login_scene import APP, Jar, page_of
from tests.support.processes import ISSUED

NAME = "company"
START = f"/login/oidc/{NAME}"
CALLBACK = f"{START}/callback"
BACKCHANNEL = f"{START}/backchannel"
# Headers of a browser that follows a link, or a redirect of another site.
NAVIGATION = {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
RULES = (
    {"host": "app.example.com", "path": "/admin/**", "allow": "group:admins"},
    {"host": "app.example.com", "path": "/vault/**", "allow": "authenticated", "require": "totp"},
    {"host": "app.example.com", "allow": "authenticated"},
)


def provider_keys(folder: Path, op: HostileProvider, **keys: Any) -> dict[str, Any]:
    """Return an entry of `login.providers`; None removes a key."""
    secret = folder / "provider-secret"
    secret.write_text(f"{CLIENT_SECRET}\n")
    secret.chmod(0o600)
    ISSUED.add(CLIENT_SECRET)
    entry = {
        "issuer": op.issuer,
        "client_id": CLIENT_ID,
        "client_secret_file": str(secret),
        "label": "Example Ltd",
        "accept": "everyone",
    }
    return merged(entry, keys)


@dataclass
class HostileScene:
    """A gateway, its provider, and a browser."""

    op: HostileProvider
    running: RunningGateway
    jar: Jar

    async def start(self, rd: str = APP, path: str = START) -> ClientResponse:
        """Click the button of the login page."""
        return await self.jar.get(f"{path}?rd={quote(rd, safe='')}", **NAVIGATION)

    async def at_provider(self, started: ClientResponse) -> str:
        """Follow the redirect to the provider; return the address that it leads back to."""
        assert started.status in (302, 303), await started.text()
        async with (
            aiohttp.ClientSession() as session,
            # A browser trusts the certificate of the provider; the gateway has to verify it.
            session.get(started.headers["Location"], allow_redirects=False, ssl=False) as response,
        ):
            assert response.status == 302, await response.text()
            return response.headers["Location"]

    async def back(self, url: str) -> ClientResponse:
        """Follow a redirect of the provider to the gateway."""
        parts = urlsplit(url)
        assert f"{parts.scheme}://{parts.netloc}" == self.jar.origin, url
        ISSUED.update(re.findall(r"code=([^&]+)", parts.query))
        path = f"{parts.path}?{parts.query}"
        return await self.jar.get(path, **NAVIGATION, **{"Sec-Fetch-Site": "cross-site"})

    async def log_in(self, rd: str = APP) -> ClientResponse:
        """Log in at the provider; return the gateway's response to the callback."""
        return await self.back(await self.at_provider(await self.start(rd)))

    @property
    def last(self) -> Event:
        return self.running.events[-1]

    def move(self, clock: MovableClock, seconds: float) -> None:
        """Move the clock of gateway and store ahead; the mirror has read no session since then.

        Its ages are those of the clock that no test moves.
        """
        clock.move(seconds)
        for sid in {event.sid for event in self.running.events}:
            self.running.server.mirror._drop(sid)

    def is_logged_in(self) -> bool:
        return bool(self.jar.session)


async def hostile_scene(
    make_gateway: MakeGateway,
    op: HostileProvider,
    *,
    login: Mapping[str, Any] | None = None,
    others: Mapping[str, Mapping[str, Any]] | None = None,
    clock: Clock = time.time,
    **keys: Any,
) -> HostileScene:
    """Start a gateway with this provider; `keys` are further keys of its entry.

    `login` are further keys of that section, of which None removes a key. `clock` is also that of
    the store.
    """
    providers = {NAME: provider_keys(make_gateway.folder, op, **keys), **(others or {})}
    running = await make_gateway(
        login=merged(page_of(providers=providers), login or {}),
        # A test that moves the clock by a day does not wait for these ends.
        auth={"auto_logout": "30d", "session_max": "90d", "refresh_lifetime": "90d"},
        rules=RULES,
        clock=clock,
        store_clock=clock,
    )
    return HostileScene(op, running, Jar(running))


async def refused(
    scene: HostileScene, response: ClientResponse, status: int, reason: str, cause: str
) -> None:
    """Assert that a response of the gateway refuses a login, and that the log has the cause."""
    text = await response.text()
    assert response.status == status, text
    assert response.headers["X-Authgw-Reason"] == reason
    assert (scene.last.reason, scene.last.cause) == (reason, cause), scene.last
    assert "a detail of the provider" not in text
    assert not scene.is_logged_in()


def case_name(value: object) -> str:
    """Return the name of a case of a table: short, and the same in every run."""
    if isinstance(value, dict):
        members = (name if isinstance(x, dict) else f"{name}={x}" for name, x in value.items())
        value = ", ".join(members) or "{}"
    return re.sub(r"[0-9]{9,}", "N", str(value))[:60]
