"""Tokens of a login or refresh are known when they come back, and their sessions are checked."""

import pytest

from authgw.core.errors import SessionEndedError, StoreUnavailableError, TokenExpiredError
from authgw.core.tokens import Issuer
from tests.support.builders import LIVES
from tests.support.sessions import SHOP, SessionWorld


@pytest.fixture
def world() -> SessionWorld:
    return SessionWorld()


@pytest.fixture
def verified(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The texts of the tokens that an issuer has verified."""
    texts: list[str] = []
    verify = Issuer.verify

    def recorded(self: Issuer, text: str, *arguments: object, **options: object) -> object:
        texts.append(text)
        return verify(self, text, *arguments, **options)  # type: ignore[arg-type]  # as they came

    monkeypatch.setattr(Issuer, "verify", recorded)
    return texts


async def test_the_first_check_after_a_login_or_refresh_verifies_nothing(
    world: SessionWorld, verified: list[str]
) -> None:
    pair = await world.gateway.log_in(SHOP)
    identity = await world.gateway.identification.identify(pair.access)
    assert verified == []
    assert identity.token.sid == pair.sid
    again = await world.gateway.refresh(pair.refresh)
    assert verified == [pair.refresh]
    assert (await world.gateway.identification.identify(again.access)).token.gen == 1
    opened = await world.gateway.open(SHOP)
    found = await world.gateway.identification.identify(None, [opened.token])
    assert found.session.sid == opened.session.sid
    assert verified == [pair.refresh]


async def test_a_remembered_token_ends_with_its_session(
    world: SessionWorld, verified: list[str]
) -> None:
    pair = await world.gateway.log_in(SHOP)
    await world.store.revoke(pair.sid)
    with pytest.raises(SessionEndedError):
        await world.gateway.identification.identify(pair.access)
    other = await world.gateway.log_in(SHOP)
    world.wait(LIVES.access + 6)
    with pytest.raises(TokenExpiredError):
        await world.gateway.identification.identify(other.access)
    assert verified == [other.access]


async def test_tokens_of_a_session_that_was_not_acknowledged_are_not_remembered(
    world: SessionWorld, verified: list[str]
) -> None:
    memory = world.gateway.identification._verified
    world.store.down = True
    with pytest.raises(StoreUnavailableError):
        await world.gateway.log_in(SHOP)
    world.store.down = False
    pair = await world.gateway.log_in(SHOP)
    assert len(memory) == 1
    world.store.lose_reply = True
    with pytest.raises(StoreUnavailableError):
        await world.gateway.refresh(pair.refresh)
    assert len(memory) == 1
