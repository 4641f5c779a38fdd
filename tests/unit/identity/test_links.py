"""Entries of other sources, linked accounts and their marks in the users file."""

import re
from pathlib import Path

import pytest

from authgw.core.users import NoUsers, link_mark
from authgw.identity import users_editor
from authgw.identity.passwords import DUMMY_HASH, digest
from authgw.identity.user_entry import UserEntry, mark
from authgw.identity.users_file import UsersFileError, load_users, validate_entry
from authgw.identity.users_watcher import WatchedUsersFile
from tests.support.users import HASH, OTHER, SECRET

KC, OTHER_ISSUER = "https://kc.example.com/realms/x", "https://id.example.com"
LINE = f'password: "{HASH}"'
APP = f"{{name: x, sha256: '{digest('x')}'}}"
LINK = f"{{issuer: {KC}, sub: '7'}}"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    created = tmp_path / "users.yml"
    users_editor.add(created, "alice", HASH)
    users_editor.add(created, "bob", HASH)
    return created


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        (f"{{{LINE}, account: '7'}}", "a.account: is for another source: remove it"),
        ("{source: oidc:kc}", "a.account: is missing: add the `sub`"),
        (f"{{source: oidc:kc, account: '7', {LINE}}}", "a.password: does not belong to an entry"),
        ("{source: oidc:kc, account: '7', groups: [x]}", "a.groups: does not belong to"),
        ("{source: oidc:kc, account: '7', email: x}", "a.email: does not belong to"),
        ("{source: oidc:kc, account: '7', name: x}", "a.name: does not belong to"),
        (f"{{source: oidc:kc, account: '7', links: [{LINK}]}}", "a.links: does not belong to"),
        (
            f"{{source: oidc:kc, account: '7', app_passwords: [{APP}]}}",
            "a.app_passwords: does not belong to",
        ),
        (f"{{{LINE}, links: [{{issuer: kc, sub: x}}]}}", "a.links[0].issuer: is not the URL"),
        (f"{{{LINE}, links: [{{issuer: '{KC}?x', sub: x}}]}}", "a.links[0].issuer: is not the"),
        (f"{{{LINE}, links: [{{issuer: {KC}, sub: ''}}]}}", "a.links[0].sub: is empty: write"),
        (f"{{{LINE}, links: [{{issuer: {KC}, sub: 7}}]}}", "a.links[0].sub: is not text: put it"),
        (f"{{{LINE}, links: [{{issuer: {KC}}}]}}", "a.links[0].sub: is missing: add it"),
        (f"{{{LINE}, links: [{LINK}, {LINK}]}}", "a.links[1]: is duplicated: remove one"),
        (f"{{{LINE}, links: [{LINK}]}}\nb: {{{LINE}, links: [{LINK}]}}", "b.links[0]: is dupl"),
        (f"{{{LINE}, epoch: -1}}", "a.epoch: is too small"),
        (f"{{{LINE}, epoch: '1'}}", "a.epoch: is not a valid integer"),
        (
            "{source: oidc:kc, account: '7'}\nb: {source: oidc:kc, account: '7'}",
            "b.account: is duplicated",
        ),
    ],
)
def test_entries_that_do_not_fit_their_source_are_refused(
    tmp_path: Path, entry: str, message: str
) -> None:
    path = tmp_path / "users.yml"
    path.write_text(f"a: {entry}\n")
    with pytest.raises(UsersFileError) as caught:
        load_users(path)
    line = 2 if message.startswith("b") else 1
    assert f"users.yml:{line}: {message}" in str(caught.value)


@pytest.mark.parametrize(
    ("name", "source", "message"),
    [
        ("kc:7", "users", "contains `:`"),
        ("other:7", "oidc:kc", "has another prefix than its source"),
        ("kc:", "oidc:kc", "has another prefix than its source"),
    ],
)
def test_the_prefix_of_a_name_is_that_of_its_source(name: str, source: str, message: str) -> None:
    with pytest.raises(UsersFileError, match=f"the name of this user {message}"):
        validate_entry(name, {"source": source, "account": "7"})


def test_an_entry_of_a_provider_has_no_password(tmp_path: Path) -> None:
    path = tmp_path / "users.yml"
    path.write_text(f"kc:7: {{source: oidc:kc, account: '7', totp: {{secret: {SECRET}}}}}\n")
    users = WatchedUsersFile(path)
    user = users.find("kc:7")
    assert user is not None
    assert (user.source, user.account, user.has_totp) == ("oidc:kc", "7", True)
    assert (user.password_marks, user.link_marks) == (frozenset(), frozenset())
    assert users.password_hash("kc:7") is None
    assert users.decoy("kc:7") == DUMMY_HASH
    with pytest.raises(UsersFileError, match="password: does not belong to an entry of oidc:kc"):
        users_editor.set_password(path, "kc:7", HASH)
    assert users_editor.remove_totp(path, "KC:7")
    assert load_users(path)["kc:7"] == UserEntry(source="oidc:kc", account="7")


def test_the_decoy_of_an_entry_without_password_costs_as_much_as_others(tmp_path: Path) -> None:
    path = tmp_path / "users.yml"
    path.write_text(f"a: {{{LINE}}}\nb: {{source: oidc:kc, account: '7'}}\n")
    assert WatchedUsersFile(path).decoy("b").startswith("$argon2id$v=19$m=8,t=1,p=1$")
    costs = {f"user{number}": f"t={number}" for number in range(1, 9)}
    entries = [f"{name}: {{password: '{HASH.replace('t=1', t)}'}}\n" for name, t in costs.items()]
    path.write_text("".join(entries))
    users = WatchedUsersFile(path)
    assert {name: users.decoy(name).split(",")[1] for name in costs} == costs


def test_link_and_unlink(path: Path) -> None:
    assert users_editor.add_link(path, "Alice", KC, "7")
    assert not users_editor.add_link(path, "alice", KC, "7")
    assert users_editor.add_link(path, "alice", OTHER_ISSUER, "7")
    users = WatchedUsersFile(path)
    alice = users.find("alice")
    assert alice is not None
    assert users.linked(KC, "7") == users.linked(OTHER_ISSUER, "7") == alice
    assert users.linked(KC, "8") is None
    assert alice.link_marks == {link_mark(KC, "7", 0), link_mark(OTHER_ISSUER, "7", 0)}
    assert alice.password_marks == {mark(HASH)}
    with pytest.raises(UsersFileError, match="the account is linked to alice already"):
        users_editor.add_link(path, "bob", KC, "7")
    assert not users_editor.remove_links(path, "bob", KC)
    assert users_editor.remove_links(path, "alice", KC)
    entry = load_users(path)["alice"]
    assert [link.issuer for link in entry.links] == [OTHER_ISSUER]
    assert entry.link_marks == {link_mark(OTHER_ISSUER, "7", 1)}
    assert users_editor.remove_links(path, "alice", OTHER_ISSUER)
    assert load_users(path)["alice"].link_marks == frozenset()


def test_a_link_that_comes_back_has_another_mark(path: Path) -> None:
    users_editor.add_link(path, "alice", KC, "7")
    before = load_users(path)["alice"].link_marks
    users_editor.remove_links(path, "alice", KC)
    users_editor.add_link(path, "alice", KC, "7")
    assert not before & load_users(path)["alice"].link_marks


def test_password_and_factor_changes_end_sessions_of_links(path: Path) -> None:
    users_editor.add_link(path, "alice", KC, "7")
    seen = [load_users(path)["alice"].link_marks]
    users_editor.set_password(path, "alice", OTHER)
    seen.append(load_users(path)["alice"].link_marks)
    users_editor.set_totp(path, "alice", SECRET, ())
    assert load_users(path)["alice"].link_marks == seen[1]
    users_editor.remove_totp(path, "alice")
    seen.append(load_users(path)["alice"].link_marks)
    assert len(set(seen)) == 3


def test_an_entry_without_links_has_no_epoch(path: Path) -> None:
    # A previous version refuses unknown keys: a change that needs no epoch does not write it.
    users_editor.set_password(path, "bob", OTHER)
    assert "epoch" not in path.read_text()


def test_marks_depend_on_each_part() -> None:
    marks = {
        link_mark(KC, "7", 0),
        link_mark(KC, "8", 0),
        link_mark(OTHER_ISSUER, "7", 0),
        link_mark(KC, "7", 1),
        link_mark(f"{KC}\0", "7", 0),
        link_mark(KC, "\ud800", 0),
    }
    assert len(marks) == 6
    assert {len(text) for text in marks} == {16}


def test_a_gateway_without_users_knows_no_account() -> None:
    users = NoUsers()
    assert users.linked(KC, "7") is None
    assert users.binding("x") is None
    assert users.bound_name(KC, "7") is None
    assert not users.is_blocked("oidc:kc", "7", "x")


def test_entries_of_the_manual_are_valid(tmp_path: Path) -> None:
    manual = (Path(__file__).parents[3] / "docs/how-to/users.md").read_text()
    blocks = dict(re.findall(r'```yaml title="(\w+\.yml)"\n(.*?)```', manual, re.DOTALL))
    path = tmp_path / "users.yml"
    path.write_text(blocks["users.yml"])
    (tmp_path / "bindings.yml").write_text(blocks["bindings.yml"])
    users = WatchedUsersFile(path)
    assert users.find("company:4f1a9c0e-7d52") is not None
    assert users.binding("company:bob@example.com") == (KC, "9b2d60c1")
