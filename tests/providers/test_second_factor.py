"""A second factor of this gateway after a login at a provider."""

from urllib.parse import quote

from authgw.identity import users_editor
from tests.support.gateway import MakeGateway
from tests.support.hostile_provider import ACCOUNT, HostileProvider
from tests.support.hostile_scene import HostileScene, hostile_scene
from tests.support.login_scene import APP, Jar, code, reload_users


async def linked_scene(make_gateway: MakeGateway, op: HostileProvider) -> HostileScene:
    """Return a gateway whose user alice has a second factor and a linked account."""
    scene = await hostile_scene(make_gateway, op, login={"totp": "optional"}, accept="linked")
    users_editor.add_link(scene.running.users.path, "alice", op.issuer, ACCOUNT)
    await reload_users(scene.running)
    return scene


async def test_a_code_is_demanded_after_the_provider(
    make_gateway: MakeGateway, op: HostileProvider
) -> None:
    scene = await linked_scene(make_gateway, op)
    response = await scene.log_in()
    assert response.headers["Location"] == f"/login/totp?rd={quote(APP, safe='')}"
    assert not scene.is_logged_in()
    assert (await scene.jar.check()).status == 401
    await scene.jar.get(response.headers["Location"])
    assert (await scene.jar.post("/login/totp", rd=APP, code="000000")).status == 401
    right = await scene.jar.post("/login/totp", rd=APP, code=code())
    assert (right.status, right.headers["Location"]) == (303, APP)
    checked = await scene.jar.check()
    assert (checked.status, checked.headers["Remote-User"]) == (200, "alice")


async def test_the_login_that_waits_is_used_once(
    make_gateway: MakeGateway, op: HostileProvider
) -> None:
    scene = await linked_scene(make_gateway, op)
    response = await scene.log_in()
    copied = Jar(scene.running)
    copied.cookies.update(scene.jar.cookies)
    await scene.jar.get(response.headers["Location"])
    assert (await scene.jar.post("/login/totp", rd=APP, code=code())).status == 303
    again = await copied.get(response.headers["Location"])
    assert (again.status, again.headers["Location"]) == (303, f"/login?rd={quote(APP, safe='')}")


async def test_two_factors_of_the_provider_are_enough(
    make_gateway: MakeGateway, op: HostileProvider
) -> None:
    scene = await linked_scene(make_gateway, op)
    op.claims["amr"] = ["pwd", "mfa"]
    response = await scene.log_in()
    assert (response.status, response.headers["Location"]) == (303, APP)
    assert scene.is_logged_in()
