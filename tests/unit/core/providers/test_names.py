"""Names of accounts: no claim that changes or repeats takes over the name of another account."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authgw.core.errors import ProviderRefusedError
from authgw.core.providers.admission import admit
from authgw.core.providers.model import Provider, ProviderClaims
from authgw.core.typed_text import comparison_key
from tests.support.accounts import (
    BY_EMAIL,
    BY_NAME,
    LINKED,
    ME,
    NOBODY,
    OTHER,
    PLAIN,
    SUB,
    Accounts,
    a_provider,
    a_user,
    account,
    refusal,
    verified,
)

# T64: who is known by the directory, and the cause for which the account is refused.
REFUSED: list[tuple[Provider, ProviderClaims, Accounts, str]] = [
    # Blocked accounts and names, before anything else.
    (
        a_provider(),
        account(),
        Accounts(blocked=frozenset({f"oidc:company/{SUB}"})),
        "account_blocked",
    ),
    (
        a_provider(),
        account(),
        Accounts(blocked=frozenset({f"name:company:{SUB}"})),
        "account_blocked",
    ),
    (
        a_provider(),
        account(),
        Accounts(
            {"alice": a_user("alice")}, {ME: "alice"}, blocked=frozenset({f"oidc:company/{SUB}"})
        ),
        "account_blocked",
    ),
    (
        a_provider(),
        account(),
        Accounts({"alice": a_user("alice")}, {ME: "alice"}, blocked=frozenset({"name:alice"})),
        "account_blocked",
    ),
    (
        PLAIN,
        account(preferred_username="bob"),
        Accounts(blocked=frozenset({"name:bob"})),
        "account_blocked",
    ),
    (
        PLAIN,
        account(),
        Accounts(bindings={"bob": ME}, blocked=frozenset({"name:bob"})),
        "account_blocked",
    ),
    # Also an account that has no usable name.
    (
        BY_NAME,
        account(),
        Accounts(blocked=frozenset({f"oidc:company/{SUB}"})),
        "account_blocked",
    ),
    # Disabled users.
    (
        a_provider(),
        account(),
        Accounts({"alice": a_user("alice", disabled=True)}, {ME: "alice"}),
        "disabled",
    ),
    # Names of users, in any spelling, whether the user logs in by password or elsewhere.
    (
        PLAIN,
        account(preferred_username="alice"),
        Accounts({"alice": a_user("alice")}),
        "name_is_user",
    ),
    (
        PLAIN,
        account(preferred_username="ALICE"),
        Accounts({"alice": a_user("alice")}),
        "name_is_user",
    ),
    (
        PLAIN,
        account(preferred_username="al\u200bice"),
        Accounts({"alice": a_user("alice")}),
        "name_is_user",
    ),
    (
        PLAIN,
        account(),
        Accounts({"alice": a_user("alice")}, bindings={"alice": ME}),
        "name_is_user",
    ),
    (
        replace(BY_EMAIL, plain_names=True),
        verified("alice@example.com"),
        Accounts({"alice@example.com": a_user("alice@example.com")}),
        "name_is_user",
    ),
    (
        a_provider(),
        account(),
        Accounts({f"company:{SUB}": a_user(f"company:{SUB}", source="oidc:other", account=SUB)}),
        "name_is_user",
    ),
    (
        a_provider(),
        account(),
        Accounts({f"company:{SUB}": a_user(f"company:{SUB}", source="oidc:company", account="7")}),
        "name_is_user",
    ),
    (
        a_provider(),
        account(),
        Accounts(
            {
                f"company:{SUB}": a_user(
                    f"company:{SUB}", source="oidc:company", account=SUB, disabled=True
                )
            }
        ),
        "disabled",
    ),
    # Names that are bound to another account, in any spelling, or to none.
    (a_provider(), account(), Accounts(bindings={f"company:{SUB}": OTHER}), "name_bound"),
    (
        BY_NAME,
        account(preferred_username="bob"),
        Accounts(bindings={"company:bob": OTHER}),
        "name_bound",
    ),
    (
        BY_NAME,
        account(preferred_username="BOB"),
        Accounts(bindings={"company:bob": OTHER}),
        "name_bound",
    ),
    (
        PLAIN,
        account(preferred_username="bob"),
        Accounts(bindings={"bob": ("https://other.example", SUB)}),
        "name_bound",
    ),
    (
        BY_EMAIL,
        verified("bob@example.com"),
        Accounts(bindings={"company:bob@example.com": OTHER}),
        "name_bound",
    ),
    (
        replace(BY_NAME, binds_first=False),
        account(preferred_username="bob"),
        NOBODY,
        "name_unbound",
    ),
    (replace(BY_EMAIL, binds_first=False), verified("bob@example.com"), NOBODY, "name_unbound"),
    # Names of other sources.
    (PLAIN, account(preferred_username="service:ci"), NOBODY, "name_reserved"),
    (PLAIN, account(preferred_username="google:1"), NOBODY, "name_reserved"),
    (PLAIN, account(preferred_username="company:1"), NOBODY, "name_reserved"),
    (replace(PLAIN, subject="sub"), account("client:x"), NOBODY, "name_reserved"),
    (BY_NAME, account(), Accounts(bindings={"bob": ME}), "account_other_name"),
    (BY_NAME, account(), Accounts(bindings={"service:ci": ME}), "account_other_name"),
    (PLAIN, account(), Accounts(bindings={"service:ci": ME}), "account_other_name"),
    # Values that cannot be a name.
    (BY_NAME, account(), NOBODY, "name_missing"),
    (BY_NAME, account(preferred_username=None), NOBODY, "name_missing"),
    (BY_NAME, account(preferred_username=7), NOBODY, "name_missing"),
    (BY_NAME, account(preferred_username=""), NOBODY, "name_missing"),
    (BY_NAME, account(preferred_username=["bob"]), NOBODY, "name_missing"),
    (BY_NAME, account(preferred_username=" bob"), NOBODY, "name_missing"),
    (BY_NAME, account(preferred_username="a\r\nRemote-User: b"), NOBODY, "name_missing"),
    (BY_NAME, account(preferred_username="x" * 248), NOBODY, "name_missing"),
    (a_provider(), account("x" * 255), NOBODY, "name_missing"),
    # Addresses that are not verified, or not an address.
    (BY_EMAIL, account(), NOBODY, "email_unverified"),
    (BY_EMAIL, account(email="bob@example.com"), NOBODY, "email_unverified"),
    *(
        (
            BY_EMAIL,
            account(email="bob@example.com", email_verified=flag),
            NOBODY,
            "email_unverified",
        )
        for flag in (False, None, "true", "True", 1, ["true"])
    ),
    *(
        (BY_EMAIL, verified(email), NOBODY, "email_unverified")
        for email in (
            "",
            "bob",
            "@example.com",
            "bob@",
            "a@b@example.com",
            "bob@example.com@",
            "bob @example.com",
            "bob@exam ple.com",
            "<bob@example.com>",
            "bob@example.com,x",
            '"a@b"@example.com',
            "bob@example.com\nX: y",
            "x" * 250 + "@example.com",
        )
    ),
    (BY_EMAIL, account(email=["bob@example.com"], email_verified=True), NOBODY, "email_unverified"),
    # `accept`.
    (a_provider(LINKED), account(), NOBODY, "account_not_accepted"),
    (
        replace(BY_NAME, accept=LINKED),
        account(preferred_username="bob"),
        NOBODY,
        "account_not_accepted",
    ),
]


@pytest.mark.parametrize(("provider", "claims", "users", "expected"), REFUSED)
def test_each_refusal_has_its_cause(
    provider: Provider, claims: ProviderClaims, users: Accounts, expected: str
) -> None:
    assert refusal(provider, claims, users) == expected


@pytest.mark.parametrize(
    ("provider", "claims", "users", "sub", "binds"),
    [
        (BY_NAME, account(preferred_username="bob"), NOBODY, "company:bob", True),
        (PLAIN, account(preferred_username="bob"), NOBODY, "bob", True),
        (PLAIN, account(preferred_username="Jose\u0301"), NOBODY, "Jos\u00e9", True),
        (BY_NAME, account(preferred_username="x" * 247), NOBODY, "company:" + "x" * 247, True),
        (BY_EMAIL, verified("Bob@Example.COM"), NOBODY, "company:bob@example.com", True),
        # A bound account keeps its name when its claims change, vanish or become another's.
        (
            BY_NAME,
            account(preferred_username="eve"),
            Accounts(bindings={"company:bob": ME}),
            "company:bob",
            False,
        ),
        (
            BY_EMAIL,
            account(email="eve@example.com"),
            Accounts(bindings={"company:b@x.de": ME}),
            "company:b@x.de",
            False,
        ),
        (
            PLAIN,
            account(preferred_username="alice"),
            Accounts({"alice": a_user("alice")}, bindings={"bob": ME}),
            "bob",
            False,
        ),
        (PLAIN, account(), Accounts(bindings={"company:bob": ME}), "company:bob", False),
        # A name of the account's own `sub` needs no binding.
        (a_provider(), account(), NOBODY, f"company:{SUB}", False),
        (a_provider(plain_names=True), account(), NOBODY, SUB, False),
        (a_provider(), account(), Accounts(bindings={"company:bob": ME}), f"company:{SUB}", False),
        # An entry of this account holds its second factors.
        (
            a_provider(),
            account(),
            Accounts(
                {f"company:{SUB}": a_user(f"company:{SUB}", source="oidc:company", account=SUB)}
            ),
            f"company:{SUB}",
            False,
        ),
    ],
)
def test_names_and_bindings(
    provider: Provider, claims: ProviderClaims, users: Accounts, sub: str, binds: bool
) -> None:
    found = admit(provider, claims, users)
    assert (found.sub, found.source, found.mark, found.binds) == (sub, "oidc:company", "", binds)


def test_the_same_address_at_two_providers_is_two_accounts() -> None:
    other = replace(BY_EMAIL, name="other", issuer="https://other.example")
    mine = admit(BY_EMAIL, verified("bob@example.com"), NOBODY)
    users = Accounts(bindings={mine.sub: ME})
    theirs = admit(other, verified("bob@example.com", issuer=other.issuer), users)
    assert (mine.sub, theirs.sub) == ("company:bob@example.com", "other:bob@example.com")
    # If both gave bare names, the first account would keep the name.
    bare = admit(replace(BY_EMAIL, plain_names=True), verified("bob@example.com"), NOBODY)
    users = Accounts(bindings={bare.sub: ME})
    plain = replace(other, plain_names=True)
    assert refusal(plain, verified("bob@example.com", issuer=other.issuer), users) == "name_bound"


@given(st.text(max_size=12), st.sampled_from([PLAIN, BY_NAME]))
def test_no_value_of_a_claim_becomes_the_name_of_a_user(value: str, provider: Provider) -> None:
    users = Accounts({name: a_user(name) for name in ("alice", "bob", "a")})
    try:
        found = admit(provider, account(preferred_username=value), users)
    except ProviderRefusedError:
        return
    assert comparison_key(found.sub) not in users.users
    assert found.binds
