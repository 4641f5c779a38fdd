"""The session use cases on an in-memory store, from the view of a client."""

import asyncio
import random
from dataclasses import replace

import pytest

from authgw.core.errors import (
    RefreshReusedError,
    SessionEndedError,
    StoreUnavailableError,
    TokenMissingError,
    TokenWrongTypeError,
)
from authgw.core.session_codec import load
from authgw.core.tokens import TokenType
from authgw.services.results import LoginRequest
from tests.support.builders import NOW, an_issuer
from tests.support.sessions import SHOP, SessionWorld


@pytest.fixture
def world() -> SessionWorld:
    return SessionWorld()


async def test_an_access_token_identifies_its_login(world: SessionWorld) -> None:
    pair = await world.gateway.log_in(SHOP)
    identity = await world.gateway.identification.identify(pair.access)
    who, token = identity.principal, identity.token
    assert (who.sub, who.groups) == ("1", ("users",))
    assert who.profile == {"email": "a@example.com", "name": "A"}
    assert world.gateway.identification.claims(token, ["a.b.c", pair.access])["user_id"] == 1
    assert (pair.expires_in, pair.refresh_expires_in, pair.sid) == (900, 3600, who.sid)


async def test_tokens_are_not_in_reprs(world: SessionWorld) -> None:
    pair = await world.gateway.log_in(SHOP)
    assert pair.access not in repr(pair)
    assert pair.refresh not in repr(pair)


async def test_only_an_access_token_identifies(world: SessionWorld) -> None:
    pair = await world.gateway.log_in(SHOP)
    with pytest.raises(TokenMissingError):
        await world.gateway.identification.identify(None)
    with pytest.raises(TokenWrongTypeError):
        await world.gateway.identification.identify(pair.refresh)
    with pytest.raises(TokenWrongTypeError):
        await world.gateway.refresh(pair.access)


async def test_an_older_access_token_is_valid_while_its_session_is_active(
    world: SessionWorld,
) -> None:
    first = await world.gateway.log_in(SHOP)
    await world.gateway.refresh(first.refresh)
    assert await world.alive(first)


async def test_two_tabs_get_one_successor(world: SessionWorld) -> None:
    first = await world.gateway.log_in(SHOP)
    refreshed = await world.gateway.refresh(first.refresh)
    assert await world.alive(refreshed)
    world.wait(9)
    two = await world.gateway.refresh(first.refresh)
    third = await world.gateway.refresh(two.refresh)
    assert await world.alive(third)


async def test_reuse_ends_the_session(world: SessionWorld) -> None:
    first = await world.gateway.log_in(SHOP)
    second = await world.gateway.refresh(first.refresh)
    assert await world.alive(second)
    world.wait(11)
    with pytest.raises(RefreshReusedError):
        await world.gateway.refresh(first.refresh)
    assert not await world.alive(second)
    with pytest.raises(SessionEndedError):
        await world.gateway.refresh(second.refresh)


async def test_a_lost_reply_logs_nobody_out(world: SessionWorld) -> None:
    first = await world.gateway.log_in(SHOP)
    world.store.lose_reply = True
    with pytest.raises(StoreUnavailableError):
        await world.gateway.refresh(first.refresh)
    world.wait(3000)
    second = await world.gateway.refresh(first.refresh)
    assert second.expires_in == 900
    assert await world.alive(second)


@pytest.mark.parametrize("everywhere", [False, True])
@pytest.mark.parametrize("by_refresh", [False, True])
async def test_logout_ends_only_the_requested_sessions(
    world: SessionWorld, everywhere: bool, by_refresh: bool
) -> None:
    phone = await world.gateway.log_in(SHOP)
    laptop = await world.gateway.log_in(SHOP)
    other = await world.gateway.log_in(LoginRequest("2", "client:shop"))
    if by_refresh:
        await world.gateway.log_out_by_refresh(phone.refresh, everywhere=everywhere)
    else:
        world.wait(1000)
        await world.gateway.log_out_by_access(phone.access, everywhere=everywhere)
        world.wait(-1000)
    assert not await world.alive(phone)
    assert await world.alive(laptop) is not everywhere
    assert await world.alive(other)


async def test_logout_is_idempotent(world: SessionWorld) -> None:
    pair = await world.gateway.log_in(SHOP)
    await world.gateway.log_out_by_access(pair.access)
    await world.gateway.log_out_by_access(pair.access)
    await world.gateway.log_out_by_refresh(pair.refresh)


async def test_a_stolen_refresh_token_at_logout_is_reuse(world: SessionWorld) -> None:
    first = await world.gateway.log_in(SHOP)
    second = await world.gateway.refresh(first.refresh)
    assert await world.alive(second)
    world.wait(11)
    with pytest.raises(RefreshReusedError):
        await world.gateway.log_out_by_refresh(first.refresh)
    assert not await world.alive(second)


async def test_the_newest_login_wins_when_one_session_is_allowed() -> None:
    world = SessionWorld(max_sessions=1)
    old = await world.gateway.log_in(SHOP)
    new = await world.gateway.log_in(SHOP)
    assert not await world.alive(old)
    assert await world.alive(new)


async def test_an_unavailable_store_is_reported_as_such(world: SessionWorld) -> None:
    pair = await world.gateway.log_in(SHOP)
    world.store.down = True
    for call in (
        world.gateway.identification.identify(pair.access),
        world.gateway.refresh(pair.refresh),
        world.gateway.log_out_by_access(pair.access),
        world.gateway.log_in(SHOP),
    ):
        with pytest.raises(StoreUnavailableError):
            await call


async def test_a_confirmation_that_fails_denies_nothing(world: SessionWorld) -> None:
    first = await world.gateway.log_in(SHOP)
    pair = await world.gateway.refresh(first.refresh)
    await world.gateway.identification.identify(pair.access)
    world.store.down = True
    await world.gateway.settle()
    world.store.down = False
    assert await world.alive(pair)
    await world.gateway.settle()
    assert all('"confirmed":true' in text for text in world.store.records.values())


async def test_the_first_pair_is_checked_without_a_write(world: SessionWorld) -> None:
    pair = await world.gateway.log_in(SHOP)
    before = dict(world.store.records)
    assert await world.alive(pair)
    await world.gateway.settle()
    assert world.store.records == before


async def test_a_hundred_refreshes_of_one_token_make_one_lineage(world: SessionWorld) -> None:
    for _ in range(20):
        first = await world.gateway.log_in(SHOP)
        pairs = await asyncio.gather(*(world.gateway.refresh(first.refresh) for _ in range(100)))
        record = (await world.store.read(first.sid)).session
        assert record is not None
        assert record.gen == 1
        assert await world.alive(random.choice(pairs))


async def test_endless_conflicts_are_reported_as_an_unavailable_store(
    world: SessionWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = await world.gateway.log_in(SHOP)
    stale = await world.store.read(first.sid)

    async def refuse_always(*_: object) -> object:
        return stale

    monkeypatch.setattr(world.store, "replace", refuse_always)
    with pytest.raises(StoreUnavailableError):
        await world.gateway.refresh(first.refresh)


async def test_a_sid_of_another_subject_is_refused(world: SessionWorld) -> None:
    pair = await world.gateway.log_in(SHOP)
    text = world.store.records[pair.sid]
    world.store.records[pair.sid] = text.replace('"sub":"1"', '"sub":"2"')
    assert not await world.alive(pair)


async def test_a_refresh_token_of_another_subject_neither_rotates_nor_ends(
    world: SessionWorld,
) -> None:
    pair = await world.gateway.log_in(SHOP)
    text = world.store.records[pair.sid]
    world.store.records[pair.sid] = text.replace('"sub":"1"', '"sub":"2"')
    with pytest.raises(SessionEndedError):
        await world.gateway.refresh(pair.refresh)
    world.store.records[pair.sid] = text
    assert (await world.gateway.refresh(pair.refresh)).sid == pair.sid


@pytest.mark.parametrize("everywhere", [False, True])
async def test_a_token_that_names_the_session_of_another_subject_ends_nothing(
    world: SessionWorld, everywhere: bool
) -> None:
    pair = await world.gateway.log_in(SHOP)
    session = load(world.store.records[pair.sid])
    forged = replace(session, sub="2")
    access, refresh = (
        an_issuer().mint(forged, kind, now=NOW) for kind in (TokenType.ACCESS, TokenType.REFRESH)
    )
    with pytest.raises(SessionEndedError):
        await world.gateway.log_out_by_access(access, everywhere=everywhere)
    with pytest.raises(SessionEndedError):
        await world.gateway.log_out_by_refresh(refresh, everywhere=everywhere)
    with pytest.raises(SessionEndedError):
        await world.gateway.refresh(refresh)
    assert await world.alive(pair)
