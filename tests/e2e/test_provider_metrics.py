"""Metrics of identity providers: strangers and providers add no series."""

from pathlib import Path

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from tests.support.hostile_scene import CALLBACK
from tests.support.processes import free_port
from tests.support.provider_gateway import GatewayWithProvider, provider_gateway

# Labels beside `provider`, each with all of its values.
VALUES = {
    "authgw_provider_calls": {"ok", "refused", "failed"},
    "authgw_provider_logins": {"ok", "refused", "invalid", "failed"},
    "authgw_provider_renewals": {"confirmed", "away", "ended"},
    "authgw_provider_fetched_timestamp_seconds": {"metadata", "keys"},
}


async def get(url: str) -> str:
    async with aiohttp.ClientSession() as session, session.get(url) as response:
        return await response.text()


async def series(port: int) -> dict[str, set[str]]:
    """Return the values of the label beside `provider`, by metric."""
    found: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(await get(f"http://127.0.0.1:{port}/metrics")):
        for sample in family.samples:
            if family.name.startswith("authgw_provider") and not sample.name.endswith("_created"):
                assert sample.labels.pop("provider") == "company"
                found.setdefault(family.name, set()).update(sample.labels.values())
    return found


async def invent(site: GatewayWithProvider) -> None:
    """Send responses for providers that do not exist, and invented errors."""
    for number in range(3):
        for path in (f"/login/oidc/stranger-{number}/callback", CALLBACK):
            await get(f"{site.url}{path}?error=invented-{number}&state=invented-{number}")


async def test_the_labels_are_providers_and_outcomes_of_the_documentation(tmp_path: Path) -> None:
    port = free_port()
    environ = {"AUTHGW_METRICS__PORT": str(port)}
    async with provider_gateway(tmp_path / "gateway", environ) as site:
        site.gateway.start()
        assert await site.log_in()
        site.op.callback = {"code": None, "error": "an invented error"}
        assert not await site.log_in()
        site.op.callback = {}
        site.op.answers("/token", 418, "invented")
        assert not await site.log_in()
        await invent(site)
        found = await series(port)
        assert found["authgw_provider_logins"] >= {"ok", "invalid", "failed"}
        assert found["authgw_provider_fetched_timestamp_seconds"] == {"metadata", "keys"}
        assert all(values <= VALUES[name] for name, values in found.items()), found
