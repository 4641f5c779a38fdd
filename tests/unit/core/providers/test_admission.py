"""Admission: linked accounts, conditions of `accept`, addresses, two factors."""

from dataclasses import replace
from typing import Any

import pytest

from authgw.core.providers.admission import admit, email_of, has_factor
from authgw.core.providers.model import (
    Accept,
    Admitted,
    FactorClaims,
    GroupMapping,
    Provider,
    ProviderClaims,
)
from authgw.core.users import link_mark
from tests.support.accounts import (
    BY_NAME,
    EVERYONE,
    LINKED,
    ME,
    NOBODY,
    SUB,
    Accounts,
    a_provider,
    a_user,
    account,
    refusal,
    verified,
)

GOOGLE = "https://accounts.google.com"


def test_an_account_by_its_sub() -> None:
    claims = replace(
        verified("Ann@example.com", name="Ann"), groups=("admins", "Domain Users"), amr=("mfa",)
    )
    provider = a_provider(groups=GroupMapping(prefix="company:"))
    assert admit(provider, claims, NOBODY) == Admitted(
        f"company:{SUB}",
        "oidc:company",
        ("company:admins",),
        "Ann@example.com",
        "Ann",
        has_factor=True,
        dropped_groups=("Domain Users",),
    )


def test_a_linked_account_is_its_user() -> None:
    user = a_user("alice", epoch=7)
    users = Accounts({"alice": user}, {ME: "alice"})
    # Neither the groups nor the address of the provider count, and `accept` does not matter.
    claims = replace(verified("evil@example.com"), groups=("admins",), needs_graph=True)
    assert admit(a_provider(LINKED, subject="email"), claims, users) == Admitted(
        "alice",
        "users",
        ("staff",),
        "alice@example.com",
        "Alice",
        mark=link_mark(*ME, 7),
    )
    bare = Accounts({"alice": a_user("alice", profile={})}, {ME: "alice"})
    assert admit(a_provider(), replace(claims, amr=("mfa",)), bare) == Admitted(
        "alice", "users", ("staff",), "", "", mark=link_mark(*ME, 0), has_factor=True
    )


@pytest.mark.parametrize(
    ("accept", "claims", "is_accepted"),
    [
        (LINKED, verified("a@example.com", hd="example.com", tid="t"), False),
        (EVERYONE, account(), True),
        (Accept(domains=frozenset({"example.com"})), verified("a@EXAMPLE.com"), True),
        (Accept(domains=frozenset({"example.com"})), account(email="a@example.com"), False),
        (Accept(domains=frozenset({"example.com"})), verified("a@sub.example.com"), False),
        (Accept(domains=frozenset({"example.com"})), verified("a@notexample.com"), False),
        (
            Accept(domains=frozenset({"example.com"})),
            verified("a@evil.com", hd="example.com"),
            False,
        ),
        (Accept(domains=frozenset({"example.com"})), account(), False),
        (Accept(tenant="t1"), account(tid="t1"), True),
        (Accept(tenant="t1"), account(tid="t2"), False),
        (Accept(tenant="t1"), account(tid=["t1"]), False),
        (Accept(tenant="t1"), account(), False),
        (Accept(groups=frozenset({"staff"})), replace(account(), groups=("staff", "x")), True),
        (Accept(groups=frozenset({"staff"})), replace(account(), groups=("Staff",)), False),
        (Accept(groups=frozenset({"staff"})), account(), False),
        (Accept(tenant="t1", groups=frozenset({"staff"})), account(tid="t1"), True),
    ],
)
def test_accept_is_a_union_of_conditions(
    accept: Accept, claims: ProviderClaims, is_accepted: bool
) -> None:
    if is_accepted:
        assert admit(a_provider(accept), claims, NOBODY).sub == f"company:{SUB}"
    else:
        assert refusal(a_provider(accept), claims) == "account_not_accepted"


@pytest.mark.parametrize(
    ("values", "is_accepted"),
    [
        ({"hd": "example.com"}, True),
        ({"hd": "Example.com"}, True),
        ({"hd": "evil.com", "email": "a@example.com"}, False),
        # A private account that was opened with an address of the domain.
        ({"email": "a@example.com"}, False),
        ({"hd": ["example.com"]}, False),
        ({"hd": ""}, False),
    ],
)
def test_domains_of_google_are_those_of_hd(values: dict[str, Any], is_accepted: bool) -> None:
    provider = a_provider(Accept(domains=frozenset({"example.com"})), issuer=GOOGLE)
    claims = account(issuer=GOOGLE, email_verified=True, **values)
    if is_accepted:
        admit(provider, claims, NOBODY)
    else:
        assert refusal(provider, claims) == "account_not_accepted"


def test_a_binding_by_the_operator_is_a_link() -> None:
    users = Accounts(bindings={"company:bob": ME})
    staff = Accept(groups=frozenset({"staff"}))
    for accept in (LINKED, staff):
        listed = a_provider(accept, subject="preferred_username")
        assert admit(listed, account(), users).sub == "company:bob"
    # The first login made the binding, because the account was in the group.
    assert refusal(replace(BY_NAME, accept=staff), account(), users) == "account_not_accepted"
    assert admit(replace(BY_NAME, accept=LINKED), account(), users).sub == "company:bob"


@pytest.mark.parametrize(
    ("provider", "claims", "email"),
    [
        (a_provider(), verified("Bob@example.com"), "Bob@example.com"),
        (a_provider(), account(email="bob@example.com"), ""),
        (a_provider(), account(email="bob@example.com", email_verified="true"), ""),
        (a_provider(), verified("a@b@example.com"), ""),
        (a_provider(), account(email_verified=True), ""),
        (a_provider(trusts_email=True), account(email="bob@example.com"), "bob@example.com"),
        (a_provider(trusts_email=True), account(email="a@b@example.com"), ""),
        (
            a_provider(Accept(domains=frozenset({"example.com"}))),
            verified("bob@Example.com"),
            "bob@Example.com",
        ),
        (a_provider(Accept(domains=frozenset({"example.com"}))), verified("bob@other.com"), ""),
        (
            a_provider(Accept(domains=frozenset({"example.com"})), trusts_email=True),
            account(email="bob@other.com"),
            "bob@other.com",
        ),
    ],
)
def test_apps_receive_only_verified_addresses(
    provider: Provider, claims: ProviderClaims, email: str
) -> None:
    assert email_of(provider, claims) == email


def test_a_name_that_is_not_safe_is_left_out() -> None:
    for name in (7, "a\nb", "x" * 256, None):
        assert admit(a_provider(), account(name=name), NOBODY).name == ""


@pytest.mark.parametrize(
    ("factor", "amr", "acr", "expected"),
    [
        (FactorClaims(), ("pwd", "mfa"), "", True),
        (FactorClaims(), ("mfa",), "", True),
        (FactorClaims(), ("pwd", "otp"), "", False),
        (FactorClaims(), ("hwk",), "", False),
        (FactorClaims(), (), "", False),
        (FactorClaims(), (), "mfa", False),
        (FactorClaims(amr=frozenset({"hwk", "otp"})), ("pwd", "hwk"), "", True),
        (FactorClaims(amr=frozenset({"hwk", "otp"})), ("otp",), "", True),
        # A key alone is a single factor, also if the operator lists it.
        (FactorClaims(amr=frozenset({"hwk"})), ("hwk",), "", False),
        (FactorClaims(amr=frozenset({"swk"})), ("swk", "user"), "", False),
        (FactorClaims(acr=frozenset({"phr"})), (), "phr", True),
        (FactorClaims(acr=frozenset({"phr"})), ("mfa",), "0", True),
        (FactorClaims(frozenset(), frozenset({"phr"})), ("mfa",), "0", False),
        (FactorClaims(frozenset(), frozenset()), ("mfa",), "", False),
    ],
)
def test_two_factors_by_amr_or_acr(
    factor: FactorClaims, amr: tuple[str, ...], acr: str, expected: bool
) -> None:
    claims = replace(account(), amr=amr, acr=acr)
    assert has_factor(a_provider(second_factor=factor), claims) is expected


def test_groups_that_were_left_out_refuse_the_login() -> None:
    assert refusal(a_provider(), replace(account(), needs_graph=True)) == "groups_overage"


def test_too_many_groups_refuse_the_login() -> None:
    groups = tuple(f"group-{number:04}" for number in range(5000))
    provider = a_provider(groups=GroupMapping(prefix="company:"))
    assert refusal(provider, replace(account(), groups=groups)) == "groups_size"


@pytest.mark.parametrize("name", ["company:ann", "company:ANN"])
def test_a_bound_name_belongs_to_its_account_also_if_names_are_by_sub_now(name: str) -> None:
    """Whoever got the name by another claim keeps it after a change of `subject`."""
    taken = Accounts(bindings={name: (ME[0], "another")})
    assert refusal(a_provider(EVERYONE), account("ann"), taken) == "name_bound"
    own = Accounts(bindings={name: (ME[0], "ann")})
    assert admit(a_provider(EVERYONE), account("ann"), own).sub == "company:ann"


@pytest.mark.parametrize("colon", [":", "\N{FULLWIDTH COLON}", "\N{SMALL COLON}"])
@pytest.mark.parametrize("subject", ["sub", "nick"])
def test_a_plain_name_has_nothing_that_looks_like_a_prefix(colon: str, subject: str) -> None:
    """Programs normalise it to a name of another provider or of a service."""
    name = f"partners{colon}bob"
    provider = a_provider(EVERYONE, subject=subject, plain_names=True, binds_first=True)
    assert refusal(provider, account(name, nick=name)) == "name_reserved"
