"""Identity providers after SIGHUP: secrets are read again, all other settings need a restart."""

import asyncio
import signal
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml

from tests.support.hostile_provider import CLIENT_SECRET, HostileProvider, hostile_provider
from tests.support.hostile_scene import NAVIGATION, provider_keys
from tests.support.processes import GatewayProcess, make_gateway

WRONG = "a secret that the provider does not know"


@dataclass
class Site:
    """A gateway process with a provider."""

    gateway: GatewayProcess
    op: HostileProvider
    entry: dict[str, Any] = field(default_factory=dict)

    @property
    def secret(self) -> Path:
        return Path(self.entry["client_secret_file"])

    def configure(self, **providers: dict[str, Any]) -> None:
        login = {"url": f"http://localhost:{self.gateway.port}/login", "providers": providers}
        content = {"login": login, "rules": [{"allow": "authenticated"}]}
        (self.gateway.folder / "config.yml").write_text(yaml.safe_dump(content))

    async def reload(self, message: str) -> str:
        """Send SIGHUP; return the log from the next occurrence of this text on."""
        assert self.gateway.process is not None
        seen = len(self.gateway.log)
        self.gateway.process.send_signal(signal.SIGHUP)
        async with asyncio.timeout(10):
            while message not in self.gateway.log[seen:]:
                await asyncio.sleep(0.05)
        return self.gateway.log[seen:]

    async def log_in(self) -> bool:
        """Follow a login with the account; return True if a session was opened."""
        start = f"http://localhost:{self.gateway.port}/login/oidc/company"
        jar = aiohttp.CookieJar()
        async with aiohttp.ClientSession(cookie_jar=jar, headers=NAVIGATION) as browser:
            async with browser.get(start, allow_redirects=False) as response:
                assert response.status == 303, await response.text()
                address = response.headers["Location"]
            async with browser.get(address, allow_redirects=False) as response:
                address = response.headers["Location"]
            async with browser.get(address, allow_redirects=False) as response:
                return response.status == 303 and "authgw" in {each.key for each in jar}


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    async with hostile_provider() as op:
        made = Site(make_gateway(tmp_path / "gateway"), op)
        made.entry = provider_keys(made.gateway.folder, op)
        made.configure(company=made.entry)
        yield made
        made.gateway.kill()


async def test_a_reload_reads_the_client_secret_again(site: Site) -> None:
    site.secret.write_text(f"{WRONG}\n")
    site.gateway.start()
    assert not await site.log_in()
    site.secret.write_text(f"{CLIENT_SECRET}\n")
    assert not await site.log_in()
    await site.reload("Reloaded: ")
    assert await site.log_in()
    assert WRONG not in site.gateway.log


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("", "login.providers.company.client_secret_file: "),
        (None, "login.providers.company.client_secret_file: "),
    ],
)
async def test_a_secret_that_cannot_be_used_leaves_the_previous(
    site: Site, content: str | None, problem: str
) -> None:
    site.gateway.start()
    if content is None:
        site.secret.unlink()
    else:
        site.secret.write_text(content)
    log = await site.reload("Reload failed: ")
    assert problem in log
    assert "The previous configuration stays active" in log
    assert await site.log_in()


@pytest.mark.parametrize("change", ["added", "removed", "changed"])
async def test_other_settings_of_providers_need_a_restart(site: Site, change: str) -> None:
    site.gateway.start()
    other = {**site.entry, "issuer": "https://id.example.com"}
    providers = {
        "added": {"company": site.entry, "other": other},
        "removed": {"other": other},
        "changed": {"company": {**site.entry, "accept": "linked"}},
    }
    site.configure(**providers[change])
    log = await site.reload("restart_required")
    assert "Restart the gateway to apply login.providers: a reload does not change them." in log
    # Logins go on as before.
    assert await site.log_in()
