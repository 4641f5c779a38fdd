"""Principals of sessions and app passwords, according to the current users file."""

from dataclasses import replace

import pytest

from authgw.core.errors import SessionEndedError
from authgw.core.model import AccessRequest, Decision, Location, Principal, Verdict
from authgw.core.rules import Allow, Credential, Match, Rule, decide, glob
from authgw.core.sessions import Session
from authgw.core.users import (
    TOTP,
    USERS,
    AppPassword,
    NoUsers,
    User,
    UserDirectory,
    principal_of,
    principal_of_app_password,
)
from tests.support.builders import NOW, a_session
from tests.support.directories import Directory

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
        "alice",
        SESSION.sid,
        ("writers",),
        {"email": "a@example.com", "name": "Alice"},
        source=USERS,
        auth_time=NOW,
    )
    assert principal_of(SESSION, Directory(ALICE)) == expected
    assert principal_of(SESSION, Directory(replace(ALICE, groups=()))).groups == ()
    strong = replace(SESSION, amr=("pwd", TOTP), auth_time=NOW - 5)
    assert principal_of(strong, Directory(ALICE)) == replace(
        expected, totp=True, amr=("pwd", TOTP), auth_time=NOW - 5
    )


@pytest.mark.parametrize(
    "user",
    [
        None,
        replace(ALICE, disabled=True),
        replace(ALICE, password_marks=frozenset({"m2"})),
        replace(ALICE, password_marks=frozenset()),
        replace(ALICE, source="oidc:company", account="7"),
    ],
)
def test_a_user_who_was_removed_disabled_or_changed_the_password(user: User | None) -> None:
    with pytest.raises(SessionEndedError):
        principal_of(SESSION, Directory(*filter(None, [user])))


def test_a_session_without_a_mark_is_not_a_users() -> None:
    with pytest.raises(SessionEndedError):
        principal_of(replace(SESSION, password_mark=""), Directory(ALICE))


def test_backend_sessions_keep_their_values_unless_a_user_has_the_name() -> None:
    other = replace(SESSION, source="client:shop", groups=("users",), amr=(TOTP,))
    assert principal_of(other, NoUsers()) == Principal(
        "alice",
        other.sid,
        ("users",),
        {"email": "", "name": ""},
        source="client:shop",
        amr=(TOTP,),
        auth_time=NOW,
    )
    with pytest.raises(SessionEndedError):
        principal_of(other, Directory(ALICE))


COMPANY = replace(
    a_session("company:7", None), source="oidc:company", issuer="https://idp.test", account="7"
)
FACTORS = replace(
    ALICE, sub="company:7", source="oidc:company", account="7", password_marks=frozenset()
)


@pytest.mark.parametrize(
    ("entries", "can_add"),
    [((), False), ((FACTORS,), False), ((replace(FACTORS, has_totp=True),), True)],
)
def test_an_account_of_a_provider_needs_no_entry_and_may_have_one(
    entries: tuple[User], can_add: bool
) -> None:
    session = replace(COMPANY, amr=("pwd",), auth_time=NOW - 9)
    assert principal_of(session, Directory(*entries), provider="oidc:company") == Principal(
        "company:7",
        session.sid,
        ("users",),
        session.profile,
        source="oidc:company",
        amr=("pwd",),
        auth_time=NOW - 9,
        can_add_factor=can_add,
    )


@pytest.mark.parametrize(
    "entry",
    [
        replace(FACTORS, disabled=True),
        replace(FACTORS, account="8"),
        replace(FACTORS, account=""),
        replace(FACTORS, source="oidc:other"),
        replace(FACTORS, source=USERS, account=""),
    ],
)
def test_an_account_ends_by_an_entry_that_disables_it_or_is_anothers(entry: User) -> None:
    with pytest.raises(SessionEndedError):
        principal_of(COMPANY, Directory(entry))


@pytest.mark.parametrize(
    "owner", [("https://idp.test", "8"), ("https://other.test", "7"), ("https://idp.test", "")]
)
def test_a_name_that_is_bound_to_another_account_ends_the_session(owner: tuple[str, str]) -> None:
    own = (COMPANY.issuer, COMPANY.account)
    assert principal_of(COMPANY, Directory(bindings={COMPANY.sub: own})).sub == COMPANY.sub
    with pytest.raises(SessionEndedError):
        principal_of(COMPANY, Directory(bindings={COMPANY.sub: owner}))


@pytest.mark.parametrize("field", ["issuer", "account"])
def test_an_account_without_issuer_or_id_has_ended(field: str) -> None:
    with pytest.raises(SessionEndedError):
        principal_of(replace(COMPANY, **{field: ""}), NoUsers())  # type: ignore[arg-type]  # any text field


LINKED = replace(SESSION, password_mark="l1", issuer="https://idp.test", account="7")
WITH_LINK = replace(ALICE, link_marks=frozenset({"l1"}))


def test_a_session_by_a_link_is_that_of_the_user() -> None:
    assert principal_of(LINKED, Directory(WITH_LINK), provider="oidc:company").source == USERS
    with pytest.raises(SessionEndedError):
        principal_of(LINKED, Directory(ALICE))


@pytest.mark.parametrize("field", ["issuer", "account"])
def test_a_session_by_a_link_whose_account_a_previous_version_dropped_has_ended(field: str) -> None:
    with pytest.raises(SessionEndedError):
        principal_of(replace(LINKED, **{field: ""}), Directory(WITH_LINK))  # type: ignore[arg-type]  # any text field


@pytest.mark.parametrize(
    ("session", "blocked"),
    [
        (COMPANY, ("oidc:company", "7")),
        (COMPANY, "company:7"),
        (LINKED, ("oidc:company", "7")),
        (LINKED, "alice"),
        (SESSION, "alice"),
        (replace(SESSION, sub="shop", source="client:shop"), "shop"),
    ],
)
def test_a_blocked_account_or_subject_ends_each_session(
    session: Session, blocked: tuple[str, str] | str
) -> None:
    provider = "oidc:company" if session.issuer else ""
    for entries in (Directory(WITH_LINK), Directory(WITH_LINK, blocked=frozenset({("x", "7")}))):
        principal_of(session, entries, provider=provider)
    with pytest.raises(SessionEndedError):
        principal_of(session, Directory(WITH_LINK, blocked=frozenset({blocked})), provider=provider)


@pytest.mark.parametrize(
    ("session", "has_factor"),
    [
        (replace(COMPANY, amr=("pwd", TOTP)), False),
        (replace(COMPANY, factor_time=NOW), True),
        (replace(LINKED, amr=(TOTP,)), False),
        (replace(LINKED, factor_time=NOW), True),
        (replace(SESSION, amr=("pwd", TOTP)), True),
        (replace(SESSION, factor_time=NOW), False),
        (SESSION, False),
    ],
)
def test_the_methods_of_a_provider_are_no_second_factor_of_their_own(
    session: Session, has_factor: bool
) -> None:
    assert principal_of(session, Directory(WITH_LINK)).totp is has_factor


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
    expected = Principal(
        "alice", "", ("writers",), {"email": "a@example.com", "name": "Alice"}, source=USERS
    )
    assert principal_of_app_password("alice", Directory(ALICE)) == expected


@pytest.mark.parametrize(
    "users",
    [
        NoUsers(),
        Directory(replace(ALICE, disabled=True)),
        Directory(replace(ALICE, source="oidc:company", account="7")),
        Directory(ALICE, blocked=frozenset({"alice"})),
    ],
)
def test_an_app_password_ends_with_its_user(users: UserDirectory) -> None:
    assert principal_of_app_password("alice", users) is None


def test_the_directory_is_empty_without_a_users_file() -> None:
    assert NoUsers().find("alice") is None
    assert NoUsers().app_password("0" * 64) is None
    assert not NoUsers().resembles_user("alice")
    assert NoUsers().linked("https://idp.test", "7") is None
    assert NoUsers().bound_name("https://idp.test", "7") is None
    assert NoUsers().binding("alice") is None
    assert not NoUsers().is_blocked(USERS, "", "alice")


def test_a_second_factor_is_required_only_of_allowed_users() -> None:
    rule = Rule("c:1", Allow(users=frozenset({"alice"})), totp=True)
    match, access = Match(rule), request_for("/")
    alice, bob = Principal("alice", "s"), Principal("bob", "s", totp=True)
    assert decide(match, access, alice, "") == Decision(Verdict.LOGIN, "totp_required", alice)
    strong = replace(alice, totp=True)
    assert decide(match, access, strong, "") == Decision(Verdict.ALLOW, principal=strong)
    stuck = Principal("alice", "s", source=USERS, can_add_factor=False)
    assert decide(match, access, stuck, "") == Decision(Verdict.DENY, "factor_unsupported", stuck)
    refused = decide(match, access, bob, "")
    assert (refused.verdict, refused.needs) == (Verdict.DENY, ("user:alice",))


OWN = Principal("alice", "s", source=USERS)
OF_SHOP = Principal("alice", "s", source="client:shop")
OF_COMPANY = Principal("company:7", "s", source="oidc:company")


@pytest.mark.parametrize(
    ("allow", "permitted"),
    [
        (Allow(users=frozenset({"alice"})), [OWN]),
        (Allow(backend_users=frozenset({"client/shop:alice"})), [OF_SHOP]),
        (Allow(backend_users=frozenset({"client/other:alice", "client/shop:bob"})), []),
        # A name is never read as that of a backend.
        (Allow(users=frozenset({"client/shop:alice"})), []),
        (Allow(users=frozenset({"company:7"})), [OF_COMPANY]),
        (Allow(providers=frozenset({"company"})), [OF_COMPANY]),
        (Allow(providers=frozenset({"shop", "other", "users", ""})), []),
        (Allow(authenticated=True), [OWN, OF_SHOP, OF_COMPANY]),
    ],
)
def test_a_rule_names_subjects_with_their_source(allow: Allow, permitted: list[Principal]) -> None:
    everyone = (OWN, OF_SHOP, OF_COMPANY)
    assert [each for each in everyone if allow.permits(each)] == permitted


def test_the_names_of_a_rule_are_in_its_notation() -> None:
    allow = Allow(
        groups=frozenset({"g"}),
        users=frozenset({"z"}),
        backend_users=frozenset({"client/shop:a"}),
        providers=frozenset({"company"}),
    )
    assert allow.names == ("group:g", "user:client/shop:a", "user:z", "provider:company")


def test_app_passwords_count_only_if_the_rule_names_them() -> None:
    plain = Rule("c:1", Allow(authenticated=True))
    named = replace(plain, credentials=frozenset({Credential.APP_PASSWORD}))
    assert [plain.accepts(kind) for kind in Credential] == [True, True, False]
    assert [named.accepts(kind) for kind in Credential] == [False, False, True]
    assert decide(Match(named), request_for("/"), None, "token_missing").accepts_basic
    assert not decide(Match(plain), request_for("/"), None, "token_missing").accepts_basic
