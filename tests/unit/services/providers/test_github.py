"""Logins with GitHub, at prepared responses of its API."""

from dataclasses import replace
from typing import Any

import pytest

from authgw.core.errors import ProviderUnavailableError
from authgw.core.providers.model import GITHUB_ISSUER, Accept, Provider, ProviderClaims
from authgw.services.providers.calls import ProviderResponse
from authgw.services.providers.github import GitHub
from authgw.services.providers.tokens import GrantRefusedError
from tests.support.fake_provider import FakeCalls, as_json

PROVIDER = Provider(
    name="gh",
    kind="github",
    issuer=GITHUB_ISSUER,
    client_id="id1",
    accept=Accept(everyone=True),
    client_secret="s1",
    scopes=("read:user", "user:email", "read:org"),
)
API = "https://api.github.com"
TOKEN = "https://github.com/login/oauth/access_token"
ADDRESSES = [
    {"email": "old@example.com", "primary": False, "verified": True},
    {"email": "octo@example.com", "primary": True, "verified": True},
]
TEAM = {"slug": "ops", "organization": {"login": "acme"}}


def replies(**changed: Any) -> dict[str, Any]:
    found = {
        "user": {"id": 583231, "login": "octocat", "name": "The Octocat"},
        "emails": ADDRESSES,
        "orgs": [{"login": "acme"}],
        "teams": [TEAM],
        **changed,
    }
    page = "?per_page=100&page=1"
    return {
        TOKEN: as_json({"access_token": "gho_1", "token_type": "bearer", "scope": "x"}),
        f"{API}/user": as_json(found["user"]),
        f"{API}/user/emails{page}": as_json(found["emails"]),
        f"{API}/user/orgs{page}": as_json(found["orgs"]),
        f"{API}/user/teams{page}": as_json(found["teams"]),
    }


async def claims(calls: FakeCalls, provider: Provider = PROVIDER) -> ProviderClaims:
    return await GitHub(provider, calls).claims("C", redirect_uri="https://a/cb", verifier="V")


async def test_the_account_is_the_numeric_id() -> None:
    calls = FakeCalls(replies())
    found = await claims(calls)
    assert (found.issuer, found.account) == (GITHUB_ISSUER, "583231")
    assert found.values == {
        "sub": "583231",
        "login": "octocat",
        "preferred_username": "octocat",
        "name": "The Octocat",
        "email": "octo@example.com",
        "email_verified": True,
        "groups": ["org:acme", "team:acme/ops"],
    }
    assert (found.groups, found.groups_from) == (("org:acme", "team:acme/ops"), "userinfo")
    assert (found.auth_time, found.amr, found.idp_sid) == (None, (), "")


async def test_the_code_is_sent_with_its_verifier_and_the_token_to_the_api_only() -> None:
    calls = FakeCalls(replies())
    await claims(calls)
    token, *others = calls.made
    assert token.fields == {
        "client_id": "id1",
        "client_secret": "s1",
        "code": "C",
        "redirect_uri": "https://a/cb",
        "code_verifier": "V",
    }
    assert {(call.bearer, call.headers["X-GitHub-Api-Version"]) for call in others} == {
        ("gho_1", "2022-11-28")
    }


@pytest.mark.parametrize(
    "entry",
    [
        {"email": "a@example.com", "primary": True, "verified": False},
        {"email": "a@example.com", "primary": False, "verified": True},
        {"email": "a@example.com", "primary": "true", "verified": True},
        {"email": "a@example.com", "primary": True, "verified": "true"},
    ],
)
async def test_only_the_primary_verified_address_counts(entry: dict[str, Any]) -> None:
    found = await claims(FakeCalls(replies(emails=[entry])))
    assert "email" not in found.values
    assert "email_verified" not in found.values


async def test_without_the_scope_no_groups_are_read() -> None:
    calls = FakeCalls(replies())
    found = await claims(calls, replace(PROVIDER, scopes=("read:user", "user:email")))
    assert (found.groups, found.groups_from) == (None, "")
    assert not any("orgs" in url or "teams" in url for url in calls.urls())


async def test_a_user_without_groups_has_no_groups() -> None:
    found = await claims(FakeCalls(replies(orgs=[], teams=[])))
    assert (found.groups, found.groups_from) == ((), "userinfo")


async def test_all_pages_are_read_up_to_a_bound() -> None:
    full = [{"login": f"o{number}"} for number in range(100)]
    calls = FakeCalls(replies(orgs=full))
    calls.replies[f"{API}/user/orgs?per_page=100&page=2"] = as_json([{"login": "last"}])
    found = await claims(calls)
    assert found.groups is not None
    assert (len(found.groups), found.groups[100]) == (102, "org:last")
    for page in range(2, 12):
        calls.replies[f"{API}/user/orgs?per_page=100&page={page}"] = as_json(full)
    with pytest.raises(ProviderUnavailableError) as refused:
        await claims(calls)
    assert "/user/orgs has more than 1000 entries" in refused.value.note
    assert f"{API}/user/orgs?per_page=100&page=11" not in calls.urls()


async def test_a_server_of_its_own_has_its_api_below_its_host() -> None:
    calls = FakeCalls()
    provider = replace(PROVIDER, issuer="https://ghe.example.com", scopes=())
    calls.replies = {
        "https://ghe.example.com/login/oauth/access_token": as_json({"access_token": "t"}),
        "https://ghe.example.com/api/v3/user": as_json({"id": 1, "login": "a", "name": None}),
        "https://ghe.example.com/api/v3/user/emails?per_page=100&page=1": as_json([]),
    }
    found = await claims(calls, provider)
    assert (found.issuer, found.account, found.values["name"]) == (provider.issuer, "1", "a")
    metadata = GitHub(provider, calls).metadata
    assert metadata.authorization_endpoint == "https://ghe.example.com/login/oauth/authorize"


ORGS = f"{API}/user/orgs?per_page=100&page=1"
TEAMS = f"{API}/user/teams?per_page=100&page=1"
WRONG_SECRET = {"error": "incorrect_client_credentials"}
NO_ORGANIZATION = [{"slug": "a", "organization": 1}]


@pytest.mark.parametrize(
    ("url", "reply", "part"),
    [
        (
            TOKEN,
            as_json(WRONG_SECRET),
            "client_secret_file",
        ),
        (TOKEN, ProviderResponse(200, b"[]"), "not a JSON object"),
        (TOKEN, as_json({"access_token": "a\n"}), "check the client"),
        (f"{API}/user", as_json({"id": True, "login": "x"}), "`id`"),
        (f"{API}/user", as_json({"id": "1", "login": "x"}), "`id`"),
        (f"{API}/user", as_json({"id": 1}), "`login`"),
        (f"{API}/user", as_json({}, 403), "/user responded with status 403"),
        (ORGS, as_json({}), "a list"),
        (ORGS, as_json([1]), "objects"),
        (ORGS, ProviderResponse(200, b'[],"a":1'), "a list"),
        (ORGS, as_json([{}]), "`login`"),
        (TEAMS, as_json(NO_ORGANIZATION), "`login`"),
    ],
)
async def test_unusable_responses_are_named(url: str, reply: ProviderResponse, part: str) -> None:
    calls = FakeCalls(replies())
    calls.replies[url] = reply
    with pytest.raises(ProviderUnavailableError) as refused:
        await claims(calls)
    assert part in refused.value.note
    assert "gho_1" not in refused.value.note


async def test_a_code_that_github_refuses_is_another_login() -> None:
    calls = FakeCalls(replies() | {TOKEN: as_json({"error": "bad_verification_code"})})
    with pytest.raises(GrantRefusedError):
        await claims(calls)
