"""Connections of a replica to its identity providers: a reload leaves them in place."""

from dataclasses import replace
from types import SimpleNamespace
from typing import cast

from authgw.core.providers.model import Provider
from authgw.server.providers import ProviderNetwork
from authgw.server.reload import ReloadableState
from tests.support.builders import NOW
from tests.support.fake_provider import PROVIDER


def state(provider: Provider) -> ReloadableState:
    keys = SimpleNamespace(ca_file=None)
    login = SimpleNamespace(providers={provider.name: keys})
    loaded = SimpleNamespace(settings=SimpleNamespace(login=login))
    found = SimpleNamespace(providers={provider.name: provider}, loaded=loaded)
    return cast(ReloadableState, found)


async def test_a_reload_keeps_documents_and_reads_secrets_again() -> None:
    network = ProviderNetwork(lambda: NOW)
    before = network.connected(state(PROVIDER))["company"]
    after = network.connected(state(replace(PROVIDER, client_secret="another")))["company"]
    assert after.documents is before.documents
    assert (before.provider.client_secret, after.provider.client_secret) == (
        *("top secret", "another"),
    )
    await network.close()


def test_the_metrics_of_all_providers_are_reported_together() -> None:
    network = ProviderNetwork(lambda: NOW)
    network.connected(state(PROVIDER))
    assert [measured.name for measured in network.collect()] == [
        "authgw_provider_calls",
        "authgw_provider_logins",
        "authgw_provider_renewals",
        "authgw_provider_fetched_timestamp_seconds",
    ]
