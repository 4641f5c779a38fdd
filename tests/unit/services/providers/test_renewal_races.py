"""Checks of running sessions by several replicas, and for the login page."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from authgw.core import limits
from authgw.core.errors import ProviderUnavailableError, StoreUnavailableError
from authgw.core.providers import renewal
from authgw.core.sessions import confirm
from authgw.services.providers import renewals
from authgw.services.providers.calls import ProviderResponse
from authgw.services.providers.secrets import ProviderSecret, seal
from tests.support.builders import NOW
from tests.support.fake_provider import ISSUER, Call, as_json
from tests.support.renewal_scene import SEALER, RenewalScene

AWAY = ProviderUnavailableError(note="is away")


@pytest.fixture
def world() -> RenewalScene:
    return RenewalScene()


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(renewal, "RETRY_DELAY", 0.0)
    monkeypatch.setattr(renewals, "_POLL", 0.001)


# --- Refused refresh tokens ---


def refused(world: RenewalScene) -> None:
    world.provider.reply("/token", as_json({"error": "invalid_grant"}, 400))


async def test_a_refresh_token_that_is_refused_twice_ends_the_session(world: RenewalScene) -> None:
    refused(world)
    await world.renew()
    assert world.has_ended
    assert world.presented() == ["R1", "R1"]


async def test_a_single_refusal_ends_nobody(world: RenewalScene) -> None:
    replies = [as_json({"error": "invalid_grant"}, 400)]
    whole = world.provider.calls.replies[f"{ISSUER}/token"]
    world.provider.reply("/token", lambda call: replies.pop() if replies else whole(call))
    await world.renew()
    assert world.session.checked_at == NOW


async def test_a_token_that_another_replica_used_up_ends_nobody(world: RenewalScene) -> None:
    def other_replica(call: Call) -> ProviderResponse:
        sealed = seal(SEALER, ProviderSecret("R2"), world.sid, NOW)
        world.put(replace(world.session, sealed=sealed, checked_at=NOW))
        return as_json({"error": "invalid_grant"}, 400)

    world.provider.reply("/token", other_replica)
    await world.renew()
    assert not world.has_ended
    assert world.presented() == ["R1"]
    assert world.outcomes() == {}


# --- Races ---


async def test_a_session_that_ends_meanwhile_stays_ended(world: RenewalScene) -> None:
    whole = world.provider.calls.replies[f"{ISSUER}/token"]

    def logged_out(call: Call) -> ProviderResponse:
        del world.store.records[world.sid]
        found: ProviderResponse = whole(call)
        return found

    world.provider.reply("/token", logged_out)
    await world.renew()
    assert world.has_ended


async def test_a_rotation_meanwhile_is_kept(world: RenewalScene) -> None:
    whole = world.provider.calls.replies[f"{ISSUER}/token"]

    def rotated(call: Call) -> ProviderResponse:
        world.put(confirm(world.session, gen=0, jti="a0"))
        found: ProviderResponse = whole(call)
        return found

    world.provider.reply("/token", rotated)
    await world.renew()
    assert world.session.confirmed
    assert world.session.checked_at == NOW


async def test_a_lost_compare_and_set_is_repeated(world: RenewalScene) -> None:
    read = world.store.read
    reads = 0

    async def changed_after(sid: str) -> Any:
        nonlocal reads
        reads += 1
        found = await read(sid)
        if reads == 2:
            world.put(confirm(world.session, gen=0, jti="a0"))
        return found

    world.store.read = changed_after  # type: ignore[method-assign]  # a race
    await world.renew()
    assert (world.session.confirmed, world.session.checked_at) == (True, NOW)


async def test_a_session_is_checked_by_one_replica_at_a_time(world: RenewalScene) -> None:
    others = [world.replica() for _ in range(4)]
    for each in (world.renewals, *others):
        each.schedule(world.store.snapshot(world.sid))
        each.schedule(world.store.snapshot(world.sid))
    for each in (world.renewals, *others):
        await each.settle()
    assert world.presented() == ["R1"]


async def test_the_claim_outlasts_the_check(world: RenewalScene) -> None:
    assert limits.RENEWAL_RETRY_AFTER >= 2 * limits.RENEWAL_TIMEOUT
    await world.renew()
    (name,) = world.scene.counters.claims
    assert name == f"renewal:{world.sid}"


async def test_checks_in_the_background_are_bounded(
    world: RenewalScene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(renewals, "MAX_RENEWALS", 0)
    await world.renew()
    assert world.presented() == []


async def test_sessions_that_cannot_be_checked_are_left_alone(world: RenewalScene) -> None:
    for changed in ({"issuer": "https://former.example.com"}, {"sealed": ""}):
        other = RenewalScene()
        other.put(replace(other.session, **changed))  # type: ignore[arg-type]  # any field
        await other.renew()
        assert other.presented() == []
        assert await other.renewals.check(other.session)


async def test_without_the_store_nothing_is_presented(world: RenewalScene) -> None:
    world.scene.counters.down = True
    await world.renew()
    assert world.presented() == []
    with pytest.raises(StoreUnavailableError):
        await world.renewals.check(world.session)


# --- For the login page ---


async def test_the_login_page_waits_for_a_check(world: RenewalScene) -> None:
    assert await world.renewals.check(world.session)
    assert world.session.checked_at == NOW


async def test_the_login_page_shares_the_check_under_way(world: RenewalScene) -> None:
    world.renewals.schedule(world.store.snapshot(world.sid))
    assert await world.renewals.check(world.session)
    assert world.presented() == ["R1"]


async def test_the_login_page_waits_for_another_replica(world: RenewalScene) -> None:
    found = await asyncio.gather(
        world.renewals.check(world.session), world.replica().check(world.session)
    )
    assert all(found)
    assert world.presented() == ["R1"]


async def test_the_login_page_learns_that_the_provider_is_away(world: RenewalScene) -> None:
    world.provider.reply("/token", AWAY)
    with pytest.raises(ProviderUnavailableError):
        await world.renewals.check(world.session)


async def test_the_login_page_learns_that_the_session_has_ended(world: RenewalScene) -> None:
    refused(world)
    assert not await world.renewals.check(world.session)
    assert world.has_ended
