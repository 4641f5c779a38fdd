"""Checks of running sessions: confirmed, away or ended, and never by two replicas at once."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from authgw.core import limits
from authgw.core.audit import Event
from authgw.core.errors import ProviderUnavailableError, StoreUnavailableError
from authgw.core.keys import KeyRing
from authgw.core.providers import renewal
from authgw.core.sealing import Sealer
from authgw.core.session_codec import dump, load
from authgw.core.sessions import Session, confirm
from authgw.services.providers import renewals
from authgw.services.providers.calls import ProviderResponse
from authgw.services.providers.renewals import Renewals
from authgw.services.providers.secrets import ProviderSecret, seal, unseal
from tests.support.builders import KEY, NOW, a_key, a_session
from tests.support.fake_provider import ISSUER, PROVIDER, Call, as_json
from tests.support.memory_store import MemoryStore
from tests.support.provider_scene import ProviderScene, a_user

SEALER = Sealer(KeyRing((KEY,), max_lifetime=3600.0), "authgw")
AWAY = ProviderUnavailableError(note="is away")


class World:
    """A session with the refresh token R1, which was checked an hour ago."""

    def __init__(self) -> None:
        groups = replace(PROVIDER.groups, prefix="kc:")
        self.scene = ProviderScene().configure(refresh=900.0, groups=groups)
        self.provider = self.scene.provider
        self.store = MemoryStore()
        self.store.now = NOW
        self.events: list[Event] = []
        self.renewals = self.replica()
        session = replace(
            a_session("company:u1"),
            source="oidc:company",
            issuer=ISSUER,
            account="u1",
            groups=("kc:dev", "kc:ops"),
            amr=("pwd",),
            auth_time=NOW - 7200,
            checked_at=NOW - 3600,
            tried_at=NOW - 3600,
            groups_from="id_token",
        )
        self.put(replace(session, sealed=seal(SEALER, ProviderSecret("R1"), session.sid, NOW)))
        self.answer(groups=["dev"])

    def replica(self, sealer: Sealer = SEALER) -> Renewals:
        return Renewals(
            [self.scene.connected],
            self.store,
            self.scene.counters,
            sealer,
            self.scene.users,
            record=self.events.append,
            clock=self.scene.clock,
        )

    def put(self, session: Session) -> None:
        self.sid = session.sid
        self.store.records[session.sid] = dump(session)

    def answer(self, *, replaced: bool = True, **claims: Any) -> None:
        self.provider.tokens = {"id_token": self.provider.id_token(None, **claims)}
        if replaced:
            self.provider.tokens["refresh_token"] = "R2"

    @property
    def session(self) -> Session:
        return load(self.store.records[self.sid])

    @property
    def has_ended(self) -> bool:
        return self.sid not in self.store.records

    async def renew(self) -> None:
        self.renewals.schedule(self.store.snapshot(self.sid))
        await self.renewals.settle()

    def presented(self) -> list[str]:
        return [
            call.fields["refresh_token"]
            for call in self.provider.calls.made
            if "refresh_token" in call.fields
        ]

    def outcomes(self) -> dict[tuple[str, ...], float]:
        (measured,) = self.renewals._counts.collect()
        return dict(measured.values)


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(renewal, "RETRY_DELAY", 0.0)
    monkeypatch.setattr(renewals, "_POLL", 0.001)


async def test_a_check_brings_the_groups_of_now(world: World) -> None:
    before = world.session
    await world.renew()
    after = world.session
    assert after.groups == ("kc:dev",)
    assert (after.checked_at, after.tried_at) == (NOW, NOW)
    assert unseal(SEALER, after) == ProviderSecret("R2")
    assert (after.auth_time, after.amr, after.sid) == (before.auth_time, before.amr, before.sid)
    assert world.outcomes() == {("company", "confirmed"): 1}
    assert all(call.renews for call in world.provider.calls.made if call.fields)


async def test_a_refresh_token_that_is_not_replaced_stays(world: World) -> None:
    world.answer(replaced=False, groups=["dev"])
    await world.renew()
    assert unseal(SEALER, world.session) == ProviderSecret("R1")


async def test_groups_that_the_provider_leaves_out_are_lost(world: World) -> None:
    """Keycloak omits an empty claim, so the last group would stay for ever."""
    world.answer()
    await world.renew()
    assert world.session.groups == ()
    assert world.session.checked_at == NOW


async def test_the_response_that_had_the_groups_is_requested_again(world: World) -> None:
    world.put(replace(world.session, groups_from="userinfo"))
    world.answer(groups=None, name="A", email="a@b.c", email_verified=True)
    world.provider.userinfo = {"groups": ["new"]}
    await world.renew()
    assert world.session.groups == ("kc:new",)


async def test_without_the_response_that_had_the_groups_they_stay(world: World) -> None:
    world.put(replace(world.session, groups_from="userinfo"))
    world.answer(groups=None)
    world.provider.reply("/userinfo", AWAY)
    await world.renew()
    after = world.session
    assert (after.groups, after.checked_at) == (("kc:dev", "kc:ops"), NOW - 3600)
    assert after.tried_at == NOW
    assert unseal(SEALER, after) == ProviderSecret("R2"), "the new token must not be lost"
    assert world.outcomes() == {("company", "away"): 1}


async def test_userinfo_of_the_account_confirms_without_an_id_token(world: World) -> None:
    world.provider.tokens = {}
    world.provider.userinfo = {"groups": ["dev"], "email": "a@b.c", "email_verified": True}
    await world.renew()
    assert (world.session.checked_at, world.session.groups) == (NOW, ("kc:dev",))
    assert world.session.email == "a@b.c"
    other = World()
    other.provider.tokens = {}
    other.provider.userinfo = {"sub": "u2"}
    await other.renew()
    assert other.has_ended
    third = World()
    third.provider.tokens = {}
    third.provider.userinfo = {"sub": None}
    await third.renew()
    assert third.session.checked_at == NOW - 3600


async def test_another_account_ends_the_session(world: World) -> None:
    world.answer(sub="u2", groups=["dev"])
    await world.renew()
    assert world.has_ended
    (event,) = world.events
    assert (event.name, event.sub) == ("revoke", "company:u1")
    assert "another account" in event.sentence


async def test_an_account_that_is_not_admitted_any_more_is_ended(world: World) -> None:
    world.scene.users.blocked = frozenset({("oidc:company", "u1")})
    await world.renew()
    assert world.has_ended
    assert "blocked" in world.events[0].sentence
    assert world.outcomes() == {("company", "ended"): 1}


async def test_a_linked_user_keeps_the_groups_of_the_users_file(world: World) -> None:
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
async def test_a_provider_that_is_away_ends_nobody(world: World, path: str) -> None:
    world.provider.reply(path, AWAY)
    await world.renew()
    after = world.session
    assert (after.checked_at, after.tried_at) == (NOW - 3600, NOW)
    expected = "R2" if path == "/keys" else "R1"
    assert unseal(SEALER, after) == ProviderSecret(expected)


async def test_an_invalid_id_token_confirms_nothing(world: World) -> None:
    world.answer(aud="another", groups=["dev"])
    await world.renew()
    assert (world.session.checked_at, world.session.groups) == (NOW - 3600, ("kc:dev", "kc:ops"))


async def test_a_hanging_provider_costs_ten_seconds(
    world: World, monkeypatch: pytest.MonkeyPatch
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


async def test_a_secret_that_cannot_be_opened_is_an_alarm_and_no_logout(world: World) -> None:
    world.renewals = world.replica(Sealer(KeyRing((a_key("b2"),), max_lifetime=3600.0), "authgw"))
    await world.renew()
    assert world.session.tried_at == NOW
    assert world.session.checked_at == NOW - 3600
    assert world.presented() == []
    assert "company:provider_secret_broken" in {
        ":".join(reversed(name.split(":"))) for name in world.renewals._logged_at
    }


# --- Refused refresh tokens ---


def refused(world: World) -> None:
    world.provider.reply("/token", as_json({"error": "invalid_grant"}, 400))


async def test_a_refresh_token_that_is_refused_twice_ends_the_session(world: World) -> None:
    refused(world)
    await world.renew()
    assert world.has_ended
    assert world.presented() == ["R1", "R1"]


async def test_a_single_refusal_ends_nobody(world: World) -> None:
    replies = [as_json({"error": "invalid_grant"}, 400)]
    whole = world.provider.calls.replies[f"{ISSUER}/token"]
    world.provider.reply("/token", lambda call: replies.pop() if replies else whole(call))
    await world.renew()
    assert world.session.checked_at == NOW


async def test_a_token_that_another_replica_used_up_ends_nobody(world: World) -> None:
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


async def test_a_session_that_ends_meanwhile_stays_ended(world: World) -> None:
    whole = world.provider.calls.replies[f"{ISSUER}/token"]

    def logged_out(call: Call) -> ProviderResponse:
        del world.store.records[world.sid]
        found: ProviderResponse = whole(call)
        return found

    world.provider.reply("/token", logged_out)
    await world.renew()
    assert world.has_ended


async def test_a_rotation_meanwhile_is_kept(world: World) -> None:
    whole = world.provider.calls.replies[f"{ISSUER}/token"]

    def rotated(call: Call) -> ProviderResponse:
        world.put(confirm(world.session, gen=0, jti="a0"))
        found: ProviderResponse = whole(call)
        return found

    world.provider.reply("/token", rotated)
    await world.renew()
    assert world.session.confirmed
    assert world.session.checked_at == NOW


async def test_a_lost_compare_and_set_is_repeated(world: World) -> None:
    read = world.store.read
    reads = 0

    async def changed_after(sid: str) -> Any:
        nonlocal reads
        reads += 1
        found = await read(sid)
        if reads == 2:
            world.put(confirm(world.session, gen=0, jti="a0"))
        return found

    world.store.read = changed_after  # type: ignore[method-assign]
    await world.renew()
    assert (world.session.confirmed, world.session.checked_at) == (True, NOW)


async def test_a_session_is_checked_by_one_replica_at_a_time(world: World) -> None:
    others = [world.replica() for _ in range(4)]
    for each in (world.renewals, *others):
        each.schedule(world.store.snapshot(world.sid))
        each.schedule(world.store.snapshot(world.sid))
    for each in (world.renewals, *others):
        await each.settle()
    assert world.presented() == ["R1"]


async def test_the_claim_outlasts_the_check(world: World) -> None:
    assert limits.RENEWAL_RETRY_AFTER >= 2 * limits.RENEWAL_TIMEOUT
    await world.renew()
    (name,) = world.scene.counters.claims
    assert name == f"renewal:{world.sid}"


async def test_checks_in_the_background_are_bounded(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(renewals, "MAX_RENEWALS", 0)
    await world.renew()
    assert world.presented() == []


async def test_sessions_that_cannot_be_checked_are_left_alone(world: World) -> None:
    for changed in ({"issuer": "https://former.example.com"}, {"sealed": ""}):
        other = World()
        other.put(replace(other.session, **changed))  # type: ignore[arg-type]
        await other.renew()
        assert other.presented() == []
        assert not await other.renewals.check(other.sid)


async def test_without_the_store_nothing_is_presented(world: World) -> None:
    world.scene.counters.down = True
    await world.renew()
    assert world.presented() == []
    with pytest.raises(StoreUnavailableError):
        await world.renewals.check(world.sid)


# --- For the login page ---


async def test_the_login_page_waits_for_a_check(world: World) -> None:
    assert await world.renewals.check(world.sid)
    assert world.session.checked_at == NOW


async def test_the_login_page_shares_the_check_under_way(world: World) -> None:
    world.renewals.schedule(world.store.snapshot(world.sid))
    assert await world.renewals.check(world.sid)
    assert world.presented() == ["R1"]


async def test_the_login_page_waits_for_another_replica(world: World) -> None:
    found = await asyncio.gather(world.renewals.check(world.sid), world.replica().check(world.sid))
    assert all(found)
    assert world.presented() == ["R1"]


async def test_the_login_page_learns_that_the_provider_is_away(world: World) -> None:
    world.provider.reply("/token", AWAY)
    assert not await world.renewals.check(world.sid)
    assert not await world.renewals.check("unknown")


async def test_the_login_page_learns_that_the_session_has_ended(world: World) -> None:
    refused(world)
    assert not await world.renewals.check(world.sid)
    assert world.has_ended
