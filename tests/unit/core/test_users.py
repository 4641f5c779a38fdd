"""Principals of sessions and app passwords, according to the current users file."""

from dataclasses import replace

import pytest

from authgw.core.errors import SessionEndedError
from authgw.core.model import AccessRequest, Decision, Location, Principal, Verdict
from authgw.core.rules import Allow, Credential, Match, Rule, decide, glob
from authgw.core.users import (
    TOTP,
    USERS,
    AppPassword,
    NoUsers,
    User,
    principal_of,
    principal_of_app_password,
)
from tests.support.builders import NOW, a_session

ALICE = User(
    "alice",
    ("writers",),
    {"email": "a@example.com", "name": "Alice"},
    False,
    frozenset({"m1"}),
    False,
)
SESSION = replace(a_session("alice", None), source=USERS, password_mark="m1")


def request_for(path: str) -> AccessRequest:
    return AccessRequest("GET", Location("https", "app.example.com", path, ""), "192.0.2.1")


def test_a_user_has_the_current_values_of_the_file() -> None:
    expected = Principal(
        "alice", SESSION.sid, ("writers",), {"email": "a@example.com", "name": "Alice"}
    )
    assert principal_of(SESSION, ALICE) == expected
    assert principal_of(SESSION, replace(ALICE, groups=())).groups == ()
    assert principal_of(replace(SESSION, amr=("pwd", TOTP)), ALICE) == replace(expected, totp=True)


@pytest.mark.parametrize(
    "user",
    [
        None,
        replace(ALICE, disabled=True),
        replace(ALICE, password_marks=frozenset({"m2"})),
        replace(ALICE, password_marks=frozenset()),
    ],
)
def test_a_user_who_was_removed_disabled_or_changed_the_password(user: User | None) -> None:
    with pytest.raises(SessionEndedError):
        principal_of(SESSION, user)


def test_a_session_without_a_mark_is_not_a_users() -> None:
    with pytest.raises(SessionEndedError):
        principal_of(replace(SESSION, password_mark=""), ALICE)


def test_backend_sessions_keep_their_values_unless_a_user_has_the_name() -> None:
    other = replace(SESSION, source="client:shop", groups=("users",), amr=(TOTP,))
    assert principal_of(other, None) == Principal(
        "alice", other.sid, ("users",), {"email": "", "name": ""}
    )
    with pytest.raises(SessionEndedError):
        principal_of(other, ALICE)


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("/dav/a", True),
        ("/dav", True),
        ("/davx", False),
        ("/other", False),
        ("/dav/../other", False),
        ("/dav/..%2fother", False),
        ("/dav//a", False),
    ],
)
def test_an_app_password_is_valid_for_its_paths(path: str, allowed: bool) -> None:
    assert (
        AppPassword("alice", "laptop", (glob("/dav/**"),), None).allows(request_for(path), NOW)
        is allowed
    )


def test_an_app_password_expires() -> None:
    password = AppPassword("alice", "laptop", (), NOW)
    assert password.allows(request_for("/any//where"), NOW - 1)
    assert not password.allows(request_for("/"), NOW)


@pytest.mark.parametrize(
    ("user", "belongs"),
    [("alice", True), ("ALICE", True), ("al\u00adice", True), (None, True), ("bob", False)],
)
def test_an_app_password_belongs_to_its_user(user: str | None, belongs: bool) -> None:
    assert AppPassword("alice", "laptop", (), None).belongs_to(user) is belongs


def test_an_app_password_has_no_second_factor() -> None:
    expected = Principal("alice", "", ("writers",), {"email": "a@example.com", "name": "Alice"})
    assert principal_of_app_password(ALICE) == expected
    assert principal_of_app_password(replace(ALICE, disabled=True)) is None
    assert principal_of_app_password(None) is None


def test_the_directory_is_empty_without_a_users_file() -> None:
    assert NoUsers().find("alice") is None
    assert NoUsers().app_password("0" * 64) is None
    assert not NoUsers().resembles_user("alice")


def test_a_second_factor_is_required_only_of_allowed_users() -> None:
    rule = Rule("c:1", Allow(users=frozenset({"alice"})), totp=True)
    match, access = Match(rule), request_for("/")
    alice, bob = Principal("alice", "s"), Principal("bob", "s", totp=True)
    assert decide(match, access, alice, "") == Decision(Verdict.LOGIN, "totp_required", alice)
    strong = replace(alice, totp=True)
    assert decide(match, access, strong, "") == Decision(Verdict.ALLOW, principal=strong)
    refused = decide(match, access, bob, "")
    assert (refused.verdict, refused.needs) == (Verdict.DENY, ("user:alice",))


def test_app_passwords_count_only_if_the_rule_names_them() -> None:
    plain = Rule("c:1", Allow(authenticated=True))
    named = replace(plain, credentials=frozenset({Credential.APP_PASSWORD}))
    assert [plain.accepts(kind) for kind in Credential] == [True, True, False]
    assert [named.accepts(kind) for kind in Credential] == [False, False, True]
    assert decide(Match(named), request_for("/"), None, "token_missing").accepts_basic
    assert not decide(Match(plain), request_for("/"), None, "token_missing").accepts_basic
