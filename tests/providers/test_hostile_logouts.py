"""Logout tokens: each that is not valid ends nothing, a valid token ends exactly its sessions."""

import time
from typing import Any

import pytest
from aiohttp import ClientResponse, web

from tests.support.forged_tokens import ForgersKey
from tests.support.gateway import MakeGateway
from tests.support.hostile_provider import (
    ACCOUNT,
    CLIENT_ID,
    CLIENT_SECRET,
    LOGOUT_EVENT,
    Claims,
    HostileProvider,
    Trap,
    hostile_provider,
)
from tests.support.hostile_scene import (
    BACKCHANNEL,
    HostileScene,
    case_name,
    hostile_scene,
    provider_keys,
)
from tests.support.login_scene import Jar

OTHER = ForgersKey("RS256")


async def notify(scene: HostileScene, token: str, path: str = BACKCHANNEL) -> ClientResponse:
    """Send a logout token as a provider does (Back-Channel Logout section 2.5)."""
    response = await scene.running.client.post(
        path, data={"logout_token": token}, headers={"Host": "auth.example.com"}
    )
    await response.read()
    return response


async def logged_in(make_gateway: MakeGateway, op: HostileProvider, **keys: Any) -> HostileScene:
    scene = await hostile_scene(make_gateway, op, **keys)
    assert (await scene.log_in()).status == 303
    assert await is_alive(scene)
    return scene


async def is_alive(scene: HostileScene) -> bool:
    return (await scene.jar.check()).status == 200


async def second_browser(scene: HostileScene, sid: str, **claims: Any) -> HostileScene:
    """Log in with another session of the provider."""
    scene.op.claims = {"sid": sid, **claims}
    other = HostileScene(scene.op, scene.running, Jar(scene.running))
    assert (await other.log_in()).status == 303
    return other


@pytest.mark.parametrize("claims", [{}, {"sub": None}, {"exp": None}], ids=case_name)
async def test_a_notice_of_a_session_ends_that_session_only(
    make_gateway: MakeGateway, op: HostileProvider, claims: Claims
) -> None:
    scene = await logged_in(make_gateway, op)
    other = await second_browser(scene, "another session")
    response = await notify(scene, op.logout_token(**claims))
    assert response.status in (200, 204)
    assert response.headers["Cache-Control"] == "no-store"
    assert not await is_alive(scene)
    assert await is_alive(other)


@pytest.mark.parametrize("typ", ["logout+jwt", "JWT", None])
async def test_a_notice_of_an_account_ends_all_its_sessions(
    make_gateway: MakeGateway, op: HostileProvider, typ: str | None
) -> None:
    scene = await logged_in(make_gateway, op)
    other = await second_browser(scene, "another session")
    stranger = await second_browser(scene, "a third session", sub="another account")
    assert (await notify(scene, op.logout_token({"typ": typ}, sid=None))).status in (200, 204)
    assert [await is_alive(each) for each in (scene, other, stranger)] == [False, False, True]


async def test_local_sessions_are_not_ended(make_gateway: MakeGateway, op: HostileProvider) -> None:
    scene = await hostile_scene(make_gateway, op)
    assert (await scene.jar.log_in("bob")).status == 303
    await notify(scene, op.logout_token(sub="bob", sid=None))
    assert await is_alive(scene)


def now() -> int:
    return int(time.time())


WRONG: list[tuple[Claims, Claims, str]] = [
    ({}, {"iss": "https://accounts.example.org"}, "provider_issuer"),
    ({}, {"aud": "another-client"}, "provider_audience"),
    ({}, {"aud": None}, "provider_audience"),
    ({}, {"iat": None}, "provider_claims"),
    ({}, {"jti": None}, "provider_claims"),
    ({}, {"iat": now() + 86_400}, "provider_not_yet_valid"),
    ({}, {"exp": now() - 600}, "provider_expired"),
    ({}, {"exp": None, "iat": now() - 600}, "provider_expired"),
    ({}, {"nonce": "a nonce"}, "logout_nonce"),
    ({}, {"events": None}, "logout_events"),
    ({}, {"events": {}}, "logout_events"),
    ({}, {"events": {LOGOUT_EVENT: True}}, "logout_events"),
    ({}, {"events": [LOGOUT_EVENT]}, "logout_events"),
    ({}, {"sub": None, "sid": None}, "logout_subject"),
    ({}, {"sub": 1}, "provider_claims"),
    ({"typ": "at+jwt"}, {}, "provider_type"),
    ({"typ": "secevent+jwt"}, {}, "provider_type"),
    ({"kid": "unknown"}, {}, "provider_key_unknown"),
    ({"crit": ["exp"]}, {}, "provider_token"),
    ({"jku": "{elsewhere}/jwks"}, {}, "provider_token"),
    ({"jwk": OTHER.public()}, {}, "provider_token"),
    ({"alg": "RS512"}, {}, "provider_alg"),
]


@pytest.mark.parametrize(("header", "claims", "cause"), WRONG, ids=case_name)
async def test_a_logout_token_that_is_not_valid_ends_nothing(
    make_gateway: MakeGateway,
    op: HostileProvider,
    elsewhere: Trap,
    header: Claims,
    claims: Claims,
    cause: str,
) -> None:
    scene = await logged_in(make_gateway, op)
    token = op.logout_token(elsewhere.placed(header), **claims)
    await refused(scene, await notify(scene, token), cause)
    assert elsewhere.requests == []


async def refused(scene: HostileScene, response: ClientResponse, cause: str) -> None:
    assert response.status == 400
    assert response.headers["Cache-Control"] == "no-store"
    assert response.headers["X-Authgw-Reason"] == "logout_token_invalid"
    # Every refusal but of a path that answers nobody is in the log, with its cause.
    event = next(each for each in reversed(scene.running.events) if each.cause)
    assert (event.reason, event.cause) == ("logout_token_invalid", cause)
    assert await is_alive(scene)


async def test_a_logout_token_with_another_signature_ends_nothing(
    make_gateway: MakeGateway, op: HostileProvider
) -> None:
    scene = await logged_in(make_gateway, op)
    valid = op.logout_token()
    own = {"kid": op.key.kid, "typ": "logout+jwt"}
    claims = {
        "iss": op.issuer,
        "aud": CLIENT_ID,
        "iat": now(),
        "jti": "a",
        "sub": ACCOUNT,
        "events": {LOGOUT_EVENT: {}},
    }
    secret = CLIENT_SECRET.encode()
    forged = {
        OTHER.sign(claims, {**own, "alg": "RS256"}): "provider_signature",
        op.key.sign(claims, {**own, "alg": "none"}, alg="none"): "provider_alg",
        op.key.sign(claims, {**own, "alg": "HS256"}, alg="HS256", secret=secret): "provider_alg",
        valid.rpartition(".")[0] + ".": "provider_signature",
        f"{valid}=": "provider_token",
        "x": "provider_token",
    }
    for token, cause in forged.items():
        await refused(scene, await notify(scene, token), cause)


async def test_an_id_token_is_no_logout_token(
    make_gateway: MakeGateway, op: HostileProvider
) -> None:
    tokens: list[str] = []

    def recorded(key: ForgersKey, claims: Claims, header: Claims) -> str:
        tokens.append(key.sign(claims, header))
        return tokens[-1]

    op.signed = recorded
    scene = await logged_in(make_gateway, op)
    await refused(scene, await notify(scene, tokens[-1]), "logout_events")


async def test_a_logout_token_of_another_provider_ends_nothing(
    make_gateway: MakeGateway, op: HostileProvider
) -> None:
    async with hostile_provider() as evil:
        others = {"evil": provider_keys(make_gateway.folder, evil)}
        scene = await logged_in(make_gateway, op, others=others)
        token = evil.logout_token(iss=op.issuer)
        await refused(
            scene, await notify(scene, token, "/login/oidc/evil/backchannel"), "provider_issuer"
        )
        assert (
            await notify(scene, evil.logout_token(), "/login/oidc/evil/backchannel")
        ).status in (200, 204)
        assert await is_alive(scene)


async def test_a_replay_does_not_end_a_later_session(
    make_gateway: MakeGateway, op: HostileProvider
) -> None:
    scene = await logged_in(make_gateway, op, skew="1s")
    token = op.logout_token(iat=now() - 30, sid=None)
    await notify(scene, token)
    # That session began after the notice was signed, so it lives on; and so it is once more.
    assert await is_alive(scene)
    await notify(scene, op.logout_token(sid=None))
    assert not await is_alive(scene)


async def test_a_logout_during_the_login_leaves_no_session(
    make_gateway: MakeGateway, op: HostileProvider
) -> None:
    """Between the exchange of the code and the session there is nothing to end yet."""
    scene = await hostile_scene(make_gateway, op)
    original = HostileProvider._token

    async def token(request: web.Request) -> web.StreamResponse:
        assert (await notify(scene, op.logout_token())).status in (200, 204)
        return original(op, request)

    op.instead["/token"] = token
    await scene.log_in()
    assert not await is_alive(scene)


async def test_the_path_takes_forms_of_a_provider_only(
    make_gateway: MakeGateway, op: HostileProvider
) -> None:
    scene = await logged_in(make_gateway, op)
    client, own = scene.running.client, {"Host": "auth.example.com"}
    token = op.logout_token()
    assert (await client.get(BACKCHANNEL, headers=own)).status == 405
    for data in (
        {"token": token},
        {"logout_token": ""},
        {},
        [("logout_token", token), ("logout_token", token)],
    ):
        response = await client.post(BACKCHANNEL, data=data, headers=own)
        assert response.status == 400
    response = await client.post(BACKCHANNEL, json={"logout_token": token}, headers=own)
    assert response.status in (400, 415)
    response = await client.post(BACKCHANNEL, data={"logout_token": "x" * 100_000}, headers=own)
    assert response.status in (400, 413)
    response = await notify(scene, token, "/login/oidc/unknown/backchannel")
    assert response.status == 404
    assert await is_alive(scene)


async def test_the_path_is_open_to_the_configured_networks_only(
    make_gateway: MakeGateway, op: HostileProvider
) -> None:
    scene = await logged_in(make_gateway, op, backchannel_from=["10.0.0.0/8"])
    await refused(scene, await notify(scene, op.logout_token()), "logout_network")
    response = await scene.running.client.post(
        BACKCHANNEL,
        data={"logout_token": op.logout_token()},
        headers={"Host": "auth.example.com", "X-Forwarded-For": "10.1.2.3"},
    )
    assert response.status in (200, 204)
    assert not await is_alive(scene)
