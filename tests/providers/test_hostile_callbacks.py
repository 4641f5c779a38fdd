"""Callbacks that belong to no login of this browser (RFC 9700 sections 4.4, 4.5 and 4.7)."""

from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest

from tests.support.clocks import MovableClock
from tests.support.gateway import MakeGateway
from tests.support.hostile_provider import ACCOUNT, Claims, HostileProvider, hostile_provider
from tests.support.hostile_scene import (
    CALLBACK,
    NAME,
    NAVIGATION,
    HostileScene,
    case_name,
    hostile_scene,
    provider_keys,
    refused,
)
from tests.support.login_scene import APP, Jar


def changed(url: str, **query: str | None) -> str:
    """Return an address with other parameters; None removes a parameter."""
    parts = urlsplit(url)
    merged = {**dict(parse_qsl(parts.query)), **query}
    kept = {name: text for name, text in merged.items() if text is not None}
    return parts._replace(query=urlencode(kept)).geturl()


async def address_of(scene: HostileScene) -> str:
    """Start a login; return the address to which the provider leads back."""
    return await scene.at_provider(await scene.start())


async def test_a_login_leads_back_to_the_very_url(
    make_gateway: MakeGateway, op: HostileProvider
) -> None:
    scene = await hostile_scene(make_gateway, op)
    url = "https://app.example.com/reports/2026?quarter=4&tag=a%26b&tag=%C3%BC&x=1+2"
    response = await scene.log_in(url)
    assert (response.status, response.headers["Location"]) == (303, url)
    answer = await scene.jar.check(url)
    assert (answer.status, answer.headers["Remote-User"]) == (200, f"{NAME}:{ACCOUNT}")


async def test_every_request_has_state_nonce_and_a_challenge_of_its_own(
    make_gateway: MakeGateway, op: HostileProvider
) -> None:
    scene = await hostile_scene(make_gateway, op)
    for _ in range(2):
        await address_of(scene)
    first, second = op.authorizations
    for name in ("state", "nonce", "code_challenge"):
        assert len({first[name], second[name]}) == 2
    assert first["code_challenge_method"] == "S256"
    assert first["redirect_uri"] == f"https://auth.example.com{CALLBACK}"
    secret = {first["state"], first["nonce"], first["code_challenge"]}
    assert len(secret) == 3


WRONG: list[tuple[dict[str, str | None], str]] = [
    ({"state": None}, "flow_state"),
    ({"state": "x"}, "flow_state"),
    ({"state": "x" * 43}, "flow_cookie"),
    ({"iss": "https://accounts.example.org"}, "flow_iss"),
    ({"iss": None}, "flow_iss"),
    ({"code": None}, "flow_parameters"),
    ({"code": ""}, "flow_parameters"),
    ({"code": "c" * 2_049}, "flow_parameters"),
    ({"code": "ü"}, "flow_parameters"),
    ({"error": "access_denied"}, "flow_parameters"),
    ({"code": "invented"}, "provider_grant"),
]


@pytest.mark.parametrize(("query", "cause"), WRONG, ids=case_name)
async def test_a_changed_callback_is_refused(
    make_gateway: MakeGateway, op: HostileProvider, query: dict[str, str | None], cause: str
) -> None:
    scene = await hostile_scene(make_gateway, op)
    address = changed(await address_of(scene), **query)
    await refused(scene, await scene.back(address), 400, "flow_invalid", cause)
    assert ("/token" in op.requests) == (cause == "provider_grant")


@pytest.mark.parametrize("name", ["code", "state", "iss", "x"])
async def test_a_parameter_that_comes_twice_is_refused(
    make_gateway: MakeGateway, op: HostileProvider, name: str
) -> None:
    scene = await hostile_scene(make_gateway, op)
    address = await address_of(scene)
    value = dict(parse_qsl(urlsplit(address).query)).get(name, "y")
    twice = f"{changed(address, **{name: value})}&{urlencode({name: value})}"
    await refused(scene, await scene.back(twice), 400, "flow_invalid", "flow_parameters")


async def test_a_callback_in_another_browser_is_refused(
    make_gateway: MakeGateway, op: HostileProvider
) -> None:
    """Login CSRF: the attacker's code and state in the browser of the victim."""
    scene = await hostile_scene(make_gateway, op)
    address = await address_of(scene)
    victim = HostileScene(op, scene.running, Jar(scene.running))
    await refused(victim, await victim.back(address), 400, "flow_invalid", "flow_cookie")
    await address_of(victim)
    await refused(victim, await victim.back(address), 400, "flow_invalid", "flow_cookie")
    assert "/token" not in op.requests


async def test_a_cookie_that_a_sibling_host_can_plant_is_no_cookie_of_a_flow(
    make_gateway: MakeGateway, op: HostileProvider
) -> None:
    scene = await hostile_scene(make_gateway, op)
    address = await address_of(scene)
    victim = HostileScene(op, scene.running, Jar(scene.running))
    planted = {
        name.replace("__Host-", prefix): value
        for name, value in scene.jar.cookies.items()
        for prefix in ("", "__Secure-")
    }
    assert all(name.startswith("__Host-authgw-flow-") for name in scene.jar.cookies)
    victim.jar.cookies.update(planted)
    await refused(victim, await victim.back(address), 400, "flow_invalid", "flow_cookie")


async def test_the_cookie_of_a_flow_holds_none_of_its_secrets(
    make_gateway: MakeGateway, op: HostileProvider
) -> None:
    scene = await hostile_scene(make_gateway, op)
    await address_of(scene)
    (cookie,) = scene.jar.cookies.values()
    (sent,) = op.authorizations
    assert sent["state"] not in cookie
    assert sent["nonce"] not in cookie
    morsel = scene.jar.set_cookies[-1]
    assert (morsel["httponly"], morsel["secure"], morsel["path"]) == (True, True, "/")
    assert morsel["samesite"].lower() == "lax"
    assert not morsel["domain"]


async def test_the_two_newest_flows_of_a_browser_are_kept(
    make_gateway: MakeGateway, op: HostileProvider
) -> None:
    scene = await hostile_scene(make_gateway, op)
    first, second, third = [await address_of(scene) for _ in range(3)]
    assert len([name for name, value in scene.jar.cookies.items() if value]) == 2
    await refused(scene, await scene.back(first), 400, "flow_invalid", "flow_cookie")
    assert (await scene.back(third)).status == 303
    assert second != third


async def test_a_callback_is_accepted_once(make_gateway: MakeGateway, op: HostileProvider) -> None:
    scene = await hostile_scene(make_gateway, op)
    address = await address_of(scene)
    cookies = dict(scene.jar.cookies)
    assert (await scene.back(address)).status == 303
    scene.jar.cookies = cookies
    await refused(scene, await scene.back(address), 400, "flow_invalid", "flow_spent")
    assert op.asked("/token") == 1


async def test_a_replay_in_a_browser_that_is_logged_in_leads_to_the_app(
    make_gateway: MakeGateway, op: HostileProvider
) -> None:
    scene = await hostile_scene(make_gateway, op)
    address = await address_of(scene)
    flow = dict(scene.jar.cookies)
    assert (await scene.back(address)).status == 303
    scene.jar.cookies.update(flow)
    response = await scene.back(address)
    assert (response.status, response.headers.get("Location")) == (303, APP)


async def test_codes_of_two_flows_cannot_be_exchanged(
    make_gateway: MakeGateway, op: HostileProvider
) -> None:
    """Code injection: the verifier is that of another flow."""
    scene = await hostile_scene(make_gateway, op)
    first, second = await address_of(scene), await address_of(scene)
    stolen = dict(parse_qsl(urlsplit(first).query))["code"]
    response = await scene.back(changed(second, code=stolen))
    await refused(scene, response, 400, "flow_invalid", "provider_grant")


async def test_a_provider_that_skips_the_verifier_does_not_help(
    make_gateway: MakeGateway, op: HostileProvider
) -> None:
    """The nonce in the ID token is that of another flow, too."""
    scene = await hostile_scene(make_gateway, op)
    first, second = await address_of(scene), await address_of(scene)
    codes = [dict(parse_qsl(urlsplit(address).query))["code"] for address in (first, second)]
    op.codes[codes[0]].challenge = op.codes[codes[1]].challenge
    response = await scene.back(changed(second, code=codes[0]))
    await refused(scene, response, 400, "flow_invalid", "provider_nonce")


async def test_an_expired_flow_is_refused(make_gateway: MakeGateway, op: HostileProvider) -> None:
    clock = MovableClock()
    scene = await hostile_scene(make_gateway, op, clock=clock)
    address = await address_of(scene)
    clock.move(700)
    response = await scene.back(address)
    await refused(scene, response, 400, "flow_invalid", "flow_expired")
    assert "start" in (await response.text()).lower()


ERRORS: list[tuple[Claims, int, str]] = [
    ({"error": "access_denied"}, 403, "provider_refused"),
    ({"error": "server_error"}, 503, "provider_unavailable"),
    ({"error": "temporarily_unavailable"}, 503, "provider_unavailable"),
    ({"error": "invalid_scope"}, 503, "provider_unavailable"),
]


@pytest.mark.parametrize(("callback", "status", "reason"), ERRORS, ids=case_name)
async def test_an_error_of_the_provider_is_shown_in_our_words(
    make_gateway: MakeGateway, op: HostileProvider, callback: Claims, status: int, reason: str
) -> None:
    detail = "<script>alert(1)</script> a detail of the provider"
    op.callback = {"code": None, "error_description": detail, **callback}
    scene = await hostile_scene(make_gateway, op)
    response = await scene.log_in()
    assert (response.status, response.headers["X-Authgw-Reason"]) == (status, reason)
    text = await response.text()
    assert "a detail of the provider" not in text
    assert "<script>alert" not in text
    assert not scene.is_logged_in()


async def test_responses_of_two_providers_cannot_be_mixed_up(
    make_gateway: MakeGateway, op: HostileProvider
) -> None:
    """RFC 9700 section 4.4: the attacker's provider sends the code to the callback of another."""
    async with hostile_provider() as evil:
        others = {"evil": provider_keys(make_gateway.folder, evil)}
        scene = await hostile_scene(make_gateway, op, others=others)
        address = await scene.at_provider(await scene.start(path="/login/oidc/evil"))
        assert urlsplit(address).path == "/login/oidc/evil/callback"
        swapped = address.replace("/oidc/evil/", f"/oidc/{NAME}/")
        await refused(scene, await scene.back(swapped), 400, "flow_invalid", "flow_site")
        scene.jar.cookies.clear()
        evil.callback = {"iss": op.issuer}
        response = await scene.back(
            await scene.at_provider(await scene.start(path="/login/oidc/evil"))
        )
        await refused(scene, response, 400, "flow_invalid", "flow_iss")
        assert "/token" not in (*op.requests, *evil.requests)


async def test_a_token_of_another_provider_is_refused(
    make_gateway: MakeGateway, op: HostileProvider
) -> None:
    """Even with its issuer: the keys are those of the configured issuer (T62)."""
    async with hostile_provider() as evil:
        others = {"evil": provider_keys(make_gateway.folder, evil)}
        scene = await hostile_scene(make_gateway, op, others=others)
        evil.claims = {"iss": op.issuer}
        started = await scene.start(path="/login/oidc/evil")
        response = await scene.back(await scene.at_provider(started))
        await refused(scene, response, 400, "flow_invalid", "provider_issuer")
        assert "/jwks" not in op.requests


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty"},
        {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "iframe"},
        {"Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image"},
        {**NAVIGATION, "Sec-Purpose": "prefetch"},
    ],
    ids=case_name,
)
async def test_a_callback_in_a_frame_or_a_prefetch_opens_nothing(
    make_gateway: MakeGateway, op: HostileProvider, headers: dict[str, str]
) -> None:
    scene = await hostile_scene(make_gateway, op)
    parts = urlsplit(await address_of(scene))
    response = await scene.jar.get(f"{parts.path}?{parts.query}", **headers)
    assert response.status in (400, 403)
    assert not scene.is_logged_in()
    assert "/token" not in op.requests
