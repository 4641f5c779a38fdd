"""The users file: validation, error messages, and reload while the gateway runs."""

import asyncio
import itertools
import os
import time
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authgw.core.users import UserDirectory
from authgw.identity.passwords import DUMMY_HASH, decoy_like, digest, hash_password, is_hash, verify
from authgw.identity.user_entry import UserEntry, mark
from authgw.identity.user_values import check_name
from authgw.identity.users_file import (
    UsersFileError,
    load_users,
    permission_warnings,
    read_users,
    validate_entry,
)
from authgw.identity.users_watcher import WatchedUsersFile, watch
from tests.support.users import HASH, OTHER, SECRET

DIGEST = digest("agw_x")
WHOLE = f"""\
alice:
  password: {HASH}
  groups: [users, "team:a"]
  email: alice@example.com
  name: Alice Ünal
  totp:
    secret: {SECRET}
    recovery: [{digest("code")}]
  app_passwords:
    - name: laptop
      sha256: {DIGEST}
      paths: [/dav/**]
      expires: 2027-02-20T10:00:00Z
    - {{name: phone, sha256: "{digest("other")}"}}
bob: {{password: "{HASH}", disabled: true}}
"""
_times = itertools.count(1)


def write(path: Path, text: str) -> Path:
    """Write a file with an old time of change that differs from all earlier times."""
    path.write_text(text)
    set_old_time(path)
    return path


def set_old_time(path: Path) -> None:
    timestamp = next(_times)
    os.utime(path, (timestamp, timestamp))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return write(tmp_path / "users.yml", WHOLE)


def test_all_fields_of_entry(path: Path) -> None:
    users: UserDirectory = WatchedUsersFile(path)
    alice, bob = users.find("alice"), users.find("bob")
    assert alice is not None
    assert bob is not None
    assert (alice.sub, alice.groups) == ("alice", ("users", "team:a"))
    assert alice.profile == {"email": "alice@example.com", "name": "Alice Ünal"}
    assert (alice.disabled, alice.has_totp) == (False, True)
    assert (bob.disabled, bob.has_totp, bob.groups) == (True, False, ())
    assert users.find("Alice") is None
    laptop, phone = users.app_password(DIGEST), users.app_password(digest("other"))
    assert laptop is not None
    assert phone is not None
    assert (laptop.sub, laptop.name) == ("alice", "laptop")
    assert laptop.expires_at == 1803117600
    assert [pattern.source for pattern in laptop.paths] == ["/dav/**"]
    assert (phone.paths, phone.expires_at) == ((), None)
    assert users.app_password(digest("third")) is None


def test_login_lookups(path: Path) -> None:
    users = WatchedUsersFile(path)
    assert users.password_hash("alice") == HASH
    assert users.password_hash("nobody") is None
    assert users.totp_secret("alice") == SECRET
    assert users.totp_secret("bob") is None
    assert users.totp_secret("nobody") is None
    assert users.has_recovery("alice", digest("code"))
    assert not users.has_recovery("alice", digest("other"))
    assert not users.has_recovery("bob", digest("code"))
    assert not users.has_recovery("nobody", digest("code"))


def test_repr_contains_no_secret(path: Path) -> None:
    text = repr(load_users(path))
    for secret in (HASH, SECRET, DIGEST, digest("code"), "c2Fsd"):
        assert secret not in text


def test_decoy_has_equal_cost_and_matches_no_password(tmp_path: Path) -> None:
    real, slow = hash_password("correct"), HASH.replace("t=1", "t=9")
    text = f"alice: {{password: '{real}'}}\nbob: {{password: '{slow}'}}\n"
    users = WatchedUsersFile(write(tmp_path / "users.yml", text))
    assert users.decoy("bob").split("$")[:4] == slow.split("$")[:4]
    assert not verify(users.decoy("alice"), "correct")
    kinds = {users.decoy(f"nobody{number}").split("$")[3] for number in range(50)}
    assert kinds == {"m=19456,t=2,p=1", "m=8,t=9,p=1"}
    assert len({users.decoy("\ud800").split("$")[3] for _ in range(9)}) == 1
    assert WatchedUsersFile(tmp_path / "none.yml").decoy("x") == DUMMY_HASH
    assert is_hash(decoy_like(HASH))


def test_marks_identify_the_password_not_its_hash() -> None:
    fresh = UserEntry(password=HASH)
    assert fresh.password_marks == {mark(HASH)}
    assert len(mark(HASH)) == 16
    rehashed = UserEntry(password=OTHER, same_password=(mark(HASH), mark(OTHER)))
    assert rehashed.password_marks == {mark(HASH), mark(OTHER)}
    by_hand = UserEntry(password=HASH.replace("t=1", "t=2"), same_password=rehashed.same_password)
    assert by_hand.password_marks == {mark(by_hand.password)}


LINE = f'password: "{HASH}"'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a:\n  groups: [x]", "1: a.password: is missing: add it"),
        (f"a:\n  {LINE}\n  totp: {{secret: hush}}", "3: a.totp.secret: is not base32"),
        (f"a:\n  {LINE}\n  totp: {{secret: 7}}", "3: a.totp.secret: is not text: put it in"),
        (f"a:\n  {LINE}\n  totp: hush", "3: a.totp: must be a section"),
        ("a:\n  password: hush", "2: a.password: is not an argon2id hash"),
        (f"a:\n  password: {HASH[:40]}", "2: a.password: is not an argon2id hash"),
        (f"a:\n  {LINE}\n  groups: users", "3: a.groups: must be a list"),
        (f"a:\n  {LINE}\n  groups:\n  - x\n  - hush hush", "5: a.groups[1]: is not a valid name"),
        (f"a:\n  {LINE}\n  groups: [{','.join(['g' * 64] * 64)}]", "3: a.groups: have more"),
        (f"a:\n  {LINE}\n  email: 'hush '", "3: a.email: is too long, or"),
        (f"a:\n  {LINE}\n  email: {'é' * 128}", "3: a.email: is too long, or"),
        (f"a:\n  {LINE}\n  name: 'hush\\u2028x'".replace("'", '"'), "3: a.name: contains a"),
        (f"a:\n  {LINE}\n  name: 7", "3: a.name: is not text"),
        (f"a:\n  {LINE}\n  disabled: 'no'", "3: a.disabled: must be true or false"),
        (f"a:\n  {LINE}\n  same_password: [hush]", "3: a.same_password[0]: is not the mark"),
        ("a: hush", "1: a: must be a section"),
        (f"'hush:x': {{{LINE}}}", "1: the name of this user contains `:`"),
        (f"' hush': {{{LINE}}}", "1: the name of this user is too long, or"),
        (f"'': {{{LINE}}}", "1: the name of this user is empty"),
        (f'"hush\\x07": {{{LINE}}}', "1: the name of this user contains a control"),
        (f"e\u0301: {{{LINE}}}", "1: the name of this user contains combining"),
        (f"\n7: {{{LINE}}}", "2: this key is not text: put it in quotes"),
        (f"a: {{{LINE}}}\na: {{{LINE}}}", "2: this key is duplicated"),
        (f"a:\n  {LINE}\n  {LINE}", "3: this key is duplicated"),
        (f"a: {{{LINE}, groups: [{{x: 1, x: 2}}]}}", "1: this key is duplicated"),
        ("a: {}\n---\nb: {}", "2: a second document begins"),
        ("[hush]", "1: must be entries: begin"),
        ("hush", "1: must be entries: begin"),
        ("a: {\n", "2: is not valid YAML"),
        ("a:\n  b: *hush", "2: is not valid YAML"),
        ("a:\n  b: !hush x", "1: is not valid YAML"),
        ("a: {b: !!bool hush}", "1: is not valid YAML"),
        ("a: &x [*x]", "1: a: must be a section"),
        (f"a: {'[' * 5000}", " is not valid YAML"),
        ("a: \x07", " is not valid YAML"),
    ],
)
def test_errors_name_line_and_no_value(tmp_path: Path, text: str, message: str) -> None:
    path = write(tmp_path / "users.yml", text)
    with pytest.raises(UsersFileError) as caught:
        load_users(path)
    assert any(line.startswith(f"{path}:{message}") for line in str(caught.value).splitlines())
    assert "hush" not in str(caught.value)
    assert HASH[:40] not in str(caught.value)


@pytest.mark.parametrize(
    ("app_password", "message"),
    [
        (f"name: x, sha256: '{'0' * 63}'", "[0].sha256: is not a SHA-256"),
        (f"name: 'a b', sha256: '{DIGEST}'", "[0].name: is not a valid name"),
        (f"name: x, sha256: '{DIGEST}', paths: [dav]", "[0].paths[0]: is not a path"),
        (f"name: x, sha256: '{DIGEST}', paths: /dav", "[0].paths: must be a list"),
        (f"name: x, sha256: '{DIGEST}', expires: 90d", "[0].expires: is not a point"),
        (f"name: x, sha256: '{DIGEST}', expires: 2027-02-20", "[0].expires: is not a point"),
        (f"name: x, sha256: '{DIGEST}', expires: 2027-02-20T10:00:00", "[0].expires: has no time"),
    ],
)
def test_errors_in_app_passwords(tmp_path: Path, app_password: str, message: str) -> None:
    text = f"a:\n  {LINE}\n  app_passwords:\n    - {{{app_password}}}\n"
    with pytest.raises(UsersFileError) as caught:
        load_users(write(tmp_path / "users.yml", text))
    assert f"users.yml:4: a.app_passwords{message}" in str(caught.value)


def test_duplicate_digests_and_app_password_names_are_refused(tmp_path: Path) -> None:
    app = f"{{name: x, sha256: '{DIGEST}'}}"
    other = f"{{name: x, sha256: '{digest('y')}'}}"
    text = f"a: {{{LINE}, app_passwords: [{app},\n{other}]}}\nb: {{{LINE}, app_passwords: [{app}]}}"
    with pytest.raises(UsersFileError) as caught:
        load_users(write(tmp_path / "users.yml", text))
    assert "users.yml:2: a.app_passwords[1]: is duplicated" in str(caught.value)
    assert "users.yml:3: b.app_passwords[0]: is duplicated" in str(caught.value)


def test_at_most_twenty_problems_are_reported(tmp_path: Path) -> None:
    path = write(tmp_path / "users.yml", "".join(f"u{n}: {{}}\n" for n in range(22)))
    with pytest.raises(UsersFileError) as caught:
        load_users(path)
    lines = str(caught.value).splitlines()
    assert len(lines) == 21
    assert lines[19] == f"{path}:20: u19.password: is missing: add it"
    assert lines[20] == "and 2 more"


@pytest.mark.parametrize("text", ["", "# nobody yet\n", "{}\n"])
def test_file_without_users(tmp_path: Path, text: str) -> None:
    assert load_users(write(tmp_path / "users.yml", text)) == {}
    assert load_users(tmp_path / "absent.yml") == {}


def test_unreadable_files(tmp_path: Path) -> None:
    with pytest.raises(UsersFileError, match="is not a regular file"):
        load_users(tmp_path)
    path = write(tmp_path / "users.yml", "")
    with pytest.raises(UsersFileError, match="is not a directory"):
        load_users(path / "users.yml")
    with pytest.raises(UsersFileError, match="does not exist"):
        read_users(tmp_path / "absent.yml")
    path.write_bytes(b"a: \xff")
    with pytest.raises(UsersFileError, match="is not UTF-8 text"):
        load_users(path)


@pytest.mark.parametrize(
    ("mode", "access"), [(0o604, "readable"), (0o602, "writable"), (0o606, "writable")]
)
def test_warning_for_file_accessible_to_everyone(path: Path, mode: int, access: str) -> None:
    path.chmod(0o640)
    assert WatchedUsersFile(path).warnings == ()
    path.chmod(mode)
    message = f"{path} is {access} by every account of this machine: chmod 600 {path}"
    assert WatchedUsersFile(path).warnings == (message,)
    assert permission_warnings(path / "absent") == ()


@given(st.text(max_size=300))
def test_accepted_names_are_valid_for_login(name: str) -> None:
    try:
        check_name(name)
    except ValueError:
        return
    assert 1 <= len(name.encode()) <= 255
    assert name == name.strip() == unicodedata.normalize("NFC", name)
    assert ":" not in name
    assert not any(unicodedata.category(char) in ("Cc", "Cs") for char in name)


@given(st.from_regex(r"[A-Za-z0-9._@-]{1,64}", fullmatch=True))
def test_ascii_names_are_accepted(name: str) -> None:
    assert validate_entry(name, {"password": HASH}).password == HASH


def test_invalid_entries_are_refused_with_reason() -> None:
    with pytest.raises(UsersFileError, match=r"^alice\.groups\[0\]: is not a valid name"):
        validate_entry("alice", {"password": HASH, "groups": ("a b",)})
    with pytest.raises(UsersFileError, match="the name of this user contains"):
        validate_entry("a:b", {"password": HASH})


def test_valid_change_is_loaded_and_invalid_change_keeps_users(path: Path) -> None:
    users = WatchedUsersFile(path)
    assert users.reload_if_changed() is None
    write(path, f"carol: {{{LINE}}}\n")
    assert users.version == 0
    assert users.reload_if_changed() == ""
    assert users.version == 1
    assert users.find("alice") is None
    assert users.find("carol") is not None
    write(path, f"carol: {{{LINE}}}\ndave: {{}}\n")
    assert users.reload_if_changed() == f"{path}:2: dave.password: is missing: add it"
    assert users.find("dave") is None
    assert users.find("carol") is not None
    # An error is reported once for each change.
    assert users.reload_if_changed() is None
    write(path, "carol: {}\n")
    assert "carol.password" in str(users.reload_if_changed())
    write(path, WHOLE)
    assert users.reload_if_changed() == ""
    assert users.find("alice") is not None


def test_removed_file_keeps_users(path: Path) -> None:
    users = WatchedUsersFile(path)
    path.unlink()
    assert users.reload_if_changed() == f"{path} does not exist: create it, or correct the path"
    assert users.reload_if_changed() is None
    assert users.find("alice") is not None
    write(path, "{}\n")
    assert users.reload_if_changed() == ""
    assert users.find("alice") is None


def test_emptied_file_keeps_users(path: Path) -> None:
    users = WatchedUsersFile(path)
    write(path, "")
    assert str(users.reload_if_changed()).startswith(f"{path} is empty: restore it")
    assert users.find("alice") is not None


def test_file_created_after_start_is_loaded(tmp_path: Path) -> None:
    users = WatchedUsersFile(tmp_path / "users.yml")
    assert users.find("alice") is None
    assert users.reload_if_changed() is None
    write(tmp_path / "users.yml", "")
    assert users.reload_if_changed() == ""
    write(tmp_path / "users.yml", WHOLE)
    assert users.reload_if_changed() == ""
    assert users.find("alice") is not None


def test_invalid_file_is_refused_at_start(tmp_path: Path) -> None:
    with pytest.raises(UsersFileError, match="is missing"):
        WatchedUsersFile(write(tmp_path / "users.yml", "a: {}"))


def test_file_written_just_now_is_read_at_next_check(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    users = WatchedUsersFile(path)
    path.write_text(f"carol: {{{LINE}}}\n")
    written = path.stat().st_mtime
    monkeypatch.setattr(time, "time", lambda: written + 0.05)
    assert users.reload_if_changed() is None
    monkeypatch.setattr(time, "time", lambda: written + 0.15)
    assert users.reload_if_changed() == ""
    # The clock of a file server may be ahead.
    path.write_text(f"dave: {{{LINE}}}\n")
    monkeypatch.setattr(time, "time", lambda: written - 60)
    assert users.reload_if_changed() == ""


def test_change_of_mode_triggers_reload(path: Path) -> None:
    users = WatchedUsersFile(path)
    write(path, "a: {}")
    assert users.reload_if_changed()
    status = path.stat()
    path.chmod(0o600)
    assert path.stat().st_mtime == status.st_mtime
    assert users.reload_if_changed()


async def test_watch_reports_errors_and_recovery(path: Path) -> None:
    users, reports = WatchedUsersFile(path), asyncio.Queue[str]()
    task = asyncio.create_task(watch(lambda: users, every=0.01, alarm=reports.put_nowait))
    # Written to another file and moved, as editors do, so that the file is always complete.
    write(path.with_name("broken"), "carol: {}\n").replace(path)
    async with asyncio.timeout(10):
        assert await reports.get() == f"{path}:1: carol.password: is missing: add it"
        write(path.with_name("well"), f"carol: {{{LINE}}}\n").replace(path)
        assert await reports.get() == ""
    assert users.find("carol") is not None
    assert reports.empty()
    task.cancel()


async def test_watch_continues_after_unexpected_exception(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    users, reports = WatchedUsersFile(path), asyncio.Queue[str]()
    results = iter([None, MemoryError("hush")])

    def reload() -> str | None:
        result = next(results, "")
        if isinstance(result, Exception):
            raise result
        return result

    monkeypatch.setattr(users, "reload_if_changed", reload)
    task = asyncio.create_task(watch(lambda: users, every=0.01, alarm=reports.put_nowait))
    async with asyncio.timeout(10):
        assert (await reports.get()).startswith(f"{path} cannot be read (MemoryError)")
        assert await reports.get() == ""
    task.cancel()
