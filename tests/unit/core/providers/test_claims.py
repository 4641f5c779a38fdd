"""Claims of accounts: precedence of the ID token, nested groups, groups that were left out."""

from dataclasses import replace
from typing import Any

import pytest

from authgw.core.errors import FlowInvalidError, ProviderRefusedError, ProviderUnavailableError
from authgw.core.providers.claims import (
    claims_of_id_token,
    groups_in,
    merge_userinfo,
    missing_claims,
    parse_userinfo,
    with_groups,
)
from authgw.core.providers.id_token import ProviderIdToken
from authgw.core.providers.model import GroupMapping, Provider, ProviderClaims
from tests.support.builders import NOW
from tests.support.provider_tokens import ISSUER, PROVIDER

SUB = "248289761001"
OVERAGE: dict[str, Any] = {
    "_claim_names": {"groups": "src1"},
    "_claim_sources": {"src1": {"endpoint": "https://evil.example/collect"}},
}


def of(provider: Provider = PROVIDER, **claims: Any) -> ProviderClaims:
    return claims_of_id_token(ProviderIdToken(SUB, {"sub": SUB, **claims}, NOW), provider)


def merged(claims: ProviderClaims, **userinfo: Any) -> ProviderClaims:
    return merge_userinfo(claims, {"sub": SUB, **userinfo}, PROVIDER)


def test_claims_of_an_id_token() -> None:
    token = ProviderIdToken(SUB, {"groups": ["a"]}, NOW, NOW - 5, ("mfa",), "2", "s1")
    assert claims_of_id_token(token, PROVIDER) == ProviderClaims(
        ISSUER,
        SUB,
        {"groups": ["a"]},
        ("a",),
        "id_token",
        NOW - 5,
        ("mfa",),
        "2",
        "s1",
    )
    assert (of().groups, of().groups_from, of().needs_graph) == (None, "", False)


def test_user_information_fills_only_what_is_missing() -> None:
    found = merged(of(name="Ann", email=None), name="Eve", email="a@example.com", locale="de")
    assert found.values == {
        "sub": SUB,
        "name": "Ann",
        "email": "a@example.com",
        "locale": "de",
    }


@pytest.mark.parametrize("other", ["another", None, 248289761001, ...])
def test_user_information_of_another_account_is_refused(other: Any) -> None:
    userinfo = {} if other is ... else {"sub": other}
    with pytest.raises(FlowInvalidError) as caught:
        merge_userinfo(of(), {**userinfo, "name": "Eve"}, PROVIDER)
    assert caught.value.cause == "provider_userinfo"


@pytest.mark.parametrize(
    "name",
    ["iss", "aud", "azp", "exp", "nonce", "at_hash", "sid", "auth_time", "amr", "acr", "events"],
)
def test_user_information_states_nothing_about_the_login(name: str) -> None:
    found = merged(of(), **{name: "forged"})
    assert found == of()


@pytest.mark.parametrize(
    ("signed", "userinfo", "email", "is_verified"),
    [
        ({}, {"email": "a@x.de", "email_verified": True}, "a@x.de", True),
        ({}, {"email": "a@x.de"}, "a@x.de", None),
        # The flag of an ID token without an address does not verify that of another response.
        ({"email_verified": True}, {"email": "a@x.de"}, "a@x.de", None),
        ({"email_verified": True}, {"email": "a@x.de", "email_verified": False}, "a@x.de", False),
        # Nor does the flag beside an address verify another address.
        ({"email": "b@x.de"}, {"email": "a@x.de", "email_verified": True}, "b@x.de", None),
        ({"email": "b@x.de"}, {"email_verified": True}, "b@x.de", None),
        ({"email": "a@x.de"}, {"email": "a@x.de", "email_verified": True}, "a@x.de", True),
        (
            {"email": "a@x.de", "email_verified": False},
            {"email": "a@x.de", "email_verified": True},
            "a@x.de",
            False,
        ),
        ({"email_verified": True}, {}, None, True),
    ],
)
def test_an_address_is_verified_only_by_the_flag_beside_it(
    signed: dict[str, Any], userinfo: dict[str, Any], email: str | None, is_verified: bool | None
) -> None:
    values = merged(of(**signed), **userinfo).values
    assert (values.get("email"), values.get("email_verified")) == (email, is_verified)


def test_groups_of_the_user_information() -> None:
    found = merged(of(), groups=["a"])
    assert (found.groups, found.groups_from) == (("a",), "userinfo")
    kept = merged(of(groups=[]), groups=["admins"])
    assert (kept.groups, kept.groups_from) == ((), "id_token")
    assert (merged(of()).groups, merged(of()).groups_from) == (None, "")


@pytest.mark.parametrize(
    ("claim", "values", "groups"),
    [
        ("groups", {"groups": ["a", "b"]}, ("a", "b")),
        ("groups", {"groups": "a"}, ("a",)),
        ("groups", {"groups": []}, ()),
        ("groups", {"groups": None}, None),
        ("groups", {}, None),
        ("realm_access.roles", {"realm_access": {"roles": ["a"]}}, ("a",)),
        (
            "realm_access.roles",
            {"realm_access.roles": ["b"], "realm_access": {"roles": ["a"]}},
            ("b",),
        ),
        ("realm_access.roles", {"realm_access": {}}, None),
        ("realm_access.roles", {"realm_access": ["roles"]}, None),
        ("realm_access.roles", {}, None),
        ("https://example.com/groups", {"https://example.com/groups": ["a"]}, ("a",)),
        ("a.b.c", {"a": {"b": {"c": "x"}}}, ("x",)),
    ],
)
def test_groups_by_the_path_of_a_claim(
    claim: str, values: dict[str, Any], groups: tuple[str, ...] | None
) -> None:
    assert groups_in(values, claim) == groups


MALFORMED_GROUPS = [7, True, {}, {"a": 1}, [1], ["a", None], ["a", ["b"]], [{"name": "a"}]]


@pytest.mark.parametrize("groups", MALFORMED_GROUPS)
def test_malformed_groups_are_refused(groups: Any) -> None:
    with pytest.raises(ProviderRefusedError) as caught:
        of(groups=groups)
    assert caught.value.cause == "groups_malformed"
    with pytest.raises(ProviderRefusedError) as caught:
        merged(of(), groups=groups)
    assert caught.value.cause == "groups_malformed"


@pytest.mark.parametrize("claims", [OVERAGE, {"hasgroups": True}, {"hasgroups": "true"}])
def test_groups_that_were_left_out_are_noticed(claims: dict[str, Any]) -> None:
    assert of(**claims).needs_graph
    assert merged(of(), **claims).needs_graph
    assert merged(of(**claims)).needs_graph
    found = with_groups(of(**claims), ["a"], "graph")
    assert (found.groups, found.groups_from, found.needs_graph) == (("a",), "graph", False)


@pytest.mark.parametrize(
    "claims",
    [
        {"hasgroups": False},
        {"hasgroups": [True]},
        {"_claim_names": {"address": "src1"}},
        {"_claim_names": "groups"},
        {**OVERAGE, "groups": ["a"]},
    ],
)
def test_other_members_leave_no_groups_out(claims: dict[str, Any]) -> None:
    assert not of(**claims).needs_graph
    assert not merged(of(**claims)).needs_graph


def test_groups_of_the_user_information_need_no_further_call() -> None:
    assert not merged(of(**OVERAGE), groups=["a"]).needs_graph


def test_claims_for_which_the_user_information_is_read() -> None:
    assert missing_claims(of(), PROVIDER) == ("name", "email", "email_verified", "groups")
    complete = of(name="Ann", email="a@example.com", email_verified=False, groups=[])
    assert missing_claims(complete, PROVIDER) == ()
    bare = replace(PROVIDER, scopes=("openid",), groups=GroupMapping("roles"))
    assert missing_claims(of(bare), bare) == ("roles",)
    by_email = replace(bare, subject="email")
    assert missing_claims(of(by_email, roles=[]), by_email) == ("email", "email_verified")
    by_claim = replace(bare, subject="upn")
    assert missing_claims(of(by_claim, roles=[]), by_claim) == ("upn",)


def test_user_information_is_strict_json() -> None:
    assert parse_userinfo(b'{"sub": "1"}') == {"sub": "1"}
    for raw in (b"", b"[]", b"eyJh.eyJz.sig", b'{"sub": "1", "sub": "2"}'):
        with pytest.raises(ProviderUnavailableError) as caught:
            parse_userinfo(raw)
        assert caught.value.cause == "provider_claims"
