"""Edits of the users file: whole, alone, private, and with the sessions they are to keep."""

import itertools
import os
import stat
import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest

from authgw.files import atomic
from authgw.identity import users_editor
from authgw.identity.passwords import digest
from authgw.identity.users_file import UsersFileError, load_users, mark
from tests.support.users import HASH, OTHER, SECRET

END = datetime(2027, 2, 20, 10, tzinfo=UTC)
HASHES = [HASH.replace("t=1", f"t={number}") for number in range(1, 9)]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    made = tmp_path / "users.yml"
    users_editor.add(
        made, "alice", HASH, groups=("users",), email="a@example.com", name="Alice Ünal"
    )
    users_editor.add(made, "bob", HASH)
    return made


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def written(path: Path) -> tuple[int, int, int, bytes]:
    """Which file it is and when it was written; reading it changes nothing of this."""
    seen = path.stat()
    return seen.st_ino, seen.st_mtime_ns, seen.st_ctime_ns, path.read_bytes()


def test_a_file_is_made_private_and_in_order(path: Path) -> None:
    assert mode_of(path) == 0o600
    assert path.read_text() == (
        f"alice:\n  password: {HASH}\n  groups:\n  - users\n  email: a@example.com\n"
        f"  name: Alice Ünal\nbob:\n  password: {HASH}\n"
    )


def test_an_edit_makes_a_file_private_and_keeps_the_rest(path: Path) -> None:
    path.chmod(0o644)
    users_editor.set_disabled(path, "alice", True)
    assert mode_of(path) == 0o600
    assert list(load_users(path)) == ["alice", "bob"]
    assert load_users(path)["alice"].email == "a@example.com"
    assert [one.name for one in path.parent.iterdir() if one.name.endswith(".new")] == []


def test_an_edit_leaves_a_file_to_its_group(path: Path) -> None:
    path.chmod(0o640)
    users_editor.add(path, "carol", HASH)
    assert path.stat().st_mode & 0o777 == 0o640


def test_a_name_is_added_once(path: Path) -> None:
    before = path.read_bytes()
    with pytest.raises(UsersFileError, match="alice is there already"):
        users_editor.add(path, "alice", OTHER)
    with pytest.raises(UsersFileError, match="a user name must be without"):
        users_editor.add(path, "a:b", OTHER)
    with pytest.raises(UsersFileError, match=r"carol\.groups\.0: is no group"):
        users_editor.add(path, "carol", OTHER, groups=("a b",))
    with pytest.raises(UsersFileError, match=r"carol\.password: is no argon2id hash"):
        users_editor.add(path, "carol", "hush")
    assert path.read_bytes() == before


def test_nobody_is_edited_who_is_not_there(path: Path) -> None:
    before = written(path)
    with pytest.raises(UsersFileError, match="nobody of this name is there"):
        users_editor.set_disabled(path, "carol", True)
    assert written(path) == before


def test_an_edit_without_a_change_leaves_the_file(path: Path) -> None:
    before = written(path)
    assert not users_editor.set_disabled(path, "alice", False)
    assert not users_editor.remove_totp(path, "alice")
    assert not users_editor.remove_app_password(path, "alice", "laptop")
    assert written(path) == before


def test_disable_and_enable(path: Path) -> None:
    assert users_editor.set_disabled(path, "bob", True)
    assert load_users(path)["bob"].disabled
    assert users_editor.set_disabled(path, "bob", False)
    assert "disabled" not in path.read_text()


def test_a_rehash_keeps_sessions_and_a_new_password_ends_them(path: Path) -> None:
    assert users_editor.rehash(path, "alice", HASHES[0], HASHES[1])
    assert load_users(path)["alice"].marks == {mark(HASHES[0]), mark(HASHES[1])}
    users_editor.set_password(path, "alice", HASHES[2])
    assert load_users(path)["alice"].marks == {mark(HASHES[2])}
    assert "same_password" not in path.read_text()


def test_the_last_four_hashes_of_a_password_are_known(path: Path) -> None:
    for old, new in itertools.pairwise(HASHES):
        assert users_editor.rehash(path, "alice", old, new)
    assert load_users(path)["alice"].marks == set(map(mark, HASHES[-4:]))


def test_a_rehash_comes_too_late_for_another_password(path: Path) -> None:
    users_editor.set_password(path, "alice", OTHER)
    assert not users_editor.rehash(path, "alice", HASH, HASHES[1])
    assert load_users(path)["alice"].password == OTHER


def test_a_hash_put_in_by_hand_forgets_the_old_password(path: Path) -> None:
    users_editor.rehash(path, "alice", HASHES[0], HASHES[1])
    path.write_text(path.read_text().replace(HASHES[1], HASHES[2]))
    assert users_editor.rehash(path, "alice", HASHES[2], HASHES[3])
    assert load_users(path)["alice"].marks == {mark(HASHES[2]), mark(HASHES[3])}


def test_a_recovery_code_is_spent_once(path: Path) -> None:
    assert not users_editor.spend_recovery(path, "alice", digest("code"))
    users_editor.set_totp(path, "alice", SECRET, [digest("code"), digest("other")])
    assert users_editor.spend_recovery(path, "alice", digest("code"))
    assert not users_editor.spend_recovery(path, "alice", digest("code"))
    totp = load_users(path)["alice"].totp
    assert totp is not None
    assert (totp.secret, totp.recovery) == (SECRET, (digest("other"),))
    assert users_editor.spend_recovery(path, "alice", digest("other"))
    assert load_users(path)["alice"].totp is not None
    with pytest.raises(UsersFileError, match="remove it first"):
        users_editor.set_totp(path, "alice", SECRET, [])
    assert users_editor.remove_totp(path, "alice")
    assert load_users(path)["alice"].totp is None


def test_app_passwords(path: Path) -> None:
    secret = users_editor.add_app_password(path, "bob", "laptop", paths=("/dav/**",), expires=END)
    other = users_editor.add_app_password(path, "bob", "phone")
    assert (secret[:4], len(secret), secret == other) == ("agw_", 47, False)
    assert secret not in path.read_text()
    assert "expires: 2027-02-20T10:00:00Z\n" in path.read_text()
    laptop, phone = load_users(path)["bob"].app_passwords
    assert (laptop.sha256, laptop.paths, laptop.expires) == (digest(secret), ("/dav/**",), END)
    assert (phone.sha256, phone.paths, phone.expires) == (digest(other), (), None)
    with pytest.raises(UsersFileError, match="bob has an app password of this name"):
        users_editor.add_app_password(path, "bob", "phone")
    with pytest.raises(UsersFileError, match=r"bob.app_passwords.2.paths.0: is no path"):
        users_editor.add_app_password(path, "bob", "x", paths=("dav",))
    assert users_editor.remove_app_password(path, "bob", "laptop")
    assert [one.name for one in load_users(path)["bob"].app_passwords] == ["phone"]


def test_a_broken_file_is_never_written_over(path: Path) -> None:
    path.write_text("alice: {}\n")
    with pytest.raises(UsersFileError, match=r"users\.yml:1: alice\.password: is missing"):
        users_editor.add(path, "carol", HASH)
    assert path.read_text() == "alice: {}\n"


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UsersFileError, match="No such file"):
        users_editor.add(tmp_path / "no" / "users.yml", "alice", HASH)


def test_a_write_that_fails_leaves_the_old_file(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    before = path.read_bytes()
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UsersFileError, match="No space left on device"):
        users_editor.set_disabled(path, "alice", True)
    assert path.read_bytes() == before


def test_a_link_stays_and_its_file_is_replaced(path: Path, tmp_path: Path) -> None:
    link = tmp_path / "link" / "users.yml"
    link.parent.mkdir()
    link.symlink_to(path)
    users_editor.set_disabled(link, "alice", True)
    assert link.is_symlink()
    assert load_users(path)["alice"].disabled


def test_a_link_in_the_place_of_the_new_file_is_not_followed(path: Path, tmp_path: Path) -> None:
    (tmp_path / "victim").write_text("kept")
    (tmp_path / ".users.yml.new").symlink_to(tmp_path / "victim")
    with pytest.raises(UsersFileError):
        users_editor.set_disabled(path, "alice", True)
    assert (tmp_path / "victim").read_text() == "kept"


def test_what_a_killed_editor_left_is_written_over(path: Path, tmp_path: Path) -> None:
    left = tmp_path / ".users.yml.new"
    left.write_text("alice: {passw" * 1000)
    left.chmod(0o644)
    users_editor.set_disabled(path, "alice", True)
    assert load_users(path)["alice"].disabled
    assert mode_of(path) == 0o600


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_root_leaves_the_file_to_its_owner(path: Path) -> None:
    os.chown(path, 4711, 4712)
    users_editor.set_disabled(path, "alice", True)
    seen = path.stat()
    assert (seen.st_uid, seen.st_gid) == (4711, 4712)
    os.chown(path.parent, 4713, 4714)
    users_editor.add(path.with_name("new.yml"), "alice", HASH)
    assert path.with_name("new.yml").stat().st_uid == 4713
    assert path.with_name(".new.yml.lock").stat().st_uid == 4713


def test_one_editor_at_a_time(path: Path) -> None:
    added = threading.Event()

    def add() -> None:
        users_editor.add(path, "carol", HASH)
        added.set()

    editor = threading.Thread(target=add)
    with atomic.exclusive_lock(path):
        editor.start()
        assert not added.wait(0.1)
        assert "carol" not in load_users(path)
    editor.join(10)
    assert "carol" in load_users(path)
