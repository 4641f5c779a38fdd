"""Accounts are checked again at the provider: new groups, and every end that a session can have."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from aiohttp import ClientResponse

from tests.support.clocks import MovableClock
from tests.support.gateway import MakeGateway
from tests.support.hostile_provider import HostileProvider, hang
from tests.support.hostile_scene import HostileScene, hostile_scene

REFRESH = 60.0  # seconds, the least that the configuration takes
_PATIENCE = 400


@pytest.fixture
def clock(op: HostileProvider) -> MovableClock:
    """Return the clock of gateway, store and provider."""
    made = MovableClock()
    op.clock = made
    return made


async def logged_in(
    make_gateway: MakeGateway, op: HostileProvider, clock: MovableClock, **keys: Any
) -> HostileScene:
    keys = {"refresh": f"{REFRESH:.0f}s", **keys}
    scene = await hostile_scene(make_gateway, op, clock=clock, **keys)
    assert (await scene.log_in()).status == 303
    assert await groups_of(scene) == "company:staff"
    return scene


async def groups_of(scene: HostileScene) -> str:
    answer = await scene.jar.check()
    assert answer.status == 200, answer.headers
    return str(answer.headers.get("Remote-Groups", ""))


async def until(scene: HostileScene, accepts: Callable[[ClientResponse], bool]) -> ClientResponse:
    """Check until a response is as expected: a refresh runs in the background."""
    for _ in range(_PATIENCE):
        answer = await scene.jar.check()
        if accepts(answer):
            return answer
        await asyncio.sleep(0.02)
    pytest.fail(f"{answer.status} {dict(answer.headers)}")


def has_groups(groups: str) -> Callable[[ClientResponse], bool]:
    return lambda answer: answer.headers.get("Remote-Groups", "") == groups


def is_refused(answer: ClientResponse) -> bool:
    return answer.status != 200


async def test_nothing_is_refreshed_before_it_is_due(
    make_gateway: MakeGateway, op: HostileProvider, clock: MovableClock
) -> None:
    scene = await logged_in(make_gateway, op, clock)
    scene.move(clock, REFRESH - 10)
    assert await groups_of(scene) == "company:staff"
    await asyncio.sleep(0.1)
    assert op.asked("/token") == 1


async def test_new_groups_take_effect(
    make_gateway: MakeGateway, op: HostileProvider, clock: MovableClock
) -> None:
    scene = await logged_in(make_gateway, op, clock)
    op.claims = {"groups": ["board"]}
    scene.move(clock, REFRESH + 1)
    await until(scene, has_groups("company:board"))
    assert op.asked("/token") == 2
    assert op.forms["/token"]["grant_type"] == "refresh_token"


async def test_a_refresh_goes_on_with_each_new_refresh_token(
    make_gateway: MakeGateway, op: HostileProvider, clock: MovableClock
) -> None:
    scene = await logged_in(make_gateway, op, clock)
    for number in range(3):
        op.claims = {"groups": [f"round-{number}"]}
        scene.move(clock, REFRESH + 1)
        await until(scene, has_groups(f"company:round-{number}"))
    assert len(op.refreshes) == 1, "the provider rotates: each token was used once"


# Keycloak leaves an empty claim out.
@pytest.mark.parametrize("groups", [[], None])
async def test_an_account_without_groups_loses_them(
    make_gateway: MakeGateway, op: HostileProvider, clock: MovableClock, groups: Any
) -> None:
    scene = await logged_in(make_gateway, op, clock)
    op.claims = {"groups": groups}
    scene.move(clock, REFRESH + 1)
    await until(scene, has_groups(""))


async def test_without_an_id_token_the_user_information_confirms_the_account(
    make_gateway: MakeGateway, op: HostileProvider, clock: MovableClock
) -> None:
    scene = await logged_in(make_gateway, op, clock)
    op.tokens, op.userinfo = {"id_token": None}, {"groups": ["board"]}
    scene.move(clock, REFRESH + 1)
    await until(scene, has_groups("company:board"))


def another_account(op: HostileProvider) -> None:
    op.claims = {"sub": "another account"}


def another_issuer(op: HostileProvider) -> None:
    op.claims = {"iss": "https://accounts.example.org"}


def revoked(op: HostileProvider) -> None:
    op.refreshes.clear()


def not_accepted(op: HostileProvider) -> None:
    op.claims = {"groups": ["guests"]}


ENDS = [another_account, revoked, not_accepted]


@pytest.mark.parametrize("change", ENDS)
async def test_a_session_ends_with_its_account(
    make_gateway: MakeGateway,
    op: HostileProvider,
    clock: MovableClock,
    change: Callable[[HostileProvider], None],
) -> None:
    scene = await logged_in(make_gateway, op, clock, accept={"groups": ["staff"]})
    change(op)
    scene.move(clock, REFRESH + 1)
    answer = await until(scene, is_refused)
    assert answer.headers["X-Authgw-Reason"] == "session_ended"
    assert "/login?rd=" in answer.headers["Location"]


def fails(op: HostileProvider) -> None:
    op.answers("/token", 503)


def hangs(op: HostileProvider) -> None:
    op.instead["/token"] = hang


def sends_a_forged_token(op: HostileProvider) -> None:
    another_issuer(op)


@pytest.mark.parametrize("change", [fails, sends_a_forged_token])
async def test_a_session_outlives_a_provider_that_is_away_up_to_a_bound(
    make_gateway: MakeGateway,
    op: HostileProvider,
    clock: MovableClock,
    change: Callable[[HostileProvider], None],
) -> None:
    scene = await logged_in(make_gateway, op, clock, stale="4m")
    change(op)
    for _ in range(3):
        scene.move(clock, REFRESH + 1)
        assert await groups_of(scene) == "company:staff"
        await attempted(scene, op)
    scene.move(clock, REFRESH)
    answer = await scene.jar.check()
    assert answer.headers["X-Authgw-Reason"] == "session_ended"


async def attempted(scene: HostileScene, op: HostileProvider) -> None:
    """Wait until a refresh was tried and has failed."""
    before = op.asked("/token")
    for _ in range(_PATIENCE):
        if op.asked("/token") > before:
            break
        await scene.jar.check()
        await asyncio.sleep(0.02)
    await asyncio.sleep(0.1)


async def test_a_session_that_was_idle_is_checked_before_its_next_request(
    make_gateway: MakeGateway, op: HostileProvider, clock: MovableClock
) -> None:
    scene = await logged_in(make_gateway, op, clock)
    op.claims = {"groups": ["board"]}
    scene.move(clock, 2 * REFRESH + 1)
    answer = await scene.jar.check()
    assert answer.headers["X-Authgw-Reason"] == "recheck"
    location = answer.headers["Location"]
    assert "recheck=1" in location
    path = location.removeprefix("https://auth.example.com")
    back = await scene.jar.get(path, **{"Sec-Fetch-Mode": "navigate"})
    assert (back.status, back.headers["Location"]) == (303, "https://app.example.com/a?b=c")
    assert await groups_of(scene) == "company:board"


async def test_a_program_is_told_to_recheck(
    make_gateway: MakeGateway, op: HostileProvider, clock: MovableClock
) -> None:
    scene = await logged_in(make_gateway, op, clock)
    scene.move(clock, 2 * REFRESH + 1)
    answer = await scene.jar.check(Accept="application/json")
    assert (answer.status, answer.headers["X-Authgw-Reason"]) == (401, "recheck")


async def test_a_session_without_a_refresh_token_ends_after_its_lifetime(
    make_gateway: MakeGateway, op: HostileProvider, clock: MovableClock
) -> None:
    op.tokens = {"refresh_token": None}
    scene = await hostile_scene(make_gateway, op, clock=clock, session="2h")
    assert (await scene.log_in()).status == 303
    scene.move(clock, 7_100)
    assert (await scene.jar.check()).status == 200
    scene.move(clock, 200)
    answer = await scene.jar.check()
    assert answer.headers["X-Authgw-Reason"] in ("session_ended", "token_expired")


async def test_a_refresh_never_moves_the_time_or_the_method_of_the_login(
    make_gateway: MakeGateway, op: HostileProvider, clock: MovableClock
) -> None:
    scene = await logged_in(make_gateway, op, clock)
    op.claims = {"groups": ["board"], "auth_time": int(clock()) + 30, "amr": ["mfa"]}
    scene.move(clock, REFRESH + 1)
    await until(scene, has_groups("company:board"))
    answer = await scene.jar.check("https://app.example.com/vault/")
    assert answer.status == 403


async def test_a_logout_during_a_refresh_stays_a_logout(
    make_gateway: MakeGateway, op: HostileProvider, clock: MovableClock
) -> None:
    scene = await logged_in(make_gateway, op, clock)
    scene.move(clock, REFRESH + 1)
    op.instead["/token"] = hang
    await scene.jar.check()
    for _ in range(_PATIENCE):
        if op.asked("/token") == 2:
            break
        await asyncio.sleep(0.02)
    notice = {"logout_token": op.logout_token()}
    own = {"Host": "auth.example.com"}
    response = await scene.running.client.post(
        "/login/oidc/company/backchannel", data=notice, headers=own
    )
    assert response.status in (200, 204)
    assert is_refused(await scene.jar.check())
    op.instead.clear()
    await asyncio.sleep(0.3)
    assert is_refused(await scene.jar.check())
