"""Take-overs of names by accounts of identity providers, against the files of an installation."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from authgw.core.errors import ProviderRefusedError, SessionEndedError
from authgw.core.providers.admission import admit
from authgw.core.providers.model import Admitted, Provider, ProviderClaims
from authgw.core.sessions import Session
from authgw.core.users import USERS, principal_of
from authgw.identity import bindings_editor, users_editor
from authgw.identity.bindings_file import BindingTakenError
from authgw.identity.users_watcher import WatchedUsersFile
from tests.support.accounts import BY_EMAIL, BY_NAME, PLAIN, a_provider, account, verified
from tests.support.builders import a_session
from tests.support.provider_tokens import ISSUER
from tests.support.users import HASH, OTHER

ELSEWHERE = "https://other.example.org"
MAIL = replace(BY_EMAIL, name="mail", issuer=ELSEWHERE)


@pytest.fixture
def users(tmp_path: Path) -> WatchedUsersFile:
    """The directory of a replica; alice is a user of the users file."""
    users_editor.add(tmp_path / "users.yml", "alice", HASH)
    return WatchedUsersFile(tmp_path / "users.yml")


def replica_of(users: WatchedUsersFile) -> WatchedUsersFile:
    """Return the directory of another replica, or of the same after a restart."""
    return WatchedUsersFile(users.path, bindings=users.bindings_path)


def read_again(users: WatchedUsersFile) -> None:
    for path in (users.path, users.bindings_path):
        if path.exists():
            # A file that has just changed is not read again at once.
            past = path.stat().st_mtime - 60
            os.utime(path, (past, past))
    assert users.reload_if_changed() == ""


def log_in(provider: Provider, claims: ProviderClaims, users: WatchedUsersFile) -> Admitted:
    """Admit an account and bind its name, as a login does."""
    admitted = admit(provider, claims, users)
    if admitted.binds:
        users.bind(admitted.sub, claims.issuer, claims.account)
    return admitted


def refused(provider: Provider, claims: ProviderClaims, users: WatchedUsersFile) -> str:
    with pytest.raises(ProviderRefusedError) as caught:
        log_in(provider, claims, users)
    return caught.value.cause


def session_of(admitted: Admitted, claims: ProviderClaims) -> Session:
    return replace(
        a_session(admitted.sub),
        source=admitted.source,
        issuer=claims.issuer,
        account=claims.account,
        password_mark=admitted.mark,
    )


@pytest.mark.parametrize(
    ("provider", "first", "others"),
    [
        (BY_NAME, "bob", ["bob", "BOB", "b\u200bob", "\uff42ob"]),
        (PLAIN, "bob", ["bob", "Bob"]),
    ],
)
def test_a_chosen_name_stays_with_its_first_account(
    users: WatchedUsersFile, provider: Provider, first: str, others: list[str]
) -> None:
    log_in(provider, account("1", preferred_username=first), users)
    assert log_in(provider, account("1", preferred_username="renamed"), users).sub.endswith("bob")
    for directory in (users, replica_of(users)):
        for name in others:
            assert refused(provider, account("2", preferred_username=name), directory) in (
                "name_bound",
                "name_missing",
            )


def test_a_mailbox_with_a_new_owner_does_not_inherit_the_name(users: WatchedUsersFile) -> None:
    claims = verified("bob@example.com")
    former = session_of(log_in(BY_EMAIL, claims, users), claims)
    assert principal_of(former, users).sub == "company:bob@example.com"
    new_owner = replace(claims, account="new")
    assert refused(BY_EMAIL, new_owner, users) == "name_bound"
    assert refused(BY_EMAIL, new_owner, replica_of(users)) == "name_bound"
    bindings_editor.release(users.bindings_path, "company:bob@example.com")
    read_again(users)
    assert log_in(BY_EMAIL, new_owner, users).sub == "company:bob@example.com"
    with pytest.raises(SessionEndedError):
        principal_of(former, users)


def test_the_same_address_at_two_providers_gives_two_names(users: WatchedUsersFile) -> None:
    here = verified("bob@example.com")
    there = replace(here, issuer=ELSEWHERE)
    assert log_in(BY_EMAIL, here, users).sub == "company:bob@example.com"
    assert log_in(MAIL, there, users).sub == "mail:bob@example.com"
    # The account is issuer and sub: each provider has an account with this sub.
    assert here.account == there.account
    assert users.bound_name(ELSEWHERE, there.account) == "mail:bob@example.com"


def test_two_replicas_give_a_name_once(users: WatchedUsersFile) -> None:
    other = replica_of(users)
    first, second = (account(sub, preferred_username="bob") for sub in "12")
    names = [admit(PLAIN, claims, each).sub for claims, each in ((first, users), (second, other))]
    assert names == ["bob", "bob"]
    users.bind("bob", ISSUER, "1")
    with pytest.raises(BindingTakenError):
        other.bind("bob", ISSUER, "2")


@pytest.mark.parametrize("name", ["alice", "ALICE", "\uff41lice"])
def test_no_claim_gives_the_name_of_a_user(users: WatchedUsersFile, name: str) -> None:
    assert refused(PLAIN, account(preferred_username=name), users) == "name_is_user"
    with pytest.raises(BindingTakenError, match="belongs to a user"):
        users.bind(name, ISSUER, "1")


def test_a_user_added_later_ends_the_sessions_of_a_bound_name(users: WatchedUsersFile) -> None:
    claims = account("1", preferred_username="bob")
    session = session_of(log_in(PLAIN, claims, users), claims)
    assert principal_of(session, users).sub == "bob"
    users_editor.add(users.path, "bob", HASH)
    read_again(users)
    with pytest.raises(SessionEndedError):
        principal_of(session, users)
    assert refused(PLAIN, claims, users) == "name_is_user"


def test_a_link_makes_an_account_its_user_until_it_is_removed(users: WatchedUsersFile) -> None:
    claims = verified("mallory@example.com")
    users_editor.add_link(users.path, "alice", ISSUER, claims.account)
    read_again(users)
    admitted = log_in(BY_EMAIL, claims, users)
    assert (admitted.sub, admitted.source, admitted.binds) == ("alice", USERS, False)
    # The same sub at another provider is another account.
    other = log_in(MAIL, replace(claims, issuer=ELSEWHERE), users)
    assert (other.sub, other.source) == ("mail:mallory@example.com", "oidc:mail")
    session = session_of(admitted, claims)
    assert principal_of(session, users, provider="oidc:company").sub == "alice"
    users_editor.remove_links(users.path, "alice", ISSUER)
    users_editor.add_link(users.path, "alice", ISSUER, claims.account)
    read_again(users)
    with pytest.raises(SessionEndedError):
        principal_of(session, users, provider="oidc:company")


def test_a_new_password_ends_the_sessions_of_links(users: WatchedUsersFile) -> None:
    claims = account()
    users_editor.add_link(users.path, "alice", ISSUER, claims.account)
    read_again(users)
    session = session_of(log_in(a_provider(), claims, users), claims)
    users_editor.set_password(users.path, "alice", OTHER)
    read_again(users)
    with pytest.raises(SessionEndedError):
        principal_of(session, users, provider="oidc:company")


@pytest.mark.parametrize("linked", [False, True])
@pytest.mark.parametrize("by_name", [False, True])
def test_a_blocked_account_has_no_session_and_no_login(
    users: WatchedUsersFile, linked: bool, by_name: bool
) -> None:
    claims = account()
    if linked:
        users_editor.add_link(users.path, "alice", ISSUER, claims.account)
        read_again(users)
    admitted = log_in(a_provider(), claims, users)
    session = session_of(admitted, claims)
    principal_of(session, users, provider="oidc:company")
    who = f"name:{admitted.sub.upper()}" if by_name else f"oidc:company/{claims.account}"
    bindings_editor.block(users.bindings_path, who)
    read_again(users)
    with pytest.raises(SessionEndedError):
        principal_of(session, users, provider="oidc:company")
    assert refused(a_provider(), claims, users) == "account_blocked"


def test_an_entry_of_an_account_belongs_to_it_alone(users: WatchedUsersFile) -> None:
    mine, other = account(), account("777")
    with users.path.open("a") as file:
        file.write(f"company:{mine.account}: {{source: oidc:company, account: '777'}}\n")
    read_again(users)
    assert refused(a_provider(), mine, users) == "name_is_user"
    assert log_in(a_provider(), other, users).sub == "company:777"
