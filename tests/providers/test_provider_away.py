"""A provider that is down, slow, or changes its keys: only its own logins wait (T66)."""

import asyncio
from urllib.parse import quote

import pytest
from aiohttp import ClientResponse

from authgw.core.limits import PROVIDER_CALL_TIMEOUT
from tests.support.clocks import MovableClock
from tests.support.forged_tokens import ForgersKey
from tests.support.gateway import MakeGateway
from tests.support.hostile_provider import HostileProvider, hang
from tests.support.hostile_scene import START, HostileScene, hostile_scene
from tests.support.login_scene import APP, Jar

METADATA = "/.well-known/openid-configuration"
PATHS = (METADATA, "/jwks", "/token", "/userinfo")
_AT_ONCE = 20


def down(op: HostileProvider) -> None:
    for path in PATHS:
        op.answers(path, 503)


def slow(op: HostileProvider) -> None:
    for path in PATHS:
        op.instead[path] = hang


@pytest.mark.parametrize("away", [down, slow])
async def test_a_gateway_starts_and_serves_while_the_provider_is_away(
    make_gateway: MakeGateway, op: HostileProvider, away: object
) -> None:
    assert callable(away)
    away(op)
    op.clock = clock = MovableClock()
    scene = await hostile_scene(make_gateway, op, clock=clock)
    assert (await scene.running.client.get("/readyz")).status == 200
    assert op.requests == [], "the start needs no provider"
    assert (await scene.jar.log_in("bob")).status == 303
    assert (await scene.jar.check()).status == 200
    response = await Jar(scene.running).get(f"{START}?rd={quote(APP, safe='')}")
    assert response.status == 503
    assert "Example Ltd" in await response.text()
    op.instead.clear()
    # A failure is known for some seconds, so that not each user waits for the provider.
    clock.move(PROVIDER_CALL_TIMEOUT + 1)
    other = HostileScene(op, scene.running, Jar(scene.running))
    assert (await other.log_in()).status == 303, "a login works without a restart"


@pytest.mark.parametrize("away", [down, slow])
async def test_sessions_live_on_while_the_provider_is_away(
    make_gateway: MakeGateway, op: HostileProvider, away: object
) -> None:
    assert callable(away)
    scene = await hostile_scene(make_gateway, op)
    assert (await scene.log_in()).status == 303
    away(op)
    before = len(op.requests)
    assert {(await scene.jar.check()).status for _ in range(20)} == {200}
    assert len(op.requests) == before, "no check calls the provider"


async def test_logins_that_hang_delay_no_check_and_no_other_login(
    make_gateway: MakeGateway, op: HostileProvider
) -> None:
    scene = await hostile_scene(make_gateway, op)
    assert (await scene.log_in()).status == 303
    op.instead["/token"] = hang
    hanging = [await begun(scene, number) for number in range(_AT_ONCE)]
    for _ in range(400):
        if op.asked("/token") > 2:
            break
        await asyncio.sleep(0.01)
    assert {(await scene.jar.check()).status for _ in range(50)} == {200}
    local = Jar(scene.running)
    assert (await local.log_in("bob")).status == 303
    assert not any(task.done() and task.result().status == 303 for task in hanging)
    statuses = {(await task).status for task in hanging}
    assert statuses == {503}


async def begun(scene: HostileScene, number: int) -> "asyncio.Task[ClientResponse]":
    """Start a login in a browser with an address of its own; return its end."""
    other = HostileScene(scene.op, scene.running, Jar(scene.running))
    address = await other.at_provider(await other.start())
    parts = address.partition("https://auth.example.com")[2]
    return asyncio.create_task(other.jar.get(parts, **{"X-Forwarded-For": f"10.0.0.{number}"}))


async def test_new_keys_are_found_and_fetches_are_bounded(
    make_gateway: MakeGateway, op: HostileProvider
) -> None:
    clock = MovableClock()
    scene = await hostile_scene(make_gateway, op, clock=clock, skew="5m")
    for number in range(4):
        op.key = ForgersKey("ES256")
        waiting = [await begun(scene, 10 * number + each) for each in range(5)]
        assert {(await each).status for each in waiting} == {303}
        clock.move(61)
    assert op.asked("/jwks") == 4
    assert op.asked(METADATA) == 1


async def test_former_keys_serve_for_a_day_while_new_ones_cannot_be_fetched(
    make_gateway: MakeGateway, op: HostileProvider
) -> None:
    op.clock = clock = MovableClock()
    scene = await hostile_scene(make_gateway, op, clock=clock)
    assert (await scene.log_in()).status == 303
    op.answers("/jwks", 503)
    op.answers(METADATA, 503)
    for hours, status in ((2, 303), (20, 303), (4, 503)):
        clock.move(hours * 3600)
        other = HostileScene(op, scene.running, Jar(scene.running))
        started = await other.start()
        response = await other.back(await other.at_provider(started)) if status == 303 else started
        assert response.status == status
