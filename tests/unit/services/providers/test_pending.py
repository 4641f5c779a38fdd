"""Logins at a provider that wait for a code: taken once, and nothing of them is in the browser."""

import asyncio
from dataclasses import replace
from secrets import token_bytes

import pytest

from authgw.core.errors import StoreUnavailableError
from authgw.core.keys import KeyRing
from authgw.core.sealing import Sealer
from authgw.core.sessions import Device
from authgw.core.tokens import TicketClaims, TokenType, claims_of
from authgw.core.users import TOTP
from authgw.services.providers.pending import PendingProviderLogins
from authgw.services.providers.results import FinishedLogin
from authgw.services.providers.secrets import ProviderSecret
from tests.support.builders import KEY, NOW
from tests.support.fake_provider import ISSUER
from tests.support.memory_records import MemoryRecords
from tests.support.provider_scene import ProviderScene, a_user

SEALER = Sealer(KeyRing((KEY,), max_lifetime=3600.0), "authgw", random=token_bytes)


class PendingScene:
    """Alice has a second factor, and a linked account."""

    def __init__(self) -> None:
        self.scene = ProviderScene()
        self.scene.users.users["alice"] = a_user(has_totp=True)
        self.scene.users.links[ISSUER, "u1"] = "alice"
        self.records = MemoryRecords(self.scene.clock)
        self.pending = PendingProviderLogins(
            self.records, SEALER, self.scene.issuer, self.scene.users.find, clock=self.scene.clock
        )

    async def finished(self) -> FinishedLogin:
        found = await self.scene.logged_in(auth_time=int(NOW) - 9, amr=["pwd"], sid="S1")
        assert found.needs_code
        return replace(found, secret=ProviderSecret("refresh-token"))


@pytest.fixture
def world() -> PendingScene:
    return PendingScene()


async def test_a_login_is_resumed_as_it_was(world: PendingScene) -> None:
    found = await world.finished()
    verified = await world.pending.resume(["nonsense", await world.pending.hold(found)])
    assert verified is not None
    assert verified.user.sub == "alice"
    assert verified.secret == found.secret.encode()
    device = Device("Firefox", "192.0.2.1")
    with_code = replace(verified, amr=(*verified.amr, TOTP), factor_time=NOW)
    expected = replace(found.login, client=device, amr=("pwd", "otp"), factor_time=NOW)
    assert with_code.login(device) == expected
    assert not verified.began_with_password


async def test_neither_browser_nor_store_sees_the_login(world: PendingScene) -> None:
    ticket = await world.pending.hold(await world.finished())
    claims = claims_of(ticket)
    assert (claims["sub"], claims["mark"]) == ("alice", "provider")
    ((text, end),) = world.records.texts.values()
    assert "alice" not in text
    assert "refresh-token" not in text
    assert end == NOW + 300


async def test_a_login_is_taken_once(world: PendingScene) -> None:
    ticket = await world.pending.hold(await world.finished())
    verified = await world.pending.resume([ticket])
    assert verified is not None
    assert "refresh-token" not in repr(verified)
    assert await world.pending.resume([ticket]) == verified, "a wrong code can be corrected"
    taken = await asyncio.gather(*(world.pending.take(verified) for _ in range(5)))
    assert sorted(taken) == [False] * 4 + [True]
    assert await world.pending.resume([ticket]) is None


async def test_a_login_waits_for_five_minutes(world: PendingScene) -> None:
    ticket = await world.pending.hold(await world.finished())
    world.scene.now += 299
    assert await world.pending.resume([ticket]) is not None
    world.scene.now += 1
    assert await world.pending.resume([ticket]) is None


async def test_a_record_cannot_be_moved_to_another_ticket(world: PendingScene) -> None:
    first = await world.pending.hold(await world.finished())
    second = await world.pending.hold(await world.finished())
    names = list(world.records.texts)
    world.records.texts[names[0]] = world.records.texts[names[1]]
    assert await world.pending.resume([first]) is None
    assert await world.pending.resume([second]) is not None


async def test_a_user_who_is_disabled_or_removed_cannot_go_on(world: PendingScene) -> None:
    ticket = await world.pending.hold(await world.finished())
    world.scene.users.users["alice"] = replace(a_user(has_totp=True), disabled=True)
    assert await world.pending.resume([ticket]) is None
    world.scene.users.users.clear()
    assert await world.pending.resume([ticket]) is None


async def test_the_ticket_of_a_password_is_none_of_a_provider(world: PendingScene) -> None:
    claims = TicketClaims("j1", 300.0, "m1")
    ticket = world.scene.issuer.mint_ticket("alice", TokenType.PENDING, claims, now=NOW)
    world.records.down = True
    assert await world.pending.resume([ticket]) is None, "the store is not read for it"


async def test_a_record_of_another_version_is_a_new_login(world: PendingScene) -> None:
    ticket = await world.pending.hold(await world.finished())
    (name,) = world.records.texts
    sealed = SEALER.seal("pending", name.removeprefix("pending:"), '{"login": {}}', NOW)
    world.records.texts[name] = (sealed, NOW + 300)
    assert await world.pending.resume([ticket]) is None


async def test_without_the_store_no_login_goes_on(world: PendingScene) -> None:
    ticket = await world.pending.hold(await world.finished())
    world.records.down = True
    with pytest.raises(StoreUnavailableError):
        await world.pending.resume([ticket])
