"""Keys that this version does not know: their entry alone may not log in."""

from dataclasses import replace
from pathlib import Path

import pytest

from authgw.core.errors import SessionEndedError
from authgw.core.users import UserDirectory, principal_of, principal_of_app_password
from authgw.identity import users_editor
from authgw.identity.passwords import digest
from authgw.identity.user_entry import mark
from authgw.identity.users_file import UsersFileError, entry_warnings, load_users
from authgw.identity.users_watcher import WatchedUsersFile
from tests.support.builders import a_session
from tests.support.users import HASH, OTHER, SECRET

LINE = f'password: "{HASH}"'
APP = digest("agw_x")
NOTE = " Until then a cannot log in; a newer version of authgw may have written the key"


def users_of(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "users.yml"
    path.write_text(text)
    path.chmod(0o600)
    return path


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f"{LINE}\n  gruops: [x]", "3: a: unknown key: did you mean groups?"),
        (f"{LINE}\n  hush: [x]", "3: a: unknown key: use password, groups"),
        (f"{LINE}\n  totp:\n    hush:", "4: a.totp: unknown key: use secret"),
        (
            f"{LINE}\n  app_passwords:\n  - {{name: x, sha256: '{APP}', expire: 1}}",
            "4: a.app_passwords[0]: unknown key: did you mean expires?",
        ),
        (f"{LINE}\n  links: [{{isuer: hush}}]", "3: a.links[0]: unknown key: did you mean issuer?"),
        # Entries of a later version: without a password, and of a source that it adds.
        ("passkey_handle: hush", "2: a: unknown key: use password"),
        ("source: directory\n  account: hush", "2: a.source: is not a source that this version"),
    ],
)
def test_an_unknown_key_is_a_warning_and_its_user_may_not_log_in(
    tmp_path: Path, text: str, message: str
) -> None:
    path = users_of(tmp_path, f"a:\n  {text}\nbob: {{{LINE}}}\n")
    users: UserDirectory = WatchedUsersFile(path)
    alice, bob = users.find("a"), users.find("bob")
    assert alice is not None
    assert bob is not None
    assert (alice.disabled, bob.disabled) == (True, False)
    assert users.app_password(APP) is None
    assert users.resembles_user("A")
    (warning,) = entry_warnings(path, load_users(path))
    assert warning.startswith(f"{path}:{message}")
    assert warning.endswith(NOTE)
    assert "hush" not in warning


def test_sessions_and_app_passwords_of_the_entry_end(tmp_path: Path) -> None:
    text = f"{{{LINE}, later: 1, app_passwords: [{{name: x, sha256: '{APP}'}}]}}"
    users = WatchedUsersFile(users_of(tmp_path, f"alice: {text}\n"))
    session = replace(a_session("alice"), source="users", password_mark=mark(HASH))
    with pytest.raises(SessionEndedError):
        principal_of(session, users)
    password = users.app_password(APP)
    assert password is not None
    assert principal_of_app_password(password.sub, users) is None


def test_another_mistake_beside_an_unknown_key_still_refuses_the_file(tmp_path: Path) -> None:
    path = users_of(tmp_path, f"a:\n  {LINE}\n  later: 1\n  groups: hush\n")
    with pytest.raises(UsersFileError) as caught:
        load_users(path)
    assert str(caught.value) == (
        f"{path}:3: a: unknown key: use password, groups, email, name, disabled, totp, "
        "app_passwords, same_password, source, account, links, epoch\n"
        f"{path}:4: a.groups: must be a list: write it as [users]"
    )


def test_commands_change_other_entries_and_leave_unknown_keys(tmp_path: Path) -> None:
    path = users_of(tmp_path, f"alice: {{{LINE}, later: [1, 2]}}\nbob:\n  {LINE}\n")
    users_editor.set_disabled(path, "bob", True)
    assert (
        path.read_text() == f"alice: {{{LINE}, later: [1, 2]}}\nbob:\n  {LINE}\n  disabled: true\n"
    )
    before = path.read_bytes()
    message = "^the entry of alice has a key that this version of authgw does not know"
    with pytest.raises(UsersFileError, match=message):
        users_editor.set_password(path, "alice", OTHER)
    with pytest.raises(UsersFileError, match=message):
        users_editor.set_totp(path, "alice", SECRET, ())
    with pytest.raises(UsersFileError, match=message):
        users_editor.add_link(path, "alice", "https://id.test", "1")
    assert path.read_bytes() == before
    users_editor.remove(path, "alice")
    assert list(load_users(path)) == ["bob"]


def test_an_edit_that_would_change_an_unknown_key_of_another_entry_is_refused(
    tmp_path: Path,
) -> None:
    text = f"bob: {{{LINE}, groups: &g [x]}}\nalice: {{{LINE}, later: *g}}\n"
    path = users_of(tmp_path, text)
    with pytest.raises(UsersFileError, match="has a form in which its change would change others"):
        users_editor.set_profile(path, "bob", groups=["y"])
    assert path.read_text() == text
