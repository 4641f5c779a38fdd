"""A logout at a provider and a login at the same time, on two replicas that share a Redis."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import replace

import pytest

from authgw.core.errors import SessionEndedError
from authgw.core.sessions import Session
from authgw.services.providers.backchannel import BackchannelLogouts
from authgw.services.providers.index import ProviderSessionIndex
from authgw.services.results import LoginRequest
from authgw.services.sessions import Sessions
from authgw.storage.mirror import Mirror
from authgw.storage.redis.connect import connect
from authgw.storage.redis.store import RedisStore
from tests.support.builders import LIVES, NOW
from tests.support.fake_provider import ISSUER
from tests.support.provider_scene import ProviderScene

LOGIN = LoginRequest(
    "company:u1",
    "oidc:company",
    issuer=ISSUER,
    account="u1",
    idp_sid="S1",
    auth_time=NOW,
    checked_at=NOW,
)


class LogoutReplicas:
    """A replica that logs an account in, and another that receives its logout."""

    def __init__(self, here: RedisStore, there: RedisStore) -> None:
        self.scene = ProviderScene()
        self.here, self.there = here, there
        self.sessions = Sessions(
            Mirror(here, max_staleness=1, deadline=1, capacity=100),
            self.scene.issuer,
            LIVES,
            idle=3600.0,
            max_sessions=100,
            clock=self.scene.clock,
            index=ProviderSessionIndex(here, LIVES.session_max),
        )
        self.logouts = BackchannelLogouts(
            {"company": self.scene.connected}, there, there, clock=self.scene.clock
        )

    async def log_in(self) -> None:
        """Open a session with an account that the provider has confirmed before."""
        await self.sessions.open(LOGIN)

    async def log_out(self, **claims: str) -> int:
        """Let the provider report a logout; return the number of sessions that it ended."""
        token = self.scene.provider.logout_token(**claims)
        return len(await self.logouts.end("company", token))

    async def active(self) -> tuple[Session, ...]:
        return tuple(await self.there.sessions_of(LOGIN.sub))


@pytest.fixture
async def replicas(real: RedisStore, redis_url: str) -> AsyncIterator[LogoutReplicas]:
    there = RedisStore(connect(redis_url), idle=60, session_max=600)
    yield LogoutReplicas(real, there)
    await there.close()


@pytest.mark.parametrize("claims", [{"sub": "u1"}, {"sid": "S1"}, {"sub": "u1", "sid": "S1"}])
async def test_a_logout_on_another_replica_ends_a_session(
    replicas: LogoutReplicas, claims: dict[str, str]
) -> None:
    await replicas.log_in()
    assert await replicas.log_out(**claims) == 1
    assert await replicas.active() == ()


@pytest.mark.parametrize("claims", [{"sub": "u1"}, {"sid": "S1"}, {"sub": "u1", "sid": "S1"}])
async def test_a_logout_between_the_code_and_the_session_undoes_the_login(
    replicas: LogoutReplicas, claims: dict[str, str]
) -> None:
    assert await replicas.log_out(**claims) == 0
    with pytest.raises(SessionEndedError):
        await replicas.log_in()
    assert await replicas.active() == ()


async def test_a_logout_before_the_session_is_stored_undoes_the_login(
    replicas: LogoutReplicas, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other replica finds the sid in the set, but no session yet."""
    add, found = replicas.here.add, []

    async def late(session: Session, max_sessions: int, record: str) -> tuple[str, ...]:
        found.append(await replicas.log_out(sub="u1"))
        return await add(session, max_sessions, record)

    monkeypatch.setattr(replicas.here, "add", late)
    with pytest.raises(SessionEndedError):
        await replicas.log_in()
    assert found == [0]
    assert await replicas.active() == ()


async def test_no_order_of_a_login_and_a_logout_leaves_a_session(replicas: LogoutReplicas) -> None:
    async def late_log_in(steps: int) -> None:
        for _ in range(steps):
            await asyncio.sleep(0)
        with suppress(SessionEndedError):
            await replicas.log_in()

    for steps in range(40):
        await asyncio.gather(late_log_in(steps), replicas.log_out(sub="u1"))
        assert await replicas.active() == (), steps


async def test_a_login_after_the_logout_is_not_undone(replicas: LogoutReplicas) -> None:
    await replicas.log_out(sub="u1")
    replicas.scene.now += 1
    await replicas.sessions.open(replace(LOGIN, auth_time=NOW + 1))
    assert len(await replicas.active()) == 1
