"""Decisions on a refresh at an identity provider."""

from dataclasses import fields, replace

import pytest

from authgw.core.providers.model import Admitted, ProviderClaims
from authgw.core.providers.renewal import (
    AfterRefusal,
    after_refusal,
    away,
    carried_over,
    ended,
    is_same_account,
    renewed,
    with_groups,
)
from authgw.core.reasons import CAUSES
from authgw.core.sessions import Session, confirm
from tests.support.builders import NOW, a_session

ISSUER = "https://idp.example.com"
LATER = NOW + 900
SESSION = replace(
    a_session("company:123"),
    source="oidc:company",
    groups=("company:staff",),
    email="alice@example.com",
    name="Alice",
    issuer=ISSUER,
    account="123",
    idp_sid="s1",
    amr=("fed", "mfa"),
    auth_time=NOW - 60,
    factor_time=NOW - 60,
    checked_at=NOW,
    tried_at=NOW,
    groups_from="id_token",
    sealed="sealed 1",
)
LINKED = replace(SESSION, sub="alice", source="users", groups=("users",), password_mark="m1")
CLAIMS = ProviderClaims(
    ISSUER, "123", {}, groups=("admins",), groups_from="id_token", auth_time=NOW + 800,
    amr=("pwd",),
)  # fmt: skip  # a table of claims
ADMITTED = Admitted(
    "company:123", "oidc:company", ("company:admins",), "al@example.com", "Alice Two"
)
LOCAL = Admitted("alice", "users", ("company:admins",), "al@example.com", "Alice Two", mark="m1")


def changed(before: Session, after: Session) -> set[str]:
    """Return the names of the fields that differ."""
    names = (field.name for field in fields(Session))
    return {name for name in names if getattr(before, name) != getattr(after, name)}


def test_a_confirmed_session_has_the_groups_and_texts_of_the_account_now() -> None:
    result = renewed(SESSION, CLAIMS, ADMITTED, now=LATER, sealed="sealed 2")
    assert (result.outcome, result.cause) == ("confirmed", "")
    new = result.session
    assert (new.groups, new.email, new.name) == (("company:admins",), "al@example.com", "Alice Two")
    assert (new.checked_at, new.tried_at, new.sealed) == (LATER, LATER, "sealed 2")


def test_auth_time_and_amr_never_move_by_a_refresh() -> None:
    result = renewed(SESSION, CLAIMS, ADMITTED, now=LATER, sealed="sealed 2")
    moved = {"groups", "email", "name", "checked_at", "tried_at", "sealed"}
    assert changed(SESSION, result.session) == moved


def test_a_linked_user_keeps_the_groups_of_the_users_file() -> None:
    result = renewed(LINKED, CLAIMS, LOCAL, now=LATER)
    assert result.outcome == "confirmed"
    assert changed(LINKED, result.session) == {"checked_at", "tried_at"}


def test_a_refresh_token_that_was_not_replaced_stays() -> None:
    assert renewed(SESSION, CLAIMS, ADMITTED, now=LATER).session.sealed == "sealed 1"


@pytest.mark.parametrize(
    "claims",
    [
        replace(CLAIMS, account="124"),
        replace(CLAIMS, account=""),
        replace(CLAIMS, issuer="https://other.example"),
        replace(CLAIMS, issuer=f"{ISSUER}/"),
    ],
)
def test_another_issuer_or_account_ends_the_session(claims: ProviderClaims) -> None:
    assert not is_same_account(SESSION, claims)
    result = renewed(SESSION, claims, ADMITTED, now=LATER, sealed="sealed 2")
    assert (result.outcome, result.session, result.cause) == ("ended", SESSION, "renewal_account")


@pytest.mark.parametrize(
    ("session", "admitted"),
    [
        (SESSION, replace(ADMITTED, sub="company:al@example.com")),
        (SESSION, LOCAL),
        (SESSION, replace(ADMITTED, source="oidc:other")),
        (LINKED, ADMITTED),
        (LINKED, replace(LOCAL, mark="m2")),
        (LINKED, replace(LOCAL, sub="bob")),
    ],
)
def test_an_account_with_another_name_or_link_ends_the_session(
    session: Session, admitted: Admitted
) -> None:
    result = renewed(session, CLAIMS, admitted, now=LATER)
    assert (result.outcome, result.session, result.cause) == ("ended", session, "renewal_identity")


def test_an_account_that_is_refused_ends_the_session() -> None:
    result = ended(SESSION, "blocked")
    assert (result.outcome, result.session, result.cause) == ("ended", SESSION, "blocked")


def test_the_causes_of_an_end_are_in_the_table() -> None:
    assert {"renewal_refused", "renewal_account", "renewal_identity"} <= CAUSES.keys()


def test_a_provider_that_is_away_changes_the_time_of_the_attempt_only() -> None:
    result = away(SESSION, now=LATER)
    assert result.outcome == "away"
    assert result.session == replace(SESSION, tried_at=LATER)


def test_a_new_refresh_token_is_kept_although_the_rest_of_the_response_is_missing() -> None:
    result = away(SESSION, now=LATER, sealed="sealed 2")
    assert result.session == replace(SESSION, tried_at=LATER, sealed="sealed 2")


WITHOUT = replace(CLAIMS, groups=None, groups_from="")


@pytest.mark.parametrize(
    ("groups_from", "responses", "known"),
    [
        ("id_token", {"id_token"}, True),
        ("id_token", {"id_token", "userinfo"}, True),
        ("userinfo", {"userinfo"}, True),
        ("id_token", {"userinfo"}, False),
        ("userinfo", {"id_token"}, False),
        ("id_token", set(), False),
        ("", {"id_token"}, True),
        ("", {"userinfo"}, True),
        ("", set(), False),
    ],
)
def test_absent_groups_are_empty_if_the_response_that_had_them_has_none(
    groups_from: str, responses: set[str], known: bool
) -> None:
    session = replace(SESSION, groups_from=groups_from)
    expected = replace(CLAIMS, groups=(), groups_from=groups_from) if known else None
    assert with_groups(session, WITHOUT, responses) == expected


def test_groups_that_are_there_are_used_as_they_are() -> None:
    assert with_groups(SESSION, CLAIMS, {"id_token"}) is CLAIMS
    moved = replace(CLAIMS, groups_from="userinfo")
    assert with_groups(SESSION, moved, {"id_token", "userinfo"}) is moved
    assert renewed(SESSION, moved, ADMITTED, now=LATER).session.groups_from == "userinfo"


def test_the_last_group_can_be_lost() -> None:
    empty = with_groups(SESSION, WITHOUT, {"id_token"})
    assert empty is not None
    result = renewed(SESSION, empty, replace(ADMITTED, groups=()), now=LATER)
    assert result.session.groups == ()
    assert result.session.groups_from == "id_token"


@pytest.mark.parametrize(
    ("stored", "refusals", "step"),
    [
        (SESSION, 1, AfterRefusal.RETRY),
        (SESSION, 2, AfterRefusal.END),
        (replace(SESSION, gen=3), 2, AfterRefusal.END),
        (replace(SESSION, sealed="sealed 2"), 1, AfterRefusal.LEAVE),
        (replace(SESSION, sealed="sealed 2"), 2, AfterRefusal.LEAVE),
        (replace(SESSION, sealed=""), 2, AfterRefusal.LEAVE),
        (None, 1, AfterRefusal.LEAVE),
        (None, 2, AfterRefusal.LEAVE),
    ],
)
def test_a_refused_token_ends_the_session_only_if_it_is_still_the_current_one_and_twice(
    stored: Session | None, refusals: int, step: AfterRefusal
) -> None:
    assert after_refusal("sealed 1", stored, refusals) is step


def test_the_result_is_carried_over_to_a_session_whose_tokens_were_rotated() -> None:
    result = renewed(SESSION, CLAIMS, ADMITTED, now=LATER, sealed="sealed 2").session
    stored = replace(confirm(SESSION, gen=0, jti="a0"), gen=1, expires_at=NOW + 9000)
    combined = carried_over(result, SESSION, stored)
    assert combined == replace(
        result, confirmed=stored.confirmed, gen=stored.gen, expires_at=stored.expires_at
    )


def test_times_of_the_stored_session_never_go_back() -> None:
    stored = replace(SESSION, checked_at=LATER + 5, tried_at=LATER + 6)
    combined = carried_over(away(SESSION, now=LATER).session, SESSION, stored)
    assert combined is not None
    assert (combined.checked_at, combined.tried_at) == (LATER + 5, LATER + 6)


@pytest.mark.parametrize("stored", [None, replace(SESSION, sealed="sealed 3")])
def test_nothing_is_committed_to_a_session_that_ended_or_has_another_token(
    stored: Session | None,
) -> None:
    result = renewed(SESSION, CLAIMS, ADMITTED, now=LATER, sealed="sealed 2").session
    assert carried_over(result, SESSION, stored) is None
