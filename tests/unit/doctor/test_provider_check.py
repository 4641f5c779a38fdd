"""`authgw provider check`: each part of a provider that can be wrong, with the key to change."""

from collections.abc import Callable
from dataclasses import replace
from email.utils import formatdate
from typing import Any

import pytest

from authgw.core.errors import ProviderUnavailableError
from authgw.core.login_sites import LoginSite
from authgw.core.providers.model import GITHUB_ISSUER
from authgw.core.redirects import Redirects
from authgw.doctor.findings import CheckResult, Grade
from authgw.doctor.provider_check import ProviderCheck
from authgw.services.providers.calls import ProviderResponse
from tests.support.builders import KEY as KEY_OF_CLIENT
from tests.support.builders import NOW
from tests.support.fake_provider import ISSUER, PROVIDER, FakeCalls, FakeProvider, as_json

KEY = "login.providers.company"
DISCOVERY = "/.well-known/openid-configuration"
CALLBACK = "https://auth.example.com/login/oidc/company/callback"
Change = Callable[[FakeProvider], None]


def site(url: str) -> LoginSite:
    return LoginSite(url, "example.com", Redirects((), "", ""))


SITE = site("https://auth.example.com/login")


def working(**of_provider: Any) -> FakeProvider:
    world = FakeProvider(replace(PROVIDER, **of_provider))
    world.reply("/token", as_json({"error": "invalid_grant"}, 400))
    return world


def check_of(world: FakeProvider, *sites: LoginSite) -> ProviderCheck:
    return ProviderCheck(world.provider, sites or (SITE,), world.calls, lambda: NOW)


async def found(world: FakeProvider) -> dict[str, CheckResult]:
    return {result.part: result for result in await check_of(world).results()}


async def test_a_provider_in_order_has_a_line_for_each_part() -> None:
    world = working(refresh=900.0)
    world.metadata |= {"code_challenge_methods_supported": ["S256"]}
    assert [str(result) for result in await check_of(world).results()] == [
        f"ok       discovery: {ISSUER}{DISCOVERY}, with the issuer of the configuration",
        "ok       PKCE: S256",
        "ok       keys: 1 key for ES256",
        "ok       back-channel logout: not offered by the provider; sessions are checked by "
        f"{KEY}.refresh",
        "ok       client: client_id and its secret are accepted",
        f"ok       redirect address: register {CALLBACK}",
    ]


async def test_the_request_with_an_invented_code_authenticates_the_client() -> None:
    world = working()
    await check_of(world).results()
    sent = world.calls.made[-1]
    assert (sent.method, sent.url) == ("POST", f"{ISSUER}/token")
    assert sent.basic == ("authgw", "top+secret")
    assert sent.fields["redirect_uri"] == CALLBACK
    assert sent.fields["code"].startswith("authgw-provider-check-")


async def test_a_client_key_is_verified_too() -> None:
    world = working(client_secret="", client_key=KEY_OF_CLIENT)
    assert (await found(world))["client"].text == "client_id and its key are accepted"
    assert "client_assertion" in world.calls.made[-1].fields


def status(path: str, code: int) -> Change:
    return lambda world: world.reply(path, ProviderResponse(code, b"{}"))


def away(path: str, note: str) -> Change:
    return lambda world: world.reply(path, ProviderUnavailableError(note=note))


def metadata(**changed: Any) -> Change:
    return lambda world: world.metadata.update(changed)


def token_error(error: str, code: int = 400) -> Change:
    return lambda world: world.reply("/token", as_json({"error": error}, code))


@pytest.mark.parametrize(
    ("change", "part", "texts"),
    [
        (away(DISCOVERY, "refused the connection"), "discovery", ("refused", f"{KEY}.issuer")),
        (
            away(DISCOVERY, f"has a certificate of an unknown authority: {KEY}.ca_file"),
            "discovery",
            (f"{KEY}.ca_file",),
        ),
        (status(DISCOVERY, 404), "discovery", ("404", f"{KEY}.issuer")),
        (metadata(issuer=f"{ISSUER}/"), "discovery", (f"'{ISSUER}/'", f"{KEY}.issuer")),
        (
            metadata(code_challenge_methods_supported=["plain"]),
            "discovery",
            ("S256", "code_challenge_methods_supported"),
        ),
        (status("/keys", 404), "keys", ("404",)),
        (lambda world: world.reply("/keys", as_json({"keys": []})), "keys", ("no usable key",)),
        (
            metadata(id_token_signing_alg_values_supported=["HS256"]),
            "keys",
            ("HS256", f"{KEY}.algorithms"),
        ),
        (
            token_error("invalid_client", 401),
            "client",
            ("invalid_client", f"{KEY}.client_id", f"{KEY}.client_secret_file"),
        ),
        (token_error("unauthorized_client", 401), "client", (f"{KEY}.client_secret_file",)),
        (token_error("unauthorized_client"), "client", ("permit the authorization code",)),
        (token_error("invalid_request"), "client", ("invalid_request", f"{KEY}.client_id")),
        (away("/token", "did not respond"), "client", ("did not respond",)),
        (
            metadata(token_endpoint_auth_methods_supported=["private_key_jwt"]),
            "client",
            (f"{KEY}.client_key_file",),
        ),
    ],
)
async def test_a_problem_names_the_key(change: Change, part: str, texts: tuple[str, ...]) -> None:
    world = working()
    change(world)
    result = (await found(world))[part]
    assert result.grade is Grade.PROBLEM
    for text in texts:
        assert text in result.text
    assert PROVIDER.client_secret not in result.text


async def test_a_key_of_another_algorithm_is_a_problem() -> None:
    result = (await found(working(algorithms=("RS256",))))["keys"]
    assert result.grade is Grade.PROBLEM
    assert f"{KEY}.algorithms" in result.text


@pytest.mark.parametrize(
    ("ahead", "grade", "text"),
    [
        (0.0, Grade.OK, "agrees"),
        (30.5, Grade.WARNING, "30 s ahead of the provider's"),
        (-90.5, Grade.PROBLEM, f"90 s behind the provider's, more than {KEY}.skew (60 s)"),
    ],
)
async def test_the_clock_is_compared_with_skew(ahead: float, grade: Grade, text: str) -> None:
    world = working()
    document = as_json(world.metadata)
    date = formatdate(NOW - ahead, usegmt=True)
    world.reply(DISCOVERY, replace(document, date=date))
    result = (await found(world))["clock"]
    assert result.grade is grade
    assert text in result.text


async def test_an_invalid_date_is_left_aside() -> None:
    world = working()
    world.reply(DISCOVERY, replace(as_json(world.metadata), date="yesterday"))
    assert "clock" not in await found(world)


async def test_a_code_that_the_provider_accepts_is_a_warning() -> None:
    world = working()
    world.reply("/token", as_json({"access_token": "x", "token_type": "Bearer"}))
    assert (await found(world))["client"].grade is Grade.WARNING


async def test_a_logout_at_a_provider_without_its_page_is_a_problem() -> None:
    world = working(logs_out=True)
    assert (await found(world))["address after a logout"].text == (
        "register https://auth.example.com/login"
    )
    world.metadata["end_session_endpoint"] = None
    result = (await found(world))["logout at the provider"]
    assert (result.grade, f"{KEY}.logout: local" in result.text) == (Grade.PROBLEM, True)


async def test_the_address_for_logouts_by_the_provider_is_printed() -> None:
    world = working()
    world.metadata["backchannel_logout_supported"] = True
    assert (await found(world))["back-channel logout"].text == (
        "register https://auth.example.com/login/oidc/company/backchannel"
    )


async def test_every_login_page_has_a_redirect_address() -> None:
    check = check_of(working(), SITE, site("https://home.example.org:8443/sso/login"))
    texts = [result.text for result in await check.results() if "redirect" in result.part]
    assert texts == [
        f"register {CALLBACK}",
        "register https://home.example.org:8443/sso/login/oidc/company/callback",
    ]


@pytest.mark.parametrize(
    ("error", "grade", "text"),
    [
        ("bad_verification_code", Grade.OK, "accepted"),
        ("incorrect_client_credentials", Grade.PROBLEM, "login.providers.github.client_id"),
    ],
)
async def test_github_has_no_documents(error: str, grade: Grade, text: str) -> None:
    github = replace(PROVIDER, name="github", kind="github", issuer=GITHUB_ISSUER)
    calls = FakeCalls({"https://github.com/login/oauth/access_token": as_json({"error": error})})
    check = ProviderCheck(github, (SITE,), calls, lambda: NOW)
    client, redirect = await check.results()
    assert (client.part, client.grade, text in client.text) == ("client", grade, True)
    assert redirect.text == "register https://auth.example.com/login/oidc/github/callback"
    assert await check.documents() == []
