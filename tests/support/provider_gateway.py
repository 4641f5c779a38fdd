"""A gateway process whose identity provider runs in the test."""

import asyncio
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import yaml

from tests.support.hostile_provider import HostileProvider, hostile_provider
from tests.support.hostile_scene import BACKCHANNEL, NAVIGATION, START, provider_keys
from tests.support.processes import GatewayProcess, make_gateway


@dataclass
class GatewayWithProvider:
    """A gateway process with a provider of the name company."""

    gateway: GatewayProcess
    op: HostileProvider
    entry: dict[str, Any] = field(default_factory=dict)

    @property
    def secret(self) -> Path:
        return Path(self.entry["client_secret_file"])

    @property
    def url(self) -> str:
        return f"http://localhost:{self.gateway.port}"

    def configure(self, **providers: dict[str, Any]) -> None:
        login = {"url": f"{self.url}/login", "providers": providers}
        content = {"login": login, "rules": [{"allow": "authenticated"}]}
        (self.gateway.folder / "config.yml").write_text(yaml.safe_dump(content))

    async def reload(self, message: str) -> str:
        """Send SIGHUP; return the log from the next occurrence of this text on."""
        return await asyncio.to_thread(self._reload, message)

    def _reload(self, message: str) -> str:
        assert self.gateway.process is not None
        seen, until = len(self.gateway.log), time.monotonic() + 10
        self.gateway.process.send_signal(signal.SIGHUP)
        while message not in self.gateway.log[seen:]:
            assert time.monotonic() < until, self.gateway.log
            time.sleep(0.05)
        return self.gateway.log[seen:]

    async def log_in(self) -> str:
        """Follow a login with the account; return the session cookie, "" without a session."""
        jar = aiohttp.CookieJar()
        async with aiohttp.ClientSession(cookie_jar=jar, headers=NAVIGATION) as browser:
            async with browser.get(f"{self.url}{START}", allow_redirects=False) as response:
                assert response.status == 303, await response.text()
                address = response.headers["Location"]
            async with browser.get(address, allow_redirects=False) as response:
                address = response.headers["Location"]
            async with browser.get(address, allow_redirects=False):
                return next((each.value for each in jar if each.key == "authgw"), "")

    async def check(self, cookie: str) -> int:
        """Return the status of a check with a session cookie."""
        headers = {
            "Cookie": f"authgw={cookie}",
            "X-Original-URL": "http://localhost/",
            "X-Original-Host": "localhost",
            "X-Original-Method": "GET",
        }
        async with (
            aiohttp.ClientSession(headers=headers) as browser,
            browser.get(f"{self.url}/authenticate") as response,
        ):
            return response.status

    async def report_logout(self) -> int:
        """Send a logout token of the provider; return the status."""
        data = {"logout_token": self.op.logout_token()}
        async with (
            aiohttp.ClientSession() as session,
            session.post(f"{self.url}{BACKCHANNEL}", data=data) as response,
        ):
            return response.status


@asynccontextmanager
async def provider_gateway(
    folder: Path, environ: dict[str, str] | None = None, **keys: Any
) -> AsyncIterator[GatewayWithProvider]:
    """Make a gateway, not started yet; `keys` are those of the provider."""
    async with hostile_provider() as op:
        made = GatewayWithProvider(make_gateway(folder, **(environ or {})), op)
        made.entry = provider_keys(folder, op, **keys)
        made.configure(company=made.entry)
        yield made
        made.gateway.kill()
