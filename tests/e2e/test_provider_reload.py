"""Identity providers after SIGHUP: secrets are read again, all other settings need a restart."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.hostile_provider import CLIENT_SECRET
from tests.support.provider_gateway import GatewayWithProvider, provider_gateway

WRONG = "a secret that the provider does not know"


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[GatewayWithProvider]:
    async with provider_gateway(tmp_path / "gateway") as made:
        yield made


async def test_a_reload_reads_the_client_secret_again(site: GatewayWithProvider) -> None:
    site.secret.write_text(f"{WRONG}\n")
    site.gateway.start()
    assert not await site.log_in()
    site.secret.write_text(f"{CLIENT_SECRET}\n")
    assert not await site.log_in()
    await site.reload("Reloaded: ")
    assert await site.log_in()
    assert WRONG not in site.gateway.log


@pytest.mark.parametrize("content", ["", None])
async def test_a_secret_that_cannot_be_used_leaves_the_previous(
    site: GatewayWithProvider, content: str | None
) -> None:
    site.gateway.start()
    if content is None:
        site.secret.unlink()
    else:
        site.secret.write_text(content)
    log = await site.reload("Reload failed: ")
    assert "login.providers.company.client_secret_file: " in log
    assert "The previous configuration stays active" in log
    assert await site.log_in()


@pytest.mark.parametrize("change", ["added", "removed", "changed"])
async def test_other_settings_of_providers_need_a_restart(
    site: GatewayWithProvider, change: str
) -> None:
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
