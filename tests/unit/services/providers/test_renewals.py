"""Checks of running sessions: confirmed, away or ended, and never by two replicas at once."""

import asyncio
from dataclasses import replace
from secrets import token_bytes

import pytest

from authgw.core.errors import ProviderUnavailableError
from authgw.core.keys import KeyRing
from authgw.core.providers import renewal
from authgw.core.sealing import Sealer
from authgw.services.providers import renewals
from authgw.services.providers.calls import ProviderResponse
from authgw.services.providers.secrets import ProviderSecret, seal, unseal
from tests.support.builders import NOW, a_key, a_session
from tests.support.fake_provider import ISSUER, Call
from tests.support.provider_scene import a_user
from tests.support.renewal_scene import SEALER, RenewalScene

AWAY = ProviderUnavailableError(note="is away")


@pytest.fixture
def world() -> RenewalScene:
    return RenewalScene()


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(renewal, "RETRY_DELAY", 0.0)
    monkeypatch.setattr(renewals, "_POLL", 0.001)


async def test_a_check_brings_the_groups_of_now(world: RenewalScene) -> None:
    before = world.session
    await world.renew()
    after = world.session
    assert after.groups == ("kc:dev",)
    assert (after.checked_at, after.tried_at) == (NOW, NOW)
    assert unseal(SEALER, after) == ProviderSecret("R2")
    assert (after.auth_time, after.amr, after.sid) == (before.auth_time, before.amr, before.sid)
    assert world.outcomes() == {("company", "confirmed"): 1}
    assert all(call.renews for call in world.provider.calls.made if call.fields)


async def test_a_refresh_token_that_is_not_replaced_stays(world: RenewalScene) -> None:
    world.answer(replaced=False, groups=["dev"])
    await world.renew()
    assert unseal(SEALER, world.session) == ProviderSecret("R1")


async def test_groups_that_the_provider_leaves_out_are_lost(world: RenewalScene) -> None:
    """Keycloak omits an empty claim, so the last group would stay for ever."""
    world.answer()
    await world.renew()
    assert world.session.groups == ()
    assert world.session.checked_at == NOW


async def test_the_response_that_had_the_groups_is_requested_again(world: RenewalScene) -> None:
    world.put(replace(world.session, groups_from="userinfo"))
    world.answer(groups=None, name="A", email="a@b.c", email_verified=True)
    world.provider.userinfo = {"groups": ["new"]}
    await world.renew()
    assert world.session.groups == ("kc:new",)


async def test_without_the_response_that_had_the_groups_they_stay(world: RenewalScene) -> None:
    world.put(replace(world.session, groups_from="userinfo"))
    world.answer(groups=None)
    world.provider.reply("/userinfo", AWAY)
    await world.renew()
    after = world.session
    assert (after.groups, after.checked_at) == (("kc:dev", "kc:ops"), NOW - 3600)
    assert after.tried_at == NOW
    assert unseal(SEALER, after) == ProviderSecret("R2"), "the new token must not be lost"
    assert world.outcomes() == {("company", "away"): 1}


async def test_userinfo_of_the_account_confirms_without_an_id_token(world: RenewalScene) -> None:
    world.provider.tokens = {}
    world.provider.userinfo = {"groups": ["dev"], "email": "a@b.c", "email_verified": True}
    await world.renew()
    assert (world.session.checked_at, world.session.groups) == (NOW, ("kc:dev",))
    assert world.session.email == "a@b.c"
    other = RenewalScene()
    other.provider.tokens = {}
    other.provider.userinfo = {"sub": "u2"}
    await other.renew()
    assert other.has_ended
    third = RenewalScene()
    third.provider.tokens = {}
    third.provider.userinfo = {"sub": None}
    await third.renew()
    assert third.session.checked_at == NOW - 3600


async def test_another_account_ends_the_session(world: RenewalScene) -> None:
    world.answer(sub="u2", groups=["dev"])
    await world.renew()
    assert world.has_ended
    (event,) = world.events
    assert (event.name, event.sub) == ("revoke", "company:u1")
    assert event.more == (("authgw.provider", "company"), ("authgw.account", "u1"))
    assert "another account" in event.sentence


async def test_an_account_that_is_not_admitted_any_more_is_ended(world: RenewalScene) -> None:
    world.scene.users.blocked = frozenset({("oidc:company", "u1")})
    await world.renew()
    assert world.has_ended
    assert "blocked" in world.events[0].sentence
    assert world.outcomes() == {("company", "ended"): 1}


async def test_a_linked_user_keeps_the_groups_of_the_users_file(world: RenewalScene) -> None:
    world.scene.users.users["alice"] = user = a_user()
    world.scene.users.links[ISSUER, "u1"] = "alice"
    (mark,) = user.link_marks
    session = replace(a_session("alice"), source="users", issuer=ISSUER, account="u1")
    sealed = seal(SEALER, ProviderSecret("R1"), session.sid, NOW)
    world.put(replace(session, groups=("staff",), password_mark=mark, sealed=sealed))
    await world.renew()
    assert (world.session.groups, world.session.checked_at) == (("staff",), NOW)


# --- Away ---


@pytest.mark.parametrize("path", ["/token", "/.well-known/openid-configuration", "/keys"])
async def test_a_provider_that_is_away_ends_nobody(world: RenewalScene, path: str) -> None:
    world.provider.reply(path, AWAY)
    await world.renew()
    after = world.session
    assert (after.checked_at, after.tried_at) == (NOW - 3600, NOW)
    expected = "R2" if path == "/keys" else "R1"
    assert unseal(SEALER, after) == ProviderSecret(expected)


async def test_an_invalid_id_token_confirms_nothing(world: RenewalScene) -> None:
    world.answer(aud="another", groups=["dev"])
    await world.renew()
    assert (world.session.checked_at, world.session.groups) == (NOW - 3600, ("kc:dev", "kc:ops"))


async def test_a_hanging_provider_costs_ten_seconds(
    world: RenewalScene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(renewals, "RENEWAL_TIMEOUT", 0.05)

    async def hang(call: Call) -> ProviderResponse:
        await asyncio.sleep(60)
        raise AssertionError

    world.put(replace(world.session, groups_from="userinfo"))
    world.provider.reply("/userinfo", hang)
    await world.renew()
    assert world.session.tried_at == NOW
    assert unseal(SEALER, world.session) == ProviderSecret("R2")


async def test_a_secret_that_cannot_be_opened_is_an_alarm_and_no_logout(
    world: RenewalScene,
) -> None:
    world.renewals = world.replica(
        Sealer(KeyRing((a_key("b2"),), max_lifetime=3600.0), "authgw", random=token_bytes)
    )
    await world.renew()
    assert world.session.tried_at == NOW
    assert world.session.checked_at == NOW - 3600
    assert world.presented() == []
    assert "company:provider_secret_broken" in {
        ":".join(reversed(name.split(":"))) for name in world.renewals._logged_at
    }
