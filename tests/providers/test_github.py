"""Logins with GitHub, beside another provider: OAuth 2.0 with PKCE, and GitHub's API."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientResponse

from tests.support.clocks import MovableClock
from tests.support.gateway import MakeGateway
from tests.support.github_lookalike import (
    CLIENT_ID,
    CLIENT_SECRET,
    GithubLookalike,
    github_lookalike,
)
from tests.support.hostile_provider import HostileProvider
from tests.support.hostile_scene import HostileScene, hostile_scene
from tests.support.login_scene import APP
from tests.support.processes import ISSUED

START = "/login/oidc/github"
ID = "583231"


@pytest.fixture
async def github() -> AsyncIterator[GithubLookalike]:
    async with github_lookalike() as made:
        yield made


def entry(folder: Path, github: GithubLookalike, **keys: Any) -> dict[str, Any]:
    secret = folder / "github-secret"
    secret.write_text(f"{CLIENT_SECRET}\n")
    secret.chmod(0o600)
    ISSUED.add(CLIENT_SECRET)
    return {
        "type": "github",
        "issuer": github.url,
        "client_id": CLIENT_ID,
        "client_secret_file": str(secret),
        "accept": "everyone",
        **keys,
    }


async def scene_of(
    make_gateway: MakeGateway, op: HostileProvider, github: GithubLookalike, **keys: Any
) -> HostileScene:
    others = {"github": entry(make_gateway.folder, github, **keys)}
    return await hostile_scene(make_gateway, op, others=others)


async def log_in(scene: HostileScene, rd: str = APP) -> ClientResponse:
    return await scene.back(await scene.at_provider(await scene.start(rd, START)))


async def header(scene: HostileScene, name: str) -> str:
    answer = await scene.jar.check()
    assert answer.status == 200, answer.headers
    return str(answer.headers.get(name, ""))


async def test_an_account_is_its_number_with_verified_mail_and_groups(
    make_gateway: MakeGateway, op: HostileProvider, github: GithubLookalike
) -> None:
    scene = await scene_of(make_gateway, op, github)
    response = await log_in(scene)
    assert (response.status, response.headers["Location"]) == (303, APP)
    assert await header(scene, "Remote-User") == f"github:{ID}"
    assert await header(scene, "Remote-Email") == "octocat@example.com"
    assert await header(scene, "Remote-Name") == "The Octocat"
    groups = (await header(scene, "Remote-Groups")).split(",")
    assert sorted(groups) == ["github:org:acme", "github:team:acme/writers"]


async def test_a_login_name_that_another_account_took_over_is_another_user(
    make_gateway: MakeGateway, op: HostileProvider, github: GithubLookalike
) -> None:
    scene = await scene_of(make_gateway, op, github, subject="login", bind="first")
    assert (await log_in(scene)).status == 303
    assert await header(scene, "Remote-User") == "github:octocat"
    scene.jar.cookies.clear()
    github.user["id"] = 1
    response = await log_in(scene)
    assert response.status == 403
    assert scene.last.cause == "name_bound"
    assert not scene.is_logged_in()


@pytest.mark.parametrize("page", [100, 300])
async def test_all_pages_of_teams_are_read(
    make_gateway: MakeGateway, op: HostileProvider, github: GithubLookalike, page: int
) -> None:
    github.teams = [("acme", f"t{number}") for number in range(150)]
    github.page = page
    keys = {"groups": {"map": {"team:acme/t149": "admins"}}}
    scene = await scene_of(make_gateway, op, github, **keys)
    assert (await log_in(scene)).status == 303
    assert await header(scene, "Remote-Groups") == "admins"
    assert (await scene.jar.check("https://app.example.com/admin/")).status == 200


async def test_accept_reads_organisations(
    make_gateway: MakeGateway, op: HostileProvider, github: GithubLookalike
) -> None:
    accept = {"groups": ["org:example"]}
    scene = await scene_of(make_gateway, op, github, accept=accept)
    response = await log_in(scene)
    assert (response.status, scene.last.cause) == (403, "account_not_accepted")
    github.organisations.append("example")
    assert (await log_in(scene)).status == 303


UNVERIFIED: list[list[dict[str, Any]]] = [
    [],
    [{"email": "octocat@example.com", "verified": False, "primary": True}],
    [{"email": "octocat@example.com", "verified": True, "primary": False}],
    [{"email": "octocat@example.com", "verified": "true", "primary": True}],
]


@pytest.mark.parametrize("emails", UNVERIFIED, ids=str)
async def test_only_the_primary_verified_address_counts(
    make_gateway: MakeGateway,
    op: HostileProvider,
    github: GithubLookalike,
    emails: list[dict[str, Any]],
) -> None:
    github.emails = list(emails)
    # The profile of the account has any address that its owner typed.
    github.user["email"] = "boss@example.com"
    scene = await scene_of(make_gateway, op, github)
    assert (await log_in(scene)).status == 303
    assert await header(scene, "Remote-Email") == ""


@pytest.mark.parametrize(
    "path",
    ["/login/oauth/access_token", "/api/v3/user", "/api/v3/user/emails", "/api/v3/user/teams"],
)
async def test_an_api_that_fails_opens_nothing(
    make_gateway: MakeGateway, op: HostileProvider, github: GithubLookalike, path: str
) -> None:
    github.refused[path] = 500
    scene = await scene_of(make_gateway, op, github)
    response = await log_in(scene)
    assert response.status == 503
    assert response.headers["X-Authgw-Reason"] == "provider_unavailable"
    assert not scene.is_logged_in()


async def test_a_code_of_another_browser_is_refused(
    make_gateway: MakeGateway, op: HostileProvider, github: GithubLookalike
) -> None:
    """GitHub sends no nonce and no `iss`: PKCE alone binds the code to the flow."""
    scene = await scene_of(make_gateway, op, github)
    first = await scene.at_provider(await scene.start(path=START))
    second = await scene.at_provider(await scene.start(path=START))
    codes = list(github.codes)
    response = await scene.back(second.replace(codes[1], codes[0]))
    assert first != second
    assert (response.status, scene.last.cause) == (400, "provider_grant")
    assert not scene.is_logged_in()


async def test_a_session_ends_after_the_configured_time(
    make_gateway: MakeGateway, op: HostileProvider, github: GithubLookalike
) -> None:
    others = {"github": entry(make_gateway.folder, github, session="1h")}
    clock = MovableClock()
    scene = await hostile_scene(make_gateway, op, others=others, clock=clock)
    assert (await log_in(scene)).status == 303
    scene.move(clock, 3_700)
    answer = await scene.jar.check()
    assert answer.headers["X-Authgw-Reason"] in ("session_ended", "token_expired")


async def test_the_login_page_has_a_button_for_each_provider_and_the_form(
    make_gateway: MakeGateway, op: HostileProvider, github: GithubLookalike
) -> None:
    scene = await scene_of(make_gateway, op, github, label="GitHub")
    await scene.jar.get("/login")
    for text in ("Example Ltd</bdi>", "GitHub</bdi>", START, 'name="password"'):
        assert text in scene.jar.text
    assert (await scene.jar.log_in("bob")).status == 303
