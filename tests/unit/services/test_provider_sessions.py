"""Sessions of identity providers: bounds, checks that are due, cached identities."""

import gc
from dataclasses import replace

import pytest

from authgw.core.errors import (
    AuthgwError,
    RecheckRequiredError,
    SessionEndedError,
    TokenMalformedError,
)
from authgw.core.limits import BINDING_DELAY, PROXY_CACHE_LIFETIME
from authgw.core.providers.bounds import ProviderBounds
from authgw.core.providers.model import Accept, Provider
from authgw.core.sessions import Session, Snapshot
from authgw.core.users import USERS, NoUsers, User
from authgw.services.identify import Identification
from authgw.services.results import BrowserSession, Identity, LoginRequest
from tests.support.builders import LIVES, NOW
from tests.support.directories import Directory
from tests.support.memory_store import MemoryStore
from tests.support.sessions import SHOP, SessionWorld

REFRESH, STALE = 900.0, 5000.0
COMPANY = Provider(
    "company",
    "oidc",
    "https://idp.test",
    "authgw",
    Accept(everyone=True),
    refresh=REFRESH,
    stale=STALE,
    session=3600.0,
)
LOGIN = LoginRequest(
    "company:7",
    "oidc:company",
    groups=("staff",),
    amr=("pwd",),
    issuer="https://idp.test",
    account="7",
    idp_sid="s1",
    checked_at=NOW,
    groups_from="userinfo",
    auth_time=NOW - 60,
)
MAX_STALENESS = 5.0


def identity_now(identification: Identification, cookie: str) -> Identity:
    """Return the identity behind a session that is mirrored."""
    begun = identification.begin(None, [cookie])
    assert isinstance(begun, Identity)
    return begun


class AgedStore(MemoryStore):
    """A mirror whose snapshots are `age` seconds old, with a clock of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.max_staleness = MAX_STALENESS
        self.age = 0.0

    def peek(self, sid: str) -> Snapshot | None:
        present = self.snapshot(sid)
        return replace(present, now=present.now - self.age)

    def peek_current(self, sid: str) -> Snapshot | None:
        return self.snapshot(sid)


class ProviderWorld(SessionWorld):
    """A gateway with a provider; `due` are the sessions whose check was due."""

    def __init__(self, users: NoUsers | None = None, provider: Provider = COMPANY) -> None:
        self.aged = AgedStore()
        self.due: list[Snapshot] = []
        super().__init__(
            store=self.aged,
            bounds=ProviderBounds({"company": provider}),
            on_due=self.due.append,
            users=users,
        )

    async def log_in(self) -> BrowserSession:
        return await self.gateway.open(LOGIN, seal=lambda sid: f"sealed for {sid}")


@pytest.fixture
def world() -> ProviderWorld:
    return ProviderWorld()


async def test_a_login_has_the_fields_of_its_provider(world: ProviderWorld) -> None:
    opened = await world.log_in()
    session = opened.session
    assert session.sealed == f"sealed for {session.sid}"
    assert (session.checked_at, session.tried_at, session.auth_time) == (NOW, NOW, NOW - 60)
    identity = await world.gateway.identification.identify(None, [opened.token])
    principal = identity.principal
    assert (principal.sub, principal.groups) == ("company:7", ("staff",))
    assert (principal.source, principal.amr) == ("oidc:company", ("pwd",))
    assert principal.auth_time == NOW - 60


@pytest.mark.parametrize(
    ("age", "expected"),
    [
        (REFRESH - 1, None),
        # NGINX may repeat a response for a second, so each bound is that much earlier.
        (2 * REFRESH - PROXY_CACHE_LIFETIME - 0.5, None),
        (2 * REFRESH - PROXY_CACHE_LIFETIME, RecheckRequiredError),
        (STALE - PROXY_CACHE_LIFETIME, SessionEndedError),
    ],
)
async def test_a_check_obeys_the_bounds(
    world: ProviderWorld, age: float, expected: type[AuthgwError] | None
) -> None:
    opened = await world.log_in()
    world.wait(age)
    identification = world.gateway.identification
    if expected is None:
        await identification.identify(None, [opened.token])
        identity_now(identification, opened.token)
        return
    with pytest.raises(expected):
        identity_now(identification, opened.token)
    with pytest.raises(expected) as caught:
        await identification.identify(None, [opened.token])
    assert (caught.value.sub, caught.value.sid) == ("company:7", opened.session.sid)


async def test_a_released_name_ends_its_sessions() -> None:
    """A new session has the time in which other replicas read the bindings."""
    users = Directory(bindings={"company:7": ("https://idp.test", "7")})
    world = ProviderWorld(users, provider=replace(COMPANY, subject="email"))
    opened = await world.log_in()
    identification = world.gateway.identification
    world.wait(60)
    assert (await identification.identify(None, [opened.token])).principal.sub == "company:7"
    users.bindings.clear()
    with pytest.raises(SessionEndedError):
        await identification.identify(None, [opened.token])
    second = await world.log_in()
    identity = await identification.identify(None, [second.token])
    margin = PROXY_CACHE_LIFETIME + MAX_STALENESS
    assert identity.until == second.session.created_at + BINDING_DELAY - margin
    users.bindings["company:7"] = ("https://idp.test", "8")
    with pytest.raises(SessionEndedError):
        await identification.identify(None, [second.token])


async def test_the_age_of_a_mirrored_session_counts(world: ProviderWorld) -> None:
    opened = await world.log_in()
    world.wait(2 * REFRESH)
    world.aged.age = MAX_STALENESS
    with pytest.raises(RecheckRequiredError):
        identity_now(world.gateway.identification, opened.token)


async def test_a_check_that_is_due_is_reported_by_each_complete_check(world: ProviderWorld) -> None:
    opened = await world.log_in()
    world.wait(REFRESH - PROXY_CACHE_LIFETIME - 1)
    await world.gateway.identification.identify(None, [opened.token])
    assert world.due == []
    world.wait(1)
    await world.gateway.identification.identify(None, [opened.token])
    [snapshot] = world.due
    assert snapshot.session == opened.session
    assert snapshot.now == NOW + REFRESH - PROXY_CACHE_LIFETIME
    shop = await world.gateway.open(SHOP)
    await world.gateway.identification.identify(None, [shop.token])
    assert len(world.due) == 1


async def test_a_cached_identity_ends_before_the_bound_by_the_stores_clock(
    world: ProviderWorld,
) -> None:
    opened = await world.log_in()
    identification = world.gateway.identification
    identity = identity_now(identification, opened.token)
    assert identity.until == NOW + REFRESH - PROXY_CACHE_LIFETIME - MAX_STALENESS
    # The replica's clock stands still: it does not matter.
    world.aged.now = identity.until - 1
    assert identification.is_current(identity.validity)
    world.aged.now = identity.until
    assert not identification.is_current(identity.validity)
    # A snapshot of the greatest age is never used after the bound.
    world.aged.now, world.aged.age = NOW + REFRESH, MAX_STALENESS
    assert not identification.is_current(identity.validity)


async def test_a_cached_identity_without_a_provider_ends_with_its_session(
    world: ProviderWorld,
) -> None:
    opened = await world.gateway.open(SHOP)
    identification = world.gateway.identification
    identity = identity_now(identification, opened.token)
    assert identity.until == NOW + LIVES.refresh
    world.aged.now = NOW + LIVES.refresh - 1
    assert identification.is_current(identity.validity)
    world.aged.now += 1
    assert not identification.is_current(identity.validity)


@pytest.mark.parametrize("blocked", [("oidc:company", "7"), "company:7"])
async def test_a_blocked_account_has_no_session_at_the_next_check(
    blocked: tuple[str, str] | str,
) -> None:
    users = Directory()
    world = ProviderWorld(users)
    opened = await world.log_in()
    identity = identity_now(world.gateway.identification, opened.token)
    users.blocked, users.version = frozenset({blocked}), 1
    assert not world.gateway.identification.is_current(identity.validity)
    with pytest.raises(SessionEndedError):
        identity_now(world.gateway.identification, opened.token)


async def test_a_blocked_account_that_is_linked_has_no_session() -> None:
    alice = User("alice", (), {"email": "", "name": ""}, False, frozenset(), False)
    users = Directory(replace(alice, link_marks=frozenset({"l1"})))
    world = ProviderWorld(users)
    linked = replace(LOGIN, sub="alice", source=USERS, password_mark="l1")
    opened = await world.gateway.open(linked)
    assert identity_now(world.gateway.identification, opened.token).session.sub == "alice"
    users.blocked = frozenset({("oidc:company", "7")})
    with pytest.raises(SessionEndedError):
        identity_now(world.gateway.identification, opened.token)


async def test_a_refresh_obeys_the_bounds(world: ProviderWorld) -> None:
    pair = await world.gateway.log_in(LOGIN)
    world.wait(COMPANY.session)
    with pytest.raises(SessionEndedError):
        await world.gateway.refresh(pair.refresh)


async def test_a_login_can_end_its_session_early(world: ProviderWorld) -> None:
    opened = await world.gateway.open(replace(LOGIN, ends_at=NOW + 100))
    assert opened.session.expires_at == NOW + 100
    assert opened.session.current.refresh_exp == NOW + 100
    assert opened.lifetime == 100
    later = await world.gateway.open(replace(LOGIN, ends_at=NOW + 1e6))
    assert later.session.expires_at == NOW + LIVES.refresh


def resealed(old: Session, sid: str) -> str:
    return f"{old.sealed}, then for {sid}"


async def test_a_proof_opens_a_new_session_and_ends_the_old_one() -> None:
    world = SessionWorld(
        max_sessions=2, bounds=ProviderBounds({"company": COMPANY}), reseal=resealed
    )
    other = await world.gateway.open(LOGIN)
    opened = await world.gateway.open(LOGIN, seal=lambda _: "secret")
    old = replace(opened.session, tried_at=NOW + 9)
    world.wait(50)
    known = LoginRequest.of_session(old, old.client)
    proved = replace(known, amr=("pwd", "otp"), factor_time=NOW + 50)
    step_up = await world.gateway.open(proved, cookies=[opened.token], instead_of=old)
    new = step_up.session
    assert new.sid != old.sid
    assert new.sealed == f"secret, then for {new.sid}"
    assert (new.auth_time, new.factor_time, new.amr) == (NOW - 60, NOW + 50, ("pwd", "otp"))
    changed = ("sid", "current", "sealed", "amr", "factor_time")
    kept = {
        name: getattr(old, name) for name in Session.__dataclass_fields__ if name not in changed
    }
    assert {name: getattr(new, name) for name in kept} == kept
    assert step_up.lifetime == LIVES.refresh - 50
    # No other device was displaced, and a copy of the old cookie has gained nothing.
    assert [token.sid for token in step_up.replaced] == [old.sid]
    assert step_up.displaced == ()
    for token in (other.token, step_up.token):
        await world.gateway.identification.identify(None, [token])
    with pytest.raises(SessionEndedError):
        await world.gateway.identification.identify(None, [opened.token])


async def test_a_proof_displaces_no_other_device() -> None:
    world = SessionWorld(max_sessions=2)
    other, opened = [await world.gateway.open(SHOP) for _ in range(2)]
    step_up = await world.gateway.open(SHOP, instead_of=opened.session)
    assert step_up.displaced == ()
    await world.gateway.identification.identify(None, [other.token])


async def test_a_proof_without_a_key_for_its_secret_drops_the_secret() -> None:
    world = SessionWorld(bounds=ProviderBounds({"company": COMPANY}))
    opened = await world.gateway.open(LOGIN, seal=lambda _: "secret")
    again = await world.gateway.open(LOGIN, instead_of=opened.session)
    assert again.session.sealed == ""
    confirmed = await world.gateway.open(
        LOGIN, instead_of=again.session, seal=lambda sid: f"new for {sid}"
    )
    assert confirmed.session.sealed == f"new for {confirmed.session.sid}"


async def test_a_proof_does_not_bring_back_a_session_that_was_logged_out() -> None:
    world = SessionWorld()
    opened = await world.gateway.open(SHOP)
    await world.store.revoke_all(SHOP.sub)
    with pytest.raises(SessionEndedError):
        await world.gateway.open(SHOP, cookies=[opened.token], instead_of=opened.session)
    assert world.store.records == {}


@pytest.mark.parametrize(
    "login",
    [
        replace(LOGIN, sub="company:8", account="8"),
        replace(LOGIN, account="8"),
        replace(LOGIN, issuer="https://other.test"),
        replace(LOGIN, source="client:shop"),
    ],
)
async def test_another_account_keeps_nothing_of_the_session_before(login: LoginRequest) -> None:
    world = SessionWorld(reseal=resealed)
    opened = await world.gateway.open(LOGIN, seal=lambda _: "secret")
    world.wait(50)
    other = (await world.gateway.open(login, instead_of=opened.session)).session
    assert (other.created_at, other.expires_at) == (NOW + 50, NOW + 50 + LIVES.refresh)
    assert other.sealed == ""
    assert opened.session.sid not in world.store.records


async def test_a_refused_cookie_next_to_a_valid_cookie_leaves_no_cycle(
    world: ProviderWorld,
) -> None:
    opened = await world.log_in()
    gc.collect()
    gc.disable()
    try:
        world.gateway.identification.begin(None, ["a.b.c", opened.token])
        assert not any(isinstance(each, TokenMalformedError) for each in gc.get_objects())
    finally:
        gc.enable()
