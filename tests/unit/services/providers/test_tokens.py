"""The token and the revocation endpoint: the client's credentials, and responses that count."""

import json
from dataclasses import replace

import jwt
import pytest
from jwt.types import Options

from authgw.core.errors import AuthgwError, ProviderUnavailableError
from authgw.core.providers.metadata import ProviderMetadata, parse_metadata
from authgw.services.providers.calls import BasicCredentials, ProviderResponse
from authgw.services.providers.tokens import GrantRefusedError, ProviderTokens, TokenCalls, loggable
from tests.support.builders import KEY, NOW
from tests.support.fake_provider import ISSUER, METADATA, PROVIDER, Call, FakeProvider, as_json

TIMELESS: Options = {"verify_exp": False, "verify_iat": False}
TOKEN = {"access_token": "AT", "token_type": "bearer"}


def metadata(**changed: object) -> ProviderMetadata:
    return parse_metadata(json.dumps({**METADATA, **changed}).encode(), ISSUER)


def calls_of(world: FakeProvider) -> TokenCalls:
    return TokenCalls(world.provider, world.calls, clock=lambda: NOW)


async def by_code(world: FakeProvider, **changed: object) -> ProviderTokens:
    return await calls_of(world).by_code(
        metadata(**changed), "C", redirect_uri="https://a.example.com/cb", verifier="V"
    )


async def test_a_code_is_sent_with_its_verifier_and_redirect_address() -> None:
    world = FakeProvider(tokens={"id_token": "I", "refresh_token": "R"})
    assert await by_code(world) == ProviderTokens("AT", "I", "R")
    (call,) = world.calls.made
    assert call.url == f"{ISSUER}/token"
    assert call.fields == {
        "grant_type": "authorization_code",
        "code": "C",
        "redirect_uri": "https://a.example.com/cb",
        "code_verifier": "V",
    }
    assert call.basic == BasicCredentials("authgw", "top+secret")
    assert not call.renews


async def test_basic_credentials_are_form_encoded() -> None:
    provider = replace(PROVIDER, client_id="a:b", client_secret="ü +%")
    world = FakeProvider(provider)
    await by_code(world)
    assert world.calls.made[0].basic == BasicCredentials("a%3Ab", "%C3%BC+%2B%25")


async def test_a_provider_without_basic_gets_the_secret_in_the_form() -> None:
    world = FakeProvider()
    await by_code(world, token_endpoint_auth_methods_supported=["client_secret_post"])
    (call,) = world.calls.made
    assert call.basic is None
    assert (call.fields["client_id"], call.fields["client_secret"]) == ("authgw", "top secret")


async def test_a_provider_without_both_is_named() -> None:
    with pytest.raises(ProviderUnavailableError) as refused:
        await by_code(FakeProvider(), token_endpoint_auth_methods_supported=["private_key_jwt"])
    assert "login.providers.company.client_key_file" in refused.value.note


async def test_a_client_key_signs_an_assertion() -> None:
    world = FakeProvider(replace(PROVIDER, client_secret="", client_key=KEY))
    await by_code(world)
    await by_code(world)
    first, second = [call.fields["client_assertion"] for call in world.calls.made]
    claims = jwt.decode(first, options={"verify_signature": False})
    assert jwt.get_unverified_header(first) == {"alg": "ES256", "kid": KEY.kid, "typ": "JWT"}
    assert {**claims, "jti": ""} == {
        "iss": "authgw",
        "sub": "authgw",
        "aud": f"{ISSUER}/token",
        "iat": int(NOW),
        "exp": int(NOW) + 60,
        "jti": "",
    }
    assert claims["jti"] != jwt.decode(second, options={"verify_signature": False})["jti"]
    jwt.decode(first, KEY.verifying, ["ES256"], audience=f"{ISSUER}/token", options=TIMELESS)
    assert world.calls.made[0].fields["client_assertion_type"].endswith(":jwt-bearer")
    assert world.calls.made[0].basic is None


async def test_a_refresh_uses_the_share_of_running_sessions() -> None:
    world = FakeProvider(tokens={"refresh_token": "R2"})
    found = await calls_of(world).by_refresh_token(metadata(), "R1")
    assert found.refresh_token == "R2"
    (call,) = world.calls.made
    assert call.fields == {"grant_type": "refresh_token", "refresh_token": "R1"}
    assert call.renews


async def test_a_refresh_token_is_revoked_where_that_is_possible() -> None:
    world = FakeProvider()
    await calls_of(world).revoke(metadata(), "R1")
    (call,) = world.calls.made
    assert call.url == f"{ISSUER}/revoke"
    assert call.fields == {"token": "R1", "token_type_hint": "refresh_token"}
    await calls_of(world).revoke(metadata(revocation_endpoint=None), "R1")
    assert len(world.calls.made) == 1


@pytest.mark.parametrize(
    ("reply", "error", "part"),
    [
        (as_json({"error": "invalid_grant"}, 400), GrantRefusedError, "invalid_grant"),
        (
            as_json({"error": "invalid_client", "error_description": "<b>\nü" + "x" * 300}, 401),
            ProviderUnavailableError,
            "invalid_client (<b>??xxx",
        ),
        (
            as_json({"error": "invalid_client"}, 401),
            ProviderUnavailableError,
            "check login.providers.company.client_id and login.providers.company.client_secret",
        ),
        (as_json({"error": "unauthorized_client"}, 400), ProviderUnavailableError, "permit the"),
        (as_json({"error": "unauthorized_client"}, 401), ProviderUnavailableError, "client_secret"),
        # A wrong redirect address, as Google names it, and a wrong secret at GitHub.
        (as_json({"error": "redirect_uri_mismatch"}, 400), ProviderUnavailableError, "login.url"),
        (
            as_json({"error": "incorrect_client_credentials"}, 400),
            ProviderUnavailableError,
            "login.providers.company.client_secret_file",
        ),
        (
            as_json({"error": "invalid_scope"}, 400),
            ProviderUnavailableError,
            "login.providers.company.scopes",
        ),
        (as_json({"error": 7}, 404), ProviderUnavailableError, "status 404"),
        (ProviderResponse(400, b"nonsense"), ProviderUnavailableError, "status 400"),
        (ProviderResponse(200, b"[]"), ProviderUnavailableError, "not a JSON object"),
        (as_json({"access_token": "AT"}), ProviderUnavailableError, "no `token_type`"),
        (as_json({"token_type": "Bearer"}), ProviderUnavailableError, "`access_token`"),
        (as_json({**TOKEN, "id_token": 5}), ProviderUnavailableError, "`id_token`"),
        (as_json({**TOKEN, "id_token": ""}), ProviderUnavailableError, "`id_token`"),
        (as_json({**TOKEN, "refresh_token": "a\n"}), ProviderUnavailableError, "`refresh_token`"),
        (as_json({**TOKEN, "access_token": "a" * 16385}), ProviderUnavailableError, "access"),
    ],
)
async def test_other_responses_are_named_without_their_tokens(
    reply: ProviderResponse, error: type[AuthgwError], part: str
) -> None:
    world = FakeProvider()
    world.reply("/token", reply)
    with pytest.raises(error) as refused:
        await by_code(world)
    note = refused.value.note
    assert part in note
    assert len(note) < 500
    assert "top secret" not in note
    assert "xxx" not in refused.value.detail


def test_tokens_are_not_in_reprs() -> None:
    assert "AT" not in repr(ProviderTokens("AT", "I", "R"))


def test_texts_of_a_provider_are_safe_in_the_log() -> None:
    assert loggable("a\r\nb\x1b[0mü") == "a??b?[0m?"
    assert loggable(["a"]) == ""


@pytest.mark.parametrize("member", ["error", "error_description"])
@pytest.mark.parametrize("error", ["invalid_grant", "invalid_client", "server_error"])
async def test_an_error_that_repeats_what_was_sent_brings_no_secret_into_the_log(
    member: str, error: str
) -> None:
    world = FakeProvider(replace(PROVIDER, client_secret="a-long-secret"))

    def repeated(call: Call) -> ProviderResponse:
        members = {"error": error, member: f"{error}: {' '.join(call.fields.values())}"}
        return as_json(members, 400)

    world.reply("/token", repeated)
    world.reply("/revoke", repeated)
    posted = metadata(token_endpoint_auth_methods_supported=["client_secret_post"])
    calls = calls_of(world)
    for action in (
        calls.by_code(posted, "the-code-1", redirect_uri="https://a", verifier="the-verifier-1"),
        calls.by_refresh_token(posted, "the-refresh-token-1"),
        calls.revoke(posted, "the-refresh-token-1"),
    ):
        with pytest.raises(AuthgwError) as caught:
            await action
        assert "[hidden]" in caught.value.note
        for secret in ("the-code-1", "the-verifier-1", "the-refresh-token-1", "a-long-secret"):
            assert secret not in caught.value.note
