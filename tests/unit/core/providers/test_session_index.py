"""Records by which a logout at an identity provider finds sessions, and those it must not end."""

from dataclasses import replace
from itertools import product

import pytest

from authgw.core.providers import session_index
from authgw.core.providers.session_index import (
    gone_records_of,
    gone_text,
    is_meant,
    is_undone,
    sets_of,
)
from tests.support.builders import NOW, a_session

ISSUER = "https://idp.example.com"
SESSION = replace(
    a_session("company:123"), issuer=ISSUER, account="123", idp_sid="s1", auth_time=NOW
)


def test_all_names_differ() -> None:
    functions = (
        session_index.account_sessions,
        session_index.idp_sessions,
        session_index.account_gone,
        session_index.idp_session_gone,
    )
    # Issuers and accounts that are equal after joining.
    pairs = [
        ("ab", "c"),
        ("a", "bc"),
        ("a", "b:c"),
        ("a:b", "c"),
        ("a", 'b", "c'),
        ('a", "b', "c"),
        ("", ""),
        ("a", ""),
    ]
    names = {function(*pair) for function, pair in product(functions, pairs)}
    assert len(names) == len(functions) * len(pairs)


def test_a_session_of_a_provider_is_in_the_sets_of_its_account_and_its_idp_session() -> None:
    account = session_index.account_sessions(ISSUER, "123")
    assert sets_of(SESSION) == (account, session_index.idp_sessions(ISSUER, "s1"))
    assert sets_of(replace(SESSION, idp_sid="")) == (account,)
    assert sets_of(a_session()) == ()


def test_a_login_reads_the_logouts_of_its_account_and_its_idp_session() -> None:
    account = session_index.account_gone(ISSUER, "123")
    assert gone_records_of(SESSION) == (account, session_index.idp_session_gone(ISSUER, "s1"))
    assert gone_records_of(replace(SESSION, idp_sid="")) == (account,)
    assert gone_records_of(a_session()) == ()


@pytest.mark.parametrize(
    ("gone", "undone"),
    [
        ((None,), False),
        ((None, None), False),
        ((gone_text(NOW - 1),), False),
        ((gone_text(NOW),), True),
        ((gone_text(NOW + 0.5),), True),
        ((None, gone_text(NOW)), True),
        ((gone_text(NOW - 1), gone_text(NOW + 1)), True),
        (("text of another version",), True),
    ],
)
def test_a_session_of_a_login_before_the_logout_is_undone(
    gone: tuple[str | None, ...], undone: bool
) -> None:
    assert is_undone(SESSION, *gone) is undone


def test_a_session_without_auth_time_counts_from_its_creation() -> None:
    session = replace(SESSION, auth_time=0.0)
    assert is_undone(session, gone_text(NOW))
    assert not is_undone(session, gone_text(NOW - 1))


def test_a_repeated_logout_does_not_take_back_a_later_logout() -> None:
    assert gone_text(NOW, None) == gone_text(NOW)
    assert gone_text(NOW, gone_text(NOW + 5)) == gone_text(NOW + 5)
    assert gone_text(NOW + 5, gone_text(NOW)) == gone_text(NOW + 5)
    assert is_undone(replace(SESSION, auth_time=NOW + 1e6), gone_text(NOW, "text"))


@pytest.mark.parametrize(
    ("issuer", "account", "idp_sid", "latest", "meant"),
    [
        (ISSUER, "123", None, NOW, True),
        (ISSUER, None, "s1", NOW, True),
        (ISSUER, "123", "s1", NOW, True),
        (ISSUER, "123", "s2", NOW, False),
        (ISSUER, "124", "s1", NOW, False),
        (ISSUER, "124", None, NOW, False),
        (ISSUER, None, "s2", NOW, False),
        (ISSUER, None, None, NOW, False),
        ("https://other.example", "123", "s1", NOW, False),
        (ISSUER, "123", "s1", NOW - 1, False),
        (ISSUER, "123", "s1", NOW + 60, True),
    ],
)
def test_a_logout_ends_the_sessions_that_it_names(
    issuer: str, account: str | None, idp_sid: str | None, latest: float, meant: bool
) -> None:
    assert is_meant(SESSION, issuer, account, idp_sid, latest=latest) is meant


def test_a_session_whose_idp_session_is_unknown_ends_with_any_of_its_account() -> None:
    session = replace(SESSION, idp_sid="")
    assert is_meant(session, ISSUER, "123", "s2", latest=NOW)
    assert not is_meant(session, ISSUER, None, "s2", latest=NOW)
    assert not is_meant(session, ISSUER, None, "", latest=NOW)


def test_a_session_of_a_local_login_is_never_meant() -> None:
    assert not is_meant(a_session(), "", "", None, latest=NOW + 60)
