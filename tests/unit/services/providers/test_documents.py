"""Metadata and keys: fetched when needed, shared, and kept while the provider is away."""

import asyncio

import pytest

from authgw.core.errors import ProviderUnavailableError
from authgw.services.providers.calls import ProviderResponse
from authgw.services.providers.documents import ProviderDocuments
from tests.support.builders import NOW
from tests.support.fake_provider import ISSUER, FakeProvider, as_json

DISCOVERY = f"{ISSUER}/.well-known/openid-configuration"
AWAY = ProviderUnavailableError(note="away")


class DocumentsScene:
    def __init__(self) -> None:
        self.now = NOW
        self.provider = FakeProvider()
        self.documents = ProviderDocuments(
            ISSUER, self.provider.calls, clock=lambda: self.now, spread=lambda: 0.0
        )

    def count(self, url: str) -> int:
        return self.provider.calls.urls().count(url)


@pytest.fixture
def world() -> DocumentsScene:
    return DocumentsScene()


async def test_documents_are_kept_for_an_hour(world: DocumentsScene) -> None:
    first = await world.documents.metadata()
    world.now += 3599
    assert await world.documents.metadata() is first
    world.now += 1
    assert await world.documents.metadata() == first
    assert world.count(DISCOVERY) == 2


async def test_replicas_do_not_fetch_together() -> None:
    world = DocumentsScene()
    world.documents = ProviderDocuments(
        ISSUER, world.provider.calls, clock=lambda: world.now, spread=lambda: 1.0
    )
    await world.documents.metadata()
    world.now += 3241
    await world.documents.metadata()
    assert world.count(DISCOVERY) == 2


async def test_a_slash_at_the_end_of_the_issuer_is_removed() -> None:
    provider = FakeProvider()
    provider.metadata["issuer"] = f"{ISSUER}/"
    documents = ProviderDocuments(f"{ISSUER}/", provider.calls, clock=lambda: NOW)
    assert (await documents.metadata()).issuer == f"{ISSUER}/"


async def test_keys_come_from_the_metadata_of_the_configured_issuer(world: DocumentsScene) -> None:
    assert (await world.documents.keys()).has("k1")
    assert world.provider.calls.urls() == [DISCOVERY, f"{ISSUER}/keys"]
    other = DocumentsScene()
    other.provider.metadata["issuer"] = "https://evil.example.com"
    with pytest.raises(ProviderUnavailableError):
        await other.documents.keys()
    assert other.provider.calls.urls() == [DISCOVERY]


async def test_logins_at_once_share_a_fetch(world: DocumentsScene) -> None:
    release = asyncio.Event()

    async def slow(call: object) -> ProviderResponse:
        await release.wait()
        return as_json(world.provider.metadata)

    world.provider.reply("/.well-known/openid-configuration", slow)
    waiting = [asyncio.create_task(world.documents.keys()) for _ in range(50)]
    await asyncio.sleep(0)
    waiting[0].cancel()
    release.set()
    found = await asyncio.gather(*waiting, return_exceptions=True)
    assert isinstance(found[0], asyncio.CancelledError)
    assert len({id(keys) for keys in found[1:]}) == 1
    assert (world.count(DISCOVERY), world.count(f"{ISSUER}/keys")) == (1, 1)


async def test_old_keys_serve_for_a_day_while_the_provider_is_away(world: DocumentsScene) -> None:
    keys = await world.documents.keys()
    world.provider.reply("/keys", AWAY)
    world.now += 3600
    assert await world.documents.keys() is keys
    world.now += 59
    assert await world.documents.keys() is keys
    assert world.count(f"{ISSUER}/keys") == 2
    world.now = NOW + 24 * 3600 - 1
    assert await world.documents.keys() is keys
    world.now += 1
    with pytest.raises(ProviderUnavailableError):
        await world.documents.keys()


async def test_an_unknown_kid_causes_a_single_fetch_in_a_minute(world: DocumentsScene) -> None:
    seen = await world.documents.keys()
    world.provider.rotate("k2")
    newer = await world.documents.keys_after(seen)
    assert newer.has("k2")
    assert await world.documents.keys_after(seen) is newer
    assert await world.documents.keys_after(newer) is newer
    world.now += 59
    assert await world.documents.keys_after(newer) is newer
    assert world.count(f"{ISSUER}/keys") == 2
    world.now += 1
    await world.documents.keys_after(newer)
    assert world.count(f"{ISSUER}/keys") == 3


async def test_without_newer_keys_the_known_stay(world: DocumentsScene) -> None:
    seen = await world.documents.keys()
    world.provider.reply("/keys", AWAY)
    assert await world.documents.keys_after(seen) is seen
    assert await world.documents.keys() is seen


async def test_a_provider_that_is_there_again_serves_at_once(world: DocumentsScene) -> None:
    world.provider.reply("/.well-known/openid-configuration", AWAY)
    with pytest.raises(ProviderUnavailableError):
        await world.documents.metadata()
    world.provider.reply("/.well-known/openid-configuration", as_json(world.provider.metadata))
    await world.documents.metadata()


async def test_a_status_is_named(world: DocumentsScene) -> None:
    world.provider.reply("/.well-known/openid-configuration", as_json({}, 404))
    with pytest.raises(ProviderUnavailableError) as refused:
        await world.documents.metadata()
    assert refused.value.note == f"{DISCOVERY} responded with status 404"


async def test_the_times_of_the_last_fetches_are_reported(world: DocumentsScene) -> None:
    assert list(world.documents.fetched()) == []
    await world.documents.metadata()
    world.now += 5
    await world.documents.keys()
    assert list(world.documents.fetched()) == [(("metadata",), NOW), (("keys",), NOW + 5)]
