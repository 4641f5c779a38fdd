"""Documents and responses of a provider that hangs, redirects, floods or contradicts itself."""

import json
import time
from collections.abc import Callable

import pytest
from aiohttp import web

from tests.support.forged_tokens import ForgersKey
from tests.support.gateway import MakeGateway
from tests.support.hostile_provider import Claims, HostileProvider, Trap, hang
from tests.support.hostile_scene import HostileScene, case_name, hostile_scene, refused

METADATA = "/.well-known/openid-configuration"
FLOOD = b'{"x": "' + b"x" * 10_000_000 + b'"}'
JSON = "application/json"


def answers(status: int, body: str | bytes = b"", **headers: str) -> Callable[..., None]:
    def change(op: HostileProvider, path: str, elsewhere: Trap) -> None:
        named = {name: text.format(elsewhere=elsewhere.url) for name, text in headers.items()}
        op.answers(path, status, body, **{"Content_Type": JSON, **named})

    return change


def hangs(op: HostileProvider, path: str, elsewhere: Trap) -> None:
    op.instead[path] = hang


def cuts(op: HostileProvider, path: str, elsewhere: Trap) -> None:
    """Close the connection in the middle of a response."""

    async def cut(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": "1000", "Content-Type": JSON})
        await response.prepare(request)
        await response.write(b'{"keys"')
        assert request.transport is not None
        request.transport.abort()
        return response

    op.instead[path] = cut


ANYWHERE = {
    "redirect": answers(302, Location="{elsewhere}/x"),
    "permanent": answers(308, Location="{elsewhere}/x"),
    "error": answers(500, "<b>a detail of the provider</b>", Content_Type="text/html"),
    "html": answers(200, "<b>a detail of the provider</b>", Content_Type="text/html"),
    "list": answers(200, "[]"),
    "empty": answers(200, ""),
    "twice": answers(200, '{"issuer": "a", "issuer": "b"}'),
    "flood": answers(200, FLOOD),
    "cut": cuts,
}


@pytest.mark.parametrize("change", ANYWHERE.values(), ids=ANYWHERE)
@pytest.mark.parametrize("path", [METADATA, "/jwks", "/token"])
async def test_a_response_that_is_not_valid_opens_nothing(
    make_gateway: MakeGateway,
    op: HostileProvider,
    elsewhere: Trap,
    change: Callable[[HostileProvider, str, Trap], None],
    path: str,
) -> None:
    scene = await hostile_scene(make_gateway, op)
    change(op, path, elsewhere)
    await unavailable(scene)
    assert elsewhere.requests == []


async def unavailable(scene: HostileScene) -> str:
    """Assert that a login fails with 503, at its start or its end; return the log's sentence."""
    response = await scene.start()
    if response.status != 503:
        response = await scene.back(await scene.at_provider(response))
    text = await response.text()
    assert response.status == 503, text
    assert response.headers["X-Authgw-Reason"] == "provider_unavailable"
    assert scene.last.reason == "provider_unavailable"
    assert "a detail of the provider" not in text
    assert scene.op.url not in text
    assert not scene.is_logged_in()
    return scene.last.sentence


@pytest.mark.parametrize("path", [METADATA, "/jwks", "/token"])
async def test_a_provider_that_hangs_delays_its_login_alone(
    make_gateway: MakeGateway, op: HostileProvider, path: str
) -> None:
    scene = await hostile_scene(make_gateway, op)
    op.instead[path] = hang
    began = time.monotonic()
    await unavailable(scene)
    assert time.monotonic() - began < 15
    assert (await scene.jar.log_in("bob")).status == 303


async def test_the_user_information_is_called_for_missing_claims_only(
    make_gateway: MakeGateway, op: HostileProvider
) -> None:
    op.instead["/userinfo"] = hang
    scene = await hostile_scene(make_gateway, op)
    assert (await scene.log_in()).status == 303
    assert op.asked("/userinfo") == 0


WRONG_METADATA: list[Claims] = [
    {"issuer": "https://accounts.example.org"},
    {"issuer": "{issuer}/"},
    {"issuer": None},
    {"authorization_endpoint": None},
    {"authorization_endpoint": "javascript:alert(1)"},
    {"authorization_endpoint": "http://idp.example.com/authorize"},
    {"token_endpoint": None},
    {"token_endpoint": "http://idp.example.com/token"},
    {"token_endpoint": "file:///etc/passwd"},
    {"jwks_uri": "http://169.254.169.254/latest/meta-data"},
]


@pytest.mark.parametrize("metadata", WRONG_METADATA, ids=case_name)
async def test_metadata_that_contradict_the_configuration_are_refused(
    make_gateway: MakeGateway, op: HostileProvider, metadata: Claims
) -> None:
    scene = await hostile_scene(make_gateway, op)
    op.metadata = json.loads(json.dumps(metadata).replace("{issuer}", op.issuer))
    await unavailable(scene)


WEAK = ForgersKey("RS256", bits=1024)
KEY = ForgersKey("RS256")
SYMMETRIC = {"kty": "oct", "k": "c2VjcmV0IHNlY3JldCBzZWNyZXQgc2VjcmV0", "kid": KEY.kid}
KEY_SETS: dict[str, list[Claims]] = {
    "none": [],
    "weak": [WEAK.public(kid=KEY.kid)],
    "symmetric": [SYMMETRIC],
    "for encryption": [KEY.public(use="enc")],
    "of another algorithm": [KEY.public(alg="RS512")],
    "with its private part": [KEY.public(d="AQAB")],
    "twice": [KEY.public(), ForgersKey("RS256", kid=KEY.kid).public()],
    "many": [KEY.public(kid=f"{number}") for number in range(1_000)],
}


@pytest.mark.parametrize("keys", KEY_SETS.values(), ids=KEY_SETS)
async def test_a_key_set_without_a_usable_key_opens_nothing(
    make_gateway: MakeGateway, op: HostileProvider, keys: list[Claims]
) -> None:
    op.key = KEY
    scene = await hostile_scene(make_gateway, op)
    op.answers("/jwks", 200, json.dumps({"keys": keys}), Content_Type=JSON)
    await unavailable(scene)


TOKENS: list[Claims] = [
    {"token_type": "mac"},
    {"token_type": None},
    {"access_token": None},
    {"access_token": "a\r\nb"},
    {"id_token": None},
    {"id_token": {"sub": "a"}},
    {"id_token": "e" * 20_000},
]


@pytest.mark.parametrize("tokens", TOKENS, ids=case_name)
async def test_a_response_without_usable_tokens_opens_nothing(
    make_gateway: MakeGateway, op: HostileProvider, tokens: Claims
) -> None:
    scene = await hostile_scene(make_gateway, op)
    op.tokens = tokens
    await unavailable(scene)


async def test_a_wrong_secret_is_named_in_the_log_and_not_on_the_page(
    make_gateway: MakeGateway, op: HostileProvider
) -> None:
    scene = await hostile_scene(make_gateway, op)
    (make_gateway.folder / "provider-secret").write_text("another secret\n")
    scene = await hostile_scene(make_gateway, op)
    op.answers("/token", 401, '{"error": "invalid_client"}', Content_Type=JSON)
    assert "login.providers.company.client_secret_file" in await unavailable(scene)
    assert "client_secret_file" not in scene.jar.text


async def test_a_refused_code_is_a_login_to_start_again(
    make_gateway: MakeGateway, op: HostileProvider
) -> None:
    scene = await hostile_scene(make_gateway, op)
    address = await scene.at_provider(await scene.start())
    op.codes.clear()
    await refused(scene, await scene.back(address), 400, "flow_invalid", "provider_grant")


async def test_a_refresh_without_a_refresh_token_is_an_error_in_words(
    make_gateway: MakeGateway, op: HostileProvider
) -> None:
    op.tokens = {"refresh_token": None}
    scene = await hostile_scene(make_gateway, op, refresh="15m")
    assert "login.providers.company.refresh" in await unavailable(scene)
