"""Edits of the users file: atomicity, locking, file mode, and their effect on sessions."""

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
from authgw.identity.user_entry import mark
from authgw.identity.users_file import UsersFileError, load_users
from tests.support.users import HASH, OTHER, SECRET

END = datetime(2027, 2, 20, 10, tzinfo=UTC)
HASHES = [HASH.replace("t=1", f"t={number}") for number in range(1, 9)]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    created = tmp_path / "users.yml"
    users_editor.add(
        created, "alice", HASH, groups=("users",), email="a@example.com", name="Alice Ünal"
    )
    users_editor.add(created, "bob", HASH)
    return created


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def state_of(path: Path) -> tuple[int, int, int, bytes]:
    """Return identity, times of change and content of a file; reading does not change them."""
    status = path.stat()
    return status.st_ino, status.st_mtime_ns, status.st_ctime_ns, path.read_bytes()


def test_new_file_is_private_and_ordered(path: Path) -> None:
    assert mode_of(path) == 0o600
    assert path.read_text() == (
        f"alice:\n  password: {HASH}\n  groups:\n  - users\n  email: a@example.com\n"
        f"  name: Alice Ünal\nbob:\n  password: {HASH}\n"
    )


def test_edit_makes_file_private_and_preserves_other_entries(path: Path) -> None:
    path.chmod(0o644)
    users_editor.set_disabled(path, "alice", True)
    assert mode_of(path) == 0o600
    assert list(load_users(path)) == ["alice", "bob"]
    assert load_users(path)["alice"].email == "a@example.com"
    assert [item.name for item in path.parent.iterdir() if item.name.endswith(".new")] == []


def test_edit_preserves_group_permissions(path: Path) -> None:
    path.chmod(0o640)
    users_editor.add(path, "carol", HASH)
    assert path.stat().st_mode & 0o777 == 0o640


def test_duplicate_or_invalid_user_is_refused(path: Path) -> None:
    before = path.read_bytes()
    with pytest.raises(UsersFileError, match="alice exists already"):
        users_editor.add(path, "alice", OTHER)
    with pytest.raises(UsersFileError, match="the name of this user contains"):
        users_editor.add(path, "a:b", OTHER)
    with pytest.raises(UsersFileError, match=r"carol\.groups\[0\]: is not a valid name of a group"):
        users_editor.add(path, "carol", OTHER, groups=("a b",))
    with pytest.raises(UsersFileError, match=r"carol\.password: is not an argon2id hash"):
        users_editor.add(path, "carol", "hush")
    assert path.read_bytes() == before


def test_edit_of_unknown_user_is_refused(path: Path) -> None:
    before = state_of(path)
    with pytest.raises(UsersFileError, match="has no user of this name"):
        users_editor.set_disabled(path, "carol", True)
    with pytest.raises(UsersFileError, match="has no user of this name"):
        users_editor.remove(path, "carol")
    assert state_of(path) == before


def test_removed_user_is_not_in_the_file(path: Path) -> None:
    users_editor.remove(path, "ALICE")
    assert path.read_text() == f"bob:\n  password: {HASH}\n"


def test_profile_changes_leave_other_values_unchanged(path: Path) -> None:
    before = load_users(path)["alice"]
    assert users_editor.set_profile(path, "Alice", groups=["b", "users", "b"], email="")
    after = load_users(path)["alice"]
    assert (after.groups, after.email, after.name) == (("users", "b"), "", "Alice Ünal")
    assert after.password_marks == before.password_marks
    with pytest.raises(UsersFileError, match=r"alice\.groups\[0\]: is not a valid name of a group"):
        users_editor.set_profile(path, "alice", groups=["a b"])
    assert load_users(path)["alice"] == after


def test_edit_without_change_does_not_write(path: Path) -> None:
    before = state_of(path)
    assert not users_editor.set_disabled(path, "alice", False)
    assert not users_editor.remove_totp(path, "alice")
    assert not users_editor.set_profile(path, "alice", groups=["users"], email="a@example.com")
    assert not users_editor.remove_app_password(path, "alice", "laptop")
    assert state_of(path) == before


def test_disable_and_enable(path: Path) -> None:
    assert users_editor.set_disabled(path, "bob", True)
    assert load_users(path)["bob"].disabled
    assert users_editor.set_disabled(path, "bob", False)
    assert "disabled" not in path.read_text()


def test_rehash_keeps_sessions_and_new_password_ends_them(path: Path) -> None:
    assert users_editor.rehash(path, "alice", HASHES[0], HASHES[1])
    assert load_users(path)["alice"].password_marks == {mark(HASHES[0]), mark(HASHES[1])}
    users_editor.set_password(path, "alice", HASHES[2])
    assert load_users(path)["alice"].password_marks == {mark(HASHES[2])}
    assert "same_password" not in path.read_text()


def test_marks_of_last_four_hashes_are_kept(path: Path) -> None:
    for old, new in itertools.pairwise(HASHES):
        assert users_editor.rehash(path, "alice", old, new)
    assert load_users(path)["alice"].password_marks == set(map(mark, HASHES[-4:]))


def test_late_rehash_does_not_replace_new_password(path: Path) -> None:
    users_editor.set_password(path, "alice", OTHER)
    assert not users_editor.rehash(path, "alice", HASH, HASHES[1])
    assert load_users(path)["alice"].password == OTHER


def test_hash_set_by_hand_drops_marks_of_old_password(path: Path) -> None:
    users_editor.rehash(path, "alice", HASHES[0], HASHES[1])
    path.write_text(path.read_text().replace(HASHES[1], HASHES[2]))
    assert users_editor.rehash(path, "alice", HASHES[2], HASHES[3])
    assert load_users(path)["alice"].password_marks == {mark(HASHES[2]), mark(HASHES[3])}


def test_recovery_code_is_used_once(path: Path) -> None:
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
    with pytest.raises(UsersFileError, match=r"bob.app_passwords\[2\].paths\[0\]: is not a path"):
        users_editor.add_app_password(path, "bob", "x", paths=("dav",))
    assert users_editor.remove_app_password(path, "bob", "laptop")
    assert [item.name for item in load_users(path)["bob"].app_passwords] == ["phone"]


def test_invalid_file_is_not_overwritten(path: Path) -> None:
    path.write_text("alice: {}\n")
    with pytest.raises(UsersFileError, match=r"users\.yml:1: alice\.password: is missing"):
        users_editor.add(path, "carol", HASH)
    assert path.read_text() == "alice: {}\n"


def test_missing_directory(tmp_path: Path) -> None:
    with pytest.raises(UsersFileError, match="does not exist"):
        users_editor.add(tmp_path / "no" / "users.yml", "alice", HASH)


def test_failed_write_leaves_old_file(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    before = path.read_bytes()
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UsersFileError, match="the disk is full"):
        users_editor.set_disabled(path, "alice", True)
    assert path.read_bytes() == before


def test_symlink_is_preserved_and_its_target_replaced(path: Path, tmp_path: Path) -> None:
    link = tmp_path / "link" / "users.yml"
    link.parent.mkdir()
    link.symlink_to(path)
    users_editor.set_disabled(link, "alice", True)
    assert link.is_symlink()
    assert load_users(path)["alice"].disabled


def test_symlink_at_temporary_path_is_not_followed(path: Path, tmp_path: Path) -> None:
    (tmp_path / "victim").write_text("kept")
    (tmp_path / ".users.yml.new").symlink_to(tmp_path / "victim")
    with pytest.raises(UsersFileError):
        users_editor.set_disabled(path, "alice", True)
    assert (tmp_path / "victim").read_text() == "kept"


def test_leftover_temporary_file_is_overwritten(path: Path, tmp_path: Path) -> None:
    leftover = tmp_path / ".users.yml.new"
    leftover.write_text("alice: {passw" * 1000)
    leftover.chmod(0o644)
    users_editor.set_disabled(path, "alice", True)
    assert load_users(path)["alice"].disabled
    assert mode_of(path) == 0o600


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_root_preserves_file_owner(path: Path) -> None:
    os.chown(path, 4711, 4712)
    users_editor.set_disabled(path, "alice", True)
    status = path.stat()
    assert (status.st_uid, status.st_gid) == (4711, 4712)
    os.chown(path.parent, 4713, 4714)
    users_editor.add(path.with_name("new.yml"), "alice", HASH)
    assert path.with_name("new.yml").stat().st_uid == 4713
    assert path.with_name(".new.yml.lock").stat().st_uid == 4713


def test_concurrent_edits_are_serialised(path: Path) -> None:
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
