"""Claims that take over an account, or more groups than the operator gave."""

from typing import Any

import pytest

from tests.support.gateway import MakeGateway
from tests.support.hostile_provider import (
    ACCOUNT,
    Claims,
    HostileProvider,
    Trap,
    hostile_provider,
)
from tests.support.hostile_scene import (
    HostileScene,
    case_name,
    hostile_scene,
    provider_keys,
    refused,
)

ONLY = {"domains": ["example.com"]}
BY_MAIL: list[tuple[Claims, str]] = [
    ({"email_verified": False}, "email_unverified"),
    ({"email_verified": None}, "email_unverified"),
    ({"email_verified": "true"}, "email_unverified"),
    ({"email": None}, "email_unverified"),
    ({"email": "ada@example.org@example.com"}, "email_unverified"),
    ({"email": "ada@example.com, eve@example.org"}, "email_unverified"),
    ({"email": "ada@example.org"}, "account_not_accepted"),
    ({"email": "ada@sub.example.com"}, "account_not_accepted"),
]


@pytest.mark.parametrize(("claims", "cause"), BY_MAIL, ids=case_name)
async def test_an_address_that_nobody_verified_is_no_name(
    make_gateway: MakeGateway, op: HostileProvider, claims: Claims, cause: str
) -> None:
    scene = await hostile_scene(make_gateway, op, subject="email", accept=ONLY, bind="first")
    op.claims = claims
    await refused(scene, await scene.log_in(), 403, "provider_refused", cause)


async def test_an_account_needs_what_accept_demands(
    make_gateway: MakeGateway, op: HostileProvider
) -> None:
    for accept in ("linked", {"groups": ["board"]}, {"tenant": "a tenant"}, ONLY):
        scene = await hostile_scene(make_gateway, op, accept=accept)
        op.claims = {"email": "ada@example.org"}
        response = await scene.log_in()
        await refused(scene, response, 403, "provider_refused", "account_not_accepted")


async def test_a_name_of_the_users_file_is_not_taken_over(
    make_gateway: MakeGateway, op: HostileProvider
) -> None:
    keys: dict[str, Any] = {"subject": "preferred_username", "names": "plain", "bind": "first"}
    for name in ("bob", "BOB", "\uff22\uff2f\uff22"):
        op.claims = {"preferred_username": name}
        scene = await hostile_scene(make_gateway, op, **keys)
        await refused(scene, await scene.log_in(), 403, "provider_refused", "name_is_user")


async def test_a_name_belongs_to_the_first_account(
    make_gateway: MakeGateway, op: HostileProvider
) -> None:
    scene = await hostile_scene(make_gateway, op, subject="preferred_username", bind="first")
    assert (await scene.log_in()).status == 303
    for name in ("ada", "Ada"):
        scene.jar.cookies.clear()
        op.claims = {"sub": "another account", "preferred_username": name}
        await refused(scene, await scene.log_in(), 403, "provider_refused", "name_bound")


async def test_the_same_address_at_two_providers_is_two_users(
    make_gateway: MakeGateway, op: HostileProvider
) -> None:
    async with hostile_provider() as other:
        others = {"other": provider_keys(make_gateway.folder, other)}
        scene = await hostile_scene(make_gateway, op, others=others)
        assert (await scene.log_in()).status == 303
        assert await user_of(scene) == f"company:{ACCOUNT}"
        scene.jar.cookies.clear()
        started = await scene.start(path="/login/oidc/other")
        assert (await scene.back(await scene.at_provider(started))).status == 303
        assert await user_of(scene) == f"other:{ACCOUNT}"


async def user_of(scene: HostileScene, name: str = "Remote-User") -> str:
    answer = await scene.jar.check()
    assert answer.status == 200
    return str(answer.headers.get(name, ""))


async def test_an_unverified_address_reaches_no_app(
    make_gateway: MakeGateway, op: HostileProvider
) -> None:
    scene = await hostile_scene(make_gateway, op)
    assert (await scene.log_in()).status == 303
    assert await user_of(scene, "Remote-Email") == "ada@example.com"
    scene.jar.cookies.clear()
    op.claims = {"email_verified": None}
    assert (await scene.log_in()).status == 303
    assert await user_of(scene, "Remote-Email") == ""


async def test_a_provider_grants_no_group_that_the_operator_did_not_map(
    make_gateway: MakeGateway, op: HostileProvider
) -> None:
    op.claims = {"groups": ["admins", "kc-admins", "a,b", "c\r\nd"]}
    scene = await hostile_scene(make_gateway, op)
    assert (await scene.log_in()).status == 303
    assert await user_of(scene, "Remote-Groups") == "company:admins,company:kc-admins"
    answer = await scene.jar.check("https://app.example.com/admin/")
    assert answer.status == 403


async def test_a_mapped_group_opens_what_it_is_mapped_to(
    make_gateway: MakeGateway, op: HostileProvider
) -> None:
    op.claims = {"groups": ["kc-admins", "staff"]}
    scene = await hostile_scene(make_gateway, op, groups={"map": {"kc-admins": "admins"}})
    assert (await scene.log_in()).status == 303
    assert (await scene.jar.check("https://app.example.com/admin/")).status == 200
    assert await user_of(scene, "Remote-Groups") == "admins"


WRONG_GROUPS: list[tuple[Claims, str]] = [
    ({"groups": [f"group-{number}" for number in range(400)]}, "groups_size"),
    ({"groups": {"admins": True}}, "groups_malformed"),
    ({"groups": ["staff", 1]}, "groups_malformed"),
]


@pytest.mark.parametrize(("claims", "cause"), WRONG_GROUPS, ids=["400", "object", "number"])
async def test_wrong_groups_are_refused_with_a_cause(
    make_gateway: MakeGateway, op: HostileProvider, claims: Claims, cause: str
) -> None:
    scene = await hostile_scene(make_gateway, op)
    op.claims = claims
    await refused(scene, await scene.log_in(), 403, "provider_refused", cause)


async def test_groups_are_never_fetched_from_an_address_in_a_token(
    make_gateway: MakeGateway, op: HostileProvider, elsewhere: Trap
) -> None:
    """As Entra ID writes it for users of more than 200 groups (overage)."""
    scene = await hostile_scene(make_gateway, op)
    source = {"endpoint": f"{elsewhere.url}/getMemberObjects", "access_token": "x"}
    op.claims = {
        "groups": None,
        "_claim_names": {"groups": "src1"},
        "_claim_sources": {"src1": source},
    }
    await refused(scene, await scene.log_in(), 403, "provider_refused", "groups_overage")
    assert elsewhere.requests == []


USERINFO: list[tuple[Claims, str, int, str]] = [
    ({"sub": "another account"}, "flow_invalid", 400, "provider_userinfo"),
    ({"sub": None}, "flow_invalid", 400, "provider_userinfo"),
    ({"groups": "x" * 300}, "provider_refused", 403, "account_not_accepted"),
]


@pytest.mark.parametrize(("userinfo", "reason", "status", "cause"), USERINFO, ids=case_name)
async def test_user_information_of_another_account_is_refused(
    make_gateway: MakeGateway,
    op: HostileProvider,
    userinfo: Claims,
    reason: str,
    status: int,
    cause: str,
) -> None:
    op.claims = {"groups": None}
    scene = await hostile_scene(make_gateway, op, accept={"groups": ["staff"]})
    op.userinfo = {"groups": ["staff"], **userinfo}
    await refused(scene, await scene.log_in(), status, reason, cause)
    assert op.asked("/userinfo") == 1


@pytest.mark.parametrize(
    ("claims", "is_enough"),
    [
        ({"amr": ["pwd", "mfa"]}, True),
        ({"amr": ["pwd"]}, False),
        ({"amr": ["pwd", "hwk"]}, False),
        ({"acr": "two-factors"}, True),
        ({}, False),
    ],
    ids=case_name,
)
async def test_the_second_factor_of_a_provider_counts_as_configured(
    make_gateway: MakeGateway, op: HostileProvider, claims: dict[str, Any], is_enough: bool
) -> None:
    op.claims = claims
    factor = {"amr": ["mfa"], "acr": ["two-factors"]}
    scene = await hostile_scene(make_gateway, op, second_factor=factor)
    assert (await scene.log_in()).status == 303
    answer = await scene.jar.check("https://app.example.com/vault/")
    assert answer.status == (200 if is_enough else 403)
