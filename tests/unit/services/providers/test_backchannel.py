"""Logouts that a provider reports: they end exactly the sessions that they mean."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from authgw.core.errors import (
    LogoutTokenInvalidError,
    ProviderUnavailableError,
    SessionEndedError,
    StoreUnavailableError,
)
from authgw.core.providers.session_index import GONE_LIFETIME, account_gone, idp_session_gone
from authgw.core.sessions import Session
from authgw.services.providers.backchannel import BackchannelLogouts
from authgw.services.providers.index import ProviderSessionIndex
from authgw.services.results import LoginRequest
from authgw.services.sessions import Sessions
from tests.support.builders import LIVES, NOW
from tests.support.fake_provider import ISSUER, FakeProvider, as_json
from tests.support.memory_records import MemoryRecords
from tests.support.memory_store import MemoryStore
from tests.support.provider_scene import ProviderScene


class BackchannelScene:
    """A gateway with a provider, and sessions of its accounts."""

    def __init__(self) -> None:
        self.scene = ProviderScene()
        self.provider = self.scene.provider
        self.store, self.records = MemoryStore(), MemoryRecords(self.scene.clock)
        self.store.now = NOW
        self.logouts = BackchannelLogouts(
            {"company": self.scene.connected}, self.store, self.records, clock=self.scene.clock
        )
        self.sessions = Sessions(
            self.store,
            self.scene.issuer,
            LIVES,
            idle=3600.0,
            max_sessions=10,
            clock=self.scene.clock,
            index=ProviderSessionIndex(self.records, LIVES.session_max),
        )

    async def log_in(self, account: str = "u1", idp_sid: str = "S1", **more: Any) -> Session:
        login = LoginRequest(
            sub=f"company:{account}",
            source="oidc:company",
            issuer=ISSUER,
            account=account,
            idp_sid=idp_sid,
            auth_time=NOW - 60,
            checked_at=NOW,
        )
        return (await self.sessions.open(replace(login, **more))).session

    async def log_out(self, **claims: Any) -> set[str]:
        ended = await self.logouts.end("company", self.provider.logout_token(**claims))
        return {session.sid for session in ended}

    def alive(self) -> set[str]:
        return set(self.store.records)


@pytest.fixture
def world() -> BackchannelScene:
    return BackchannelScene()


async def test_a_logout_of_a_session_ends_that_session_only(world: BackchannelScene) -> None:
    first, second = await world.log_in(), await world.log_in(idp_sid="S2")
    other = await world.log_in("u2", "S3")
    assert await world.log_out(sub="u1", sid="S1") == {first.sid}
    assert world.alive() == {second.sid, other.sid}
    assert await world.log_out(sid="S2") == {second.sid}
    assert world.alive() == {other.sid}


async def test_a_logout_of_an_account_ends_all_of_its_sessions(world: BackchannelScene) -> None:
    mine = {(await world.log_in(idp_sid=sid)).sid for sid in ("S1", "S2", "")}
    linked = await world.log_in(sub="alice", source="users")
    other = await world.log_in("u2")
    assert await world.log_out(sub="u1") == mine | {linked.sid}
    assert world.alive() == {other.sid}


async def test_a_session_of_another_account_is_not_ended_by_its_sid(
    world: BackchannelScene,
) -> None:
    session = await world.log_in("u2", "S1")
    assert await world.log_out(sub="u1", sid="S1") == set()
    assert world.alive() == {session.sid}


async def test_a_replay_ends_no_later_login(world: BackchannelScene) -> None:
    await world.log_in()
    token = world.provider.logout_token(sub="u1")
    assert await world.logouts.end("company", token)
    world.scene.now += 100
    later = await world.log_in(auth_time=NOW + 90)
    assert await world.logouts.end("company", token) == ()
    assert world.alive() == {later.sid}


async def test_logins_up_to_the_skew_after_the_logout_are_meant(world: BackchannelScene) -> None:
    world.scene.now += 61
    meant = await world.log_in(auth_time=NOW + 60)
    later = await world.log_in(idp_sid="S2", auth_time=NOW + 61)
    assert await world.log_out(sub="u1", iat=NOW) == {meant.sid}
    assert world.alive() == {later.sid}


async def test_a_logout_during_a_login_undoes_the_session(world: BackchannelScene) -> None:
    """The logout is written first, and read by the login after its own write."""
    add = world.store.add

    async def slow(session: Session, max_sessions: int) -> tuple[str, ...]:
        # The set has the sid already, but the session is not stored yet.
        assert await world.log_out(sub="u1") == set()
        return await add(session, max_sessions)

    world.store.add = slow  # type: ignore[method-assign]  # a delay or a spy
    with pytest.raises(SessionEndedError):
        await world.log_in()
    assert world.alive() == set()
    text, end = world.records.texts[account_gone(ISSUER, "u1")]
    assert (float(text), end) == (NOW, NOW + GONE_LIFETIME)


async def test_a_logout_of_one_session_undoes_no_other_login(world: BackchannelScene) -> None:
    await world.log_out(sub="u1", sid="S1")
    assert idp_session_gone(ISSUER, "S1") in world.records.texts
    with pytest.raises(SessionEndedError):
        await world.log_in(idp_sid="S1")
    session = await world.log_in(idp_sid="S2")
    assert world.alive() == {session.sid}


async def test_a_login_and_a_logout_at_once_never_leave_a_session(world: BackchannelScene) -> None:
    for _ in range(20):
        await asyncio.gather(world.log_in(), world.log_out(sub="u1"), return_exceptions=True)
        await world.log_out(sub="u1")
        assert world.alive() == set()


async def test_a_session_is_found_before_it_is_stored(world: BackchannelScene) -> None:
    order = []
    add, member = world.store.add, world.records.add_member

    async def added(session: Session, max_sessions: int) -> tuple[str, ...]:
        order.append("session")
        return await add(session, max_sessions)

    async def announced(name: str, sid: str, seconds: float) -> None:
        order.append("set")
        assert seconds == LIVES.session_max
        await member(name, sid, seconds)

    world.store.add = added  # type: ignore[method-assign]  # a delay or a spy
    world.records.add_member = announced  # type: ignore[assignment,method-assign]  # a spy
    await world.log_in()
    assert order == ["set", "set", "session"]


async def test_sessions_without_a_provider_write_no_records(world: BackchannelScene) -> None:
    world.records.down = True
    await world.sessions.open(LoginRequest(sub="alice", source="users"))
    assert len(world.alive()) == 1


@pytest.mark.parametrize("part", ["records", "store"])
async def test_without_the_store_the_provider_has_to_try_again(
    world: BackchannelScene, part: str
) -> None:
    await world.log_in()
    token = world.provider.logout_token(sub="u1")
    getattr(world, part).down = True
    with pytest.raises(StoreUnavailableError):
        await world.logouts.end("company", token)
    getattr(world, part).down = False
    assert len(await world.logouts.end("company", token)) == 1


async def test_an_unconfirmed_end_is_confirmed_by_the_repetition(world: BackchannelScene) -> None:
    await world.log_in()
    token = world.provider.logout_token(sub="u1")
    revoke = world.store.revoke
    revoked: list[str] = []

    async def recorded(sid: str) -> bool:
        revoked.append(sid)
        return await revoke(sid)

    world.store.revoke = recorded  # type: ignore[method-assign]  # a delay or a spy
    await world.logouts.end("company", token)
    await world.logouts.end("company", token)
    assert len(revoked) == 2


@pytest.mark.parametrize(
    "claims",
    [
        {"nonce": "n"},
        {"iss": "https://evil.example.com"},
        {"aud": "another"},
        {"events": {}},
        {"sub": None},
        {"exp": NOW - 61},
        {"exp": None, "iat": NOW - 181},
    ],
)
async def test_an_invalid_token_ends_nobody(
    world: BackchannelScene, claims: dict[str, Any]
) -> None:
    session = await world.log_in()
    with pytest.raises(LogoutTokenInvalidError):
        await world.log_out(**{"sub": "u1", **claims})
    forged = FakeProvider().logout_token(sub="u1")
    with pytest.raises(LogoutTokenInvalidError):
        await world.logouts.end("company", forged)
    assert world.alive() == {session.sid}
    assert world.records.texts == {}


async def test_a_token_by_a_new_key_is_valid(world: BackchannelScene) -> None:
    session = await world.log_in()
    await world.scene.connected.documents.keys()
    world.provider.rotate("k2")
    assert await world.log_out(sub="u1") == {session.sid}


async def test_without_keys_the_provider_has_to_try_again(world: BackchannelScene) -> None:
    world.provider.reply("/keys", as_json({}, 404))
    with pytest.raises(ProviderUnavailableError):
        await world.log_out(sub="u1")


async def test_github_reports_no_logouts(world: BackchannelScene) -> None:
    scene = ProviderScene().configure(kind="github")
    logouts = BackchannelLogouts(
        {"company": scene.connected}, world.store, world.records, clock=scene.clock
    )
    with pytest.raises(LogoutTokenInvalidError):
        await logouts.end("company", world.provider.logout_token(sub="u1"))
    assert scene.provider.calls.made == []
