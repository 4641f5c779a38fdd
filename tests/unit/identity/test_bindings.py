"""The bindings: names of accounts, blocked accounts, exclusive edits, reload while running."""

import os
import threading
from pathlib import Path

import pytest

from authgw.core.users import UserDirectory
from authgw.identity import bindings_editor, users_editor
from authgw.identity.bindings_file import (
    Account,
    Bindings,
    BindingsFileError,
    BindingTakenError,
    load_bindings,
)
from authgw.identity.users_watcher import WatchedUsersFile
from tests.support.users import HASH

KC, GOOGLE = "https://kc.example.com/realms/x", "https://accounts.example.com"
ALICE, BOB = Account(KC, "7"), Account(KC, "8")
WHOLE = f"""\
# Names that were listed before the first login.
names:
  alice: {{issuer: {KC}, sub: "7"}}   # by hand
  google:bob@example.com:
    issuer: {GOOGLE}
    sub: "8"
blocked:
  - oidc:kc/9/x
  - name:Eve
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return old_file(tmp_path / "bindings.yml", WHOLE)


def old_file(path: Path, text: str) -> Path:
    """Write a file whose time of change is in the past, so that it is read at once."""
    path.write_text(text)
    path.chmod(0o600)
    stamp = path.stat().st_mtime - 60
    os.utime(path, (stamp, stamp))
    return path


def test_all_keys(path: Path) -> None:
    assert load_bindings(path) == Bindings(
        {"alice": ALICE, "google:bob@example.com": Account(GOOGLE, "8")},
        ("oidc:kc/9/x", "name:Eve"),
    )


@pytest.mark.parametrize("text", ["", "# empty\n", "{}\n", "names:\nblocked:\n", "names: {}\n"])
def test_a_file_without_entries(tmp_path: Path, text: str) -> None:
    assert load_bindings(old_file(tmp_path / "bindings.yml", text)) == Bindings()
    assert load_bindings(tmp_path / "absent.yml") == Bindings()
    assert not Bindings()


ENTRY = f"{{issuer: {KC}, sub: x}}"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("hush: 1", "1: unknown key: use names, blocked"),
        ("names: hush", "1: names: must be names: write NAME"),
        ("names:\n  a: hush", "2: names.a: must be an account: write"),
        (f"names:\n  a: {{issuer: {KC}}}", "2: names.a.sub: is missing: add it"),
        ("names:\n  a:\n    sub: hush", "2: names.a.issuer: is missing: add it"),
        (f"names:\n  a:\n    issuer: {KC}\n    sub: 7", "4: names.a.sub: is not text: put it in"),
        ("names:\n  a:\n    issuer: hush\n    sub: '7'", "3: names.a.issuer: is not the URL of"),
        (f"names:\n  a:\n    issuer: {KC}\n    sub: ''", "4: names.a.sub: is empty: write the"),
        ("names:\n  a:\n    hush: 1", "3: names.a: unknown key: use issuer, sub"),
        (f"names:\n  A: {ENTRY}\n  a: {ENTRY}", "3: names.a: differs from A only in case"),
        (f"names:\n  a: {ENTRY}\n  b: {ENTRY}", "3: names.b: its account has the name a already"),
        (f"names:\n  ' hush': {ENTRY}", "2: a name is too long, or begins"),
        (f"names:\n  '': {ENTRY}", "2: a name is empty: write a name"),
        (f"names:\n  e\u0301: {ENTRY}", "2: a name contains combining characters"),
        (f"names:\n  7: {ENTRY}", "2: this key is not text"),
        (f"names:\n  a: {ENTRY}\n  a: {ENTRY}", "3: this key is duplicated"),
        ("blocked: hush", "1: blocked: must be a list"),
        ("blocked:\n- hush", "2: blocked[0]: names no account: write oidc:NAME/SUB"),
        ("blocked:\n- 7", "2: blocked[0]: names no account"),
        ("blocked:\n- oidc:kc/", "2: blocked[0]: names no account"),
        ("blocked:\n- oidc:KC/7", "2: blocked[0]: names no account"),
        ("blocked:\n- 'name:'", "2: blocked[0]: names no account"),
        ("blocked:\n- 'name: x'", "2: blocked[0]: is too long, or begins"),
        ('blocked:\n- "oidc:kc/\\x07"', "2: blocked[0]: contains a control character"),
        ("blocked:\n- name:a\n- name:a", "3: blocked[1]: is duplicated"),
        ("names: {\n", "2: is not valid YAML"),
        ("- hush", "1: must be entries"),
    ],
)
def test_errors_name_the_line_and_no_value(tmp_path: Path, text: str, message: str) -> None:
    path = old_file(tmp_path / "bindings.yml", text)
    with pytest.raises(BindingsFileError) as caught:
        load_bindings(path)
    assert any(line.startswith(f"{path}:{message}") for line in str(caught.value).splitlines())
    assert "hush" not in str(caught.value)


def test_unreadable_files(tmp_path: Path) -> None:
    with pytest.raises(BindingsFileError, match=r"is not a regular file.*auth\.bindings"):
        load_bindings(tmp_path)
    path = tmp_path / "bindings.yml"
    path.write_bytes(b"names: \xff")
    with pytest.raises(BindingsFileError, match="is not UTF-8 text"):
        load_bindings(path)
    with pytest.raises(BindingsFileError, match="is not a directory"):
        load_bindings(path / "x")
    with pytest.raises(BindingsFileError, match="is not a directory"):
        bindings_editor.block(path / "x", "name:a")


def test_edits_keep_the_rest_of_the_file(path: Path) -> None:
    assert bindings_editor.bind(path, "kc:carol@example.com", BOB)
    assert bindings_editor.release(path, "ALICE") == "alice"
    assert bindings_editor.block(path, "name:carol")
    assert bindings_editor.unblock(path, "name:Eve")
    assert path.read_text() == (
        "# Names that were listed before the first login.\nnames:\n"
        f'  google:bob@example.com:\n    issuer: {GOOGLE}\n    sub: "8"\n'
        f"  kc:carol@example.com:\n    issuer: {KC}\n    sub: '8'\n"
        "blocked:\n  - oidc:kc/9/x\n  - name:carol\n"
    )


def test_edits_of_a_missing_file_and_back_to_nothing(tmp_path: Path) -> None:
    path = tmp_path / "bindings.yml"
    assert bindings_editor.bind(path, "alice", ALICE)
    assert bindings_editor.block(path, "oidc:kc/7")
    assert path.stat().st_mode & 0o777 == 0o600
    assert load_bindings(path) == Bindings({"alice": ALICE}, ("oidc:kc/7",))
    assert bindings_editor.release(path, "alice") == "alice"
    assert bindings_editor.unblock(path, "oidc:kc/7")
    assert load_bindings(path) == Bindings()
    assert bindings_editor.bind(path, "alice", BOB)
    assert load_bindings(path) == Bindings({"alice": BOB})


def test_the_first_account_keeps_the_name(path: Path) -> None:
    before = path.read_bytes()
    assert not bindings_editor.bind(path, "alice", ALICE)
    with pytest.raises(BindingTakenError, match="the name alice is bound to another account"):
        bindings_editor.bind(path, "Alice", BOB)
    with pytest.raises(BindingTakenError, match="the account is bound to the name alice"):
        bindings_editor.bind(path, "carol", ALICE)
    with pytest.raises(BindingsFileError, match="contains a control character"):
        bindings_editor.bind(path, "a\n", BOB)
    with pytest.raises(BindingsFileError, match="names no account"):
        bindings_editor.block(path, "alice")
    with pytest.raises(BindingsFileError, match="has no such name"):
        bindings_editor.release(path, "carol")
    assert not bindings_editor.block(path, "name:Eve")
    assert not bindings_editor.unblock(path, "name:carol")
    assert path.read_bytes() == before


def test_of_simultaneous_accounts_one_gets_the_name(tmp_path: Path) -> None:
    path, won, lost = tmp_path / "bindings.yml", [], []

    def bind(number: int) -> None:
        try:
            bindings_editor.bind(path, "alice", Account(KC, str(number)))
            won.append(str(number))
        except BindingTakenError:
            lost.append(number)

    threads = [threading.Thread(target=bind, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(won), len(lost)) == (1, 7)
    assert load_bindings(path).names == {"alice": Account(KC, won[0])}


def test_an_edit_that_would_change_others_is_refused(tmp_path: Path) -> None:
    path = old_file(tmp_path / "bindings.yml", "blocked: &b [name:a]\n")
    assert bindings_editor.block(path, "name:b")
    assert load_bindings(path).blocked == ("name:a", "name:b")
    shared = f"names:\n  a: {{issuer: {KC}, sub: &s name:a}}\nblocked:\n- *s\n- name:c\n"
    other = old_file(tmp_path / "other.yml", shared)
    with pytest.raises(BindingsFileError, match="has a form in which a change would change other"):
        bindings_editor.release(other, "a")
    assert other.read_text() == shared


@pytest.fixture
def users(path: Path) -> WatchedUsersFile:
    users_editor.add(path.with_name("users.yml"), "carol", HASH)
    return WatchedUsersFile(path.with_name("users.yml"), bindings=path)


def test_look_ups(users: WatchedUsersFile) -> None:
    directory: UserDirectory = users
    assert directory.binding("alice") == directory.binding("ALICE") == ALICE
    assert directory.binding("carol") is None
    assert directory.bound_name(*ALICE) == "alice"
    assert directory.bound_name(GOOGLE, "7") is None


@pytest.mark.parametrize(
    ("source", "account", "sub", "expected"),
    [
        ("oidc:kc", "9/x", "kc:9/x", True),
        ("oidc:kc", "9", "kc:9", False),
        ("oidc:other", "9/x", "other:9/x", False),
        ("users", "9/x", "carol", False),
        ("oidc:kc", "1", "Eve", True),
        ("users", "", "eve", True),
        ("client:shop", "", "EVE", True),
        ("client:shop", "", "mallory", False),
    ],
)
def test_blocked_accounts_and_names(
    users: WatchedUsersFile, source: str, account: str, sub: str, expected: bool
) -> None:
    assert users.is_blocked(source, account, sub) is expected


def test_nobody_is_blocked_without_a_file(tmp_path: Path) -> None:
    users = WatchedUsersFile(tmp_path / "users.yml")
    assert users.bindings_path == tmp_path / "bindings.yml"
    assert not users.is_blocked("oidc:kc", "9/x", "Eve")


def test_a_change_applies_and_a_broken_file_keeps_the_bindings(
    users: WatchedUsersFile, path: Path
) -> None:
    assert users.reload_if_changed() is None
    old_file(path, "blocked: [name:carol]\n")
    assert users.reload_if_changed() == ""
    assert users.version == 1
    assert users.is_blocked("users", "", "carol")
    assert users.binding("alice") is None
    old_file(path, "blocked: 1\n")
    assert (
        users.reload_if_changed() == f"{path}:1: blocked: must be a list: write it as [name:alice]"
    )
    assert users.version == 1
    assert users.is_blocked("users", "", "carol")
    # A change of the other file does not hide the problem.
    users_editor.set_disabled(users.path, "carol", True)
    os.utime(users.path, (1, 1))
    assert "blocked: must be a list" in str(users.reload_if_changed())
    assert users.version == 2
    path.write_text("")
    os.utime(path, (2, 2))
    assert "is empty: restore it" in str(users.reload_if_changed())
    path.unlink()
    assert "does not exist" in str(users.reload_if_changed())
    assert users.is_blocked("users", "", "carol")
    old_file(path, "{}\n")
    assert users.reload_if_changed() == ""
    assert not users.is_blocked("users", "", "carol")


def test_a_broken_file_is_refused_at_the_start_and_at_a_reload(
    users: WatchedUsersFile, path: Path
) -> None:
    path.unlink()
    with pytest.raises(BindingsFileError, match="does not exist"):
        WatchedUsersFile(users.path, users, bindings=path)
    old_file(path, "blocked: 1\n")
    with pytest.raises(BindingsFileError, match="must be a list"):
        WatchedUsersFile(users.path, bindings=path)


def test_a_name_that_this_replica_binds_is_known_at_once(
    users: WatchedUsersFile, path: Path
) -> None:
    users.bind("kc:dave", *BOB)
    assert users.binding("kc:dave") == BOB
    assert users.version == 1
    users.bind("kc:dave", *BOB)
    users_editor.add_link(users.path, "carol", KC, "9")
    os.utime(users.path, (1, 1))
    assert users.reload_if_changed() == ""
    with pytest.raises(BindingTakenError, match="the name alice is bound to another account"):
        users.bind("alice", KC, "10")
    with pytest.raises(BindingTakenError, match="belongs to a user"):
        users.bind("Carol", KC, "10")
    with pytest.raises(BindingTakenError, match="the account is linked to carol"):
        users.bind("kc:erin", KC, "9")


def test_warnings_of_the_bindings(users: WatchedUsersFile, path: Path) -> None:
    before = users.warnings
    path.chmod(0o644)
    message = f"{path} is readable by every account of this machine: chmod 600 {path}"
    assert (before, users.warnings) == ((), (message,))
