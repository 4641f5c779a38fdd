"""`authgw user`: output, refusals and the file; real processes where a test needs its own."""

import json
import os
import pty
import random
import re
import stat
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import Result

from authgw.identity import users_editor
from authgw.identity.passwords import digest, hash_password, verify
from authgw.identity.totp import recovery_digest
from authgw.identity.user_entry import UserEntry
from authgw.identity.users_file import load_users
from tests.support.processes import AUTHGW, authgw_here

PASSWORD = "tuck-vole-brim-seventy"


def said(folder: Path, *words: str, line: str = "") -> str:
    """Return the stdout of a command that succeeds."""
    done = run(folder, *words, line=line)
    assert done.exit_code == 0, done.stderr
    return done.stdout


def run(folder: Path, *words: str, line: str | bytes = "") -> Result:
    """Run `authgw user`; a failure is a sentence and a status, never an exception."""
    done = authgw_here(folder, "user", *words, stdin=line)
    assert done.exception is None or isinstance(done.exception, SystemExit)
    return done


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    users_editor.add(tmp_path / "users.yml", "alice", hash_password(PASSWORD), groups=("users",))
    return tmp_path


def entry_of(folder: Path, name: str = "alice") -> UserEntry:
    return load_users(folder / "users.yml")[name]


def test_add_and_passwd(tmp_path: Path) -> None:
    folder, path = tmp_path, tmp_path / "users.yml"
    said(folder, "add", "alice", "--group", "users", "--password-stdin", line=f"{PASSWORD}\n")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert verify(entry_of(folder).password, PASSWORD)
    bob = ("--email", "b@example.com", "--full-name", "Bob Ünal", "--group", "a", "--group", "b")
    made = said(folder, "add", "bob", *bob, "--generate").strip()
    assert re.fullmatch(r"([a-z]{4}-){4}[a-z]{4}", made)
    kept = entry_of(folder, "bob")
    assert verify(kept.password, made)
    assert (kept.groups, kept.email, kept.name) == (("a", "b"), "b@example.com", "Bob Ünal")
    done = run(folder, "passwd", "alice", "--password-stdin", line="  brim vole tuck 70 \r\n")
    assert done.stderr.endswith(
        "All sessions of alice end, app passwords stay valid. Takes effect within a second.\n"
    )
    assert verify(entry_of(folder).password, "  brim vole tuck 70 ")
    made = said(folder, "passwd", "alice", "--generate").strip()
    assert verify(entry_of(folder).password, made)


def test_a_generated_password_has_the_configured_length(folder: Path) -> None:
    (folder / "config.yml").write_text("auth: {passwords: {min_length: 40}}\n")
    assert len(said(folder, "passwd", "alice", "--generate").strip()) == 44
    done = run(folder, "passwd", "alice", "--password-stdin", line=PASSWORD)
    assert "use at least 40 characters" in done.stderr


def test_disable_enable_and_list(folder: Path) -> None:
    said(folder, "add", "bob", "--generate")
    said(folder, "totp", "bob")
    words = ("--path", "/dav/**", "--path", "=/x", "--expires", "90d")
    said(folder, "app-password", "bob", "--name", "laptop", *words)
    said(folder, "app-password", "bob", "--name", "phone")
    said(folder, "disable", "bob")
    (folder / "users.yml").chmod(0o644)
    done = run(folder, "list")
    alice, bob = done.stdout.splitlines()
    assert alice == "alice: groups users"
    until = r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ"
    assert re.fullmatch(
        r"bob: no groups, second factor, disabled, app passwords "
        rf"laptop \(for /dav/\*\* =/x, until {until}\); phone \(for every path, does not expire\)",
        bob,
    )
    assert f"chmod 600 {folder}/users.yml" in done.stderr
    shown = json.loads(said(folder, "list", "--json"))
    assert [one["user"] for one in shown] == ["alice", "bob"]
    assert (shown[1]["totp"], shown[1]["disabled"], shown[0]["groups"]) == (True, True, ["users"])
    laptop, phone = shown[1]["app_passwords"]
    assert phone == {"name": "phone", "paths": [], "expires_at": None}
    left = datetime.fromisoformat(laptop["expires_at"]) - datetime.now(UTC)
    assert left.days in (89, 90)
    kept = entry_of(folder, "bob")
    assert kept.totp is not None
    for secret in (kept.password, kept.totp.secret, kept.app_passwords[0].sha256):
        assert secret not in done.stdout + json.dumps(shown)
    assert said(folder, "enable", "bob") == ""
    assert not entry_of(folder, "bob").disabled


def test_set(folder: Path) -> None:
    said(folder, "add", "bob", "--group", "a", "--email", "b@example.com", "--generate")
    before = entry_of(folder, "bob")
    words = ("--groups", "b,a", "--full-name", "Bob Ünal", "--email", "")
    assert run(folder, "set", "BOB", *words).stderr.endswith(
        "Changed bob. Takes effect within a second.\n"
    )
    after = entry_of(folder, "bob")
    assert (after.groups, after.email, after.name) == (("a", "b"), "", "Bob Ünal")
    assert after.password == before.password
    assert run(folder, "set", "bob", *words).stderr == "bob has these values already.\n"
    said(folder, "set", "bob", "--groups", "")
    assert entry_of(folder, "bob").groups == ()
    assert entry_of(folder, "bob").name == "Bob Ünal"


def test_remove(folder: Path) -> None:
    said(folder, "add", "bob", "--generate")
    done = run(folder, "remove", "Alice", "--yes")
    assert done.stdout == ""
    assert done.stderr.endswith(
        "Removed alice: its sessions and app passwords end. Takes effect within a second.\n"
    )
    assert list(load_users(folder / "users.yml")) == ["bob"]
    said(folder, "remove", "bob", "--yes")
    # An empty file is refused by running gateways, which keep the users from before.
    assert (folder / "users.yml").read_text() == "{}\n"


@pytest.mark.parametrize(("typed", "status"), [("y", 0), ("n", 1), ("", 1)])
def test_remove_waits_for_confirmation(folder: Path, typed: str, status: int) -> None:
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [str(AUTHGW), "user", "remove", "ALICE"],
        cwd=folder,
        stdin=theirs,
        stdout=subprocess.PIPE,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    seen = b""
    while b"Remove the user alice? [y/N]: " not in seen:
        seen += os.read(ours, 1024)
    os.write(ours, f"{typed}\n".encode())
    assert process.stdout is not None
    assert process.stdout.read() == b""
    assert process.wait(20) == status
    process.stdout.close()
    os.close(ours)
    assert ("alice" in load_users(folder / "users.yml")) == bool(status)


def test_output_for_programs(folder: Path) -> None:
    made = json.loads(said(folder, "add", "bob", "--generate", "--json"))
    assert made["user"] == "bob"
    assert verify(entry_of(folder, "bob").password, made["password"])
    given = said(folder, "passwd", "bob", "--password-stdin", "--json", line=f"{PASSWORD}\n")
    assert json.loads(given) == {"user": "bob"}
    factor = json.loads(said(folder, "totp", "bob", "--json"))
    assert factor["uri"].startswith("otpauth://totp/")
    kept = entry_of(folder, "bob").totp
    assert kept is not None
    assert tuple(map(recovery_digest, factor["recovery_codes"])) == kept.recovery
    secret = json.loads(said(folder, "app-password", "bob", "--name", "x", "--json"))
    assert (secret["user"], secret["name"]) == ("bob", "x")
    assert entry_of(folder, "bob").app_passwords[0].sha256 == digest(secret["password"])
    assert json.loads(said(folder, "app-password", "bob", "--list", "--json")) == [
        {"name": "x", "paths": [], "expires_at": None}
    ]


def test_totp(folder: Path) -> None:
    (folder / "config.yml").write_text("auth: {issuer: My gate}\n")
    printed = said(folder, "totp", "alice")
    secret = re.search(r"^otpauth://totp/My%20gate:alice\?secret=([A-Z2-7]{32})&", printed)
    assert secret is not None
    kept = entry_of(folder).totp
    assert kept is not None
    assert kept.secret == secret[1]
    codes = re.findall(r"^[0-9a-z]{4}(?:-[0-9a-z]{4}){3}$", printed, re.MULTILINE)
    assert len(codes) == 10
    assert tuple(map(recovery_digest, codes)) == kept.recovery
    assert not any(code in (folder / "users.yml").read_text() for code in codes)
    assert "▀" in printed
    assert "remove it first" in run(folder, "totp", "alice").stderr
    assert "Removed the second factor of alice" in run(folder, "totp", "alice", "--remove").stderr
    assert entry_of(folder).totp is None


def test_app_passwords(folder: Path) -> None:
    secret = said(folder, "app-password", "alice", "--name", "laptop").strip()
    assert re.fullmatch(r"agw_[A-Za-z0-9_-]{43}", secret)
    assert entry_of(folder).app_passwords[0].sha256 == digest(secret)
    listed = said(folder, "app-password", "alice", "--list")
    assert listed == "laptop (for every path, does not expire)\n"
    revoked = run(folder, "app-password", "alice", "--revoke", "laptop")
    assert "\nRevoked laptop" in revoked.stderr
    assert entry_of(folder).app_passwords == ()


@pytest.mark.parametrize(
    ("words", "line", "status", "what"),
    [
        (
            ["add", "alice", "--generate"],
            "",
            1,
            "alice exists already: choose another",
        ),
        (["add", "a:b", "--generate"], "", 1, "the name of this user contains `:`"),
        (
            ["add", "bob", "--group", "a b", "--generate"],
            "",
            1,
            "bob.groups[0]: is not a valid name of a group",
        ),
        (["add", "bob", "--email", "x\ny", "--generate"], "", 1, "bob.email: contains a control"),
        (["add", "bob", "--password-stdin"], "hush", 1, "use at least 8 characters"),
        (["add", "bob", "--password-stdin"], "password1\n", 1, "too easily guessed"),
        (["add", "bobolink9", "--password-stdin"], "Bobolink9\n", 1, "too easily guessed"),
        (["add", "bob", "--password-stdin"], b"\xff\xfe\n", 1, "is not UTF-8 text"),
        (["add", "bob", "--password-stdin", "--generate"], "", 2, "give either"),
        (["add", "bob"], PASSWORD, 2, "no terminal for the password prompt"),
        (["passwd", "bob", "--generate"], "", 1, "has no user of this name"),
        (["disable", "bob"], "", 1, "has no user of this name"),
        (["enable", "bob"], "", 1, "has no user of this name"),
        (["totp", "bob"], "", 1, "has no user of this name"),
        (["app-password", "bob", "--list"], "", 1, "has no user of this name"),
        (["set", "bob", "--email", "b@example.com"], "", 1, "has no user of this name"),
        (["set", "alice"], "", 2, "give at least one of --groups, --email and --full-name"),
        (
            ["set", "alice", "--groups", "a b"],
            "",
            1,
            "alice.groups[0]: is not a valid name of a group",
        ),
        (["set", "alice", "--email", "x\ny"], "", 1, "alice.email: contains a control"),
        (["remove", "bob", "--yes"], "", 1, "has no user of this name"),
        (["remove", "alice"], "y\n", 2, "no terminal for the confirmation: use --yes"),
        (["totp", "alice", "--remove", "--json"], "", 2, "omit --remove"),
        (["app-password", "alice", "--revoke", "x", "--json"], "", 2, "needs --name or --list"),
        (["app-password", "alice"], "", 2, "give exactly one of --name, --list and --revoke"),
        (["app-password", "alice", "--name", "x", "--list"], "", 2, "give exactly one"),
        (["app-password", "alice", "--list", "--path", "/x"], "", 2, "need --name"),
        (["app-password", "alice", "--revoke", "x", "--expires", "1d"], "", 2, "need --name"),
        (["app-password", "alice", "--revoke", "x"], "", 1, "no app password of this name"),
        (["app-password", "alice", "--name", "a b"], "", 1, "[0].name: is not a valid name"),
        (
            ["app-password", "alice", "--name", "x", "--path", "x"],
            "",
            1,
            "[0].paths[0]: is not a path",
        ),
        (["app-password", "alice", "--name", "x", "--expires", "90"], "", 2, "such as 90d or 12h"),
        (["app-password", "alice", "--name", "x", "--expires", "0d"], "", 2, "such as 90d or 12h"),
        (["app-password", "alice", "--name", "x", "--expires", "9999999999d"], "", 2, "such as"),
    ],
)
def test_usage_errors_are_clear_and_change_nothing(
    folder: Path, words: list[str], line: str | bytes, status: int, what: str
) -> None:
    before = (folder / "users.yml").read_bytes()
    done = run(folder, *words, line=line)
    assert (done.exit_code, what in done.stderr) == (status, True), done.stderr
    assert done.stdout == ""
    assert "hush" not in done.stderr
    assert (folder / "users.yml").read_bytes() == before


def test_the_password_prompt_repeats_without_echo(folder: Path) -> None:
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [str(AUTHGW), "user", "passwd", "alice"],
        cwd=folder,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    typed = "brim vole tuck 70"
    for question in (b"Password: ", b"Repeat: "):
        seen = b""
        while question not in seen:
            seen += os.read(ours, 1024)
        os.write(ours, f"{typed}\n".encode())
    seen = b""
    while b"All sessions of alice end" not in seen:
        seen += os.read(ours, 1024)
    assert process.wait(20) == 0
    os.close(ours)
    assert typed.encode() not in seen
    assert verify(entry_of(folder).password, typed)


def test_editors_at_once_lose_nothing(folder: Path) -> None:
    editors = [
        subprocess.Popen(
            [str(AUTHGW), "user", "add", f"u{number}", "--generate"],
            cwd=folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for number in range(8)
    ]
    assert [editor.wait(60) for editor in editors] == [0] * 8
    assert set(load_users(folder / "users.yml")) == {"alice", *(f"u{n}" for n in range(8))}


EDIT_FOR_EVER = """
import itertools, sys, pathlib
from authgw.identity import users_editor
for round in itertools.count():
    users_editor.set_disabled(pathlib.Path(sys.argv[1]), "u0", round % 2 == 0)
    if round == 1:
        print("ready", flush=True)
"""


def test_an_editor_that_is_killed_leaves_a_whole_file(tmp_path: Path) -> None:
    path, hashed, dice = tmp_path / "users.yml", hash_password(PASSWORD), random.Random(4)
    for number in range(50):
        users_editor.add(path, f"u{number}", hashed)
    for _ in range(12):
        editor = subprocess.Popen(
            [sys.executable, "-c", EDIT_FOR_EVER, str(path)], stdout=subprocess.PIPE
        )
        assert editor.stdout is not None
        assert editor.stdout.readline() == b"ready\n"
        time.sleep(dice.uniform(0, 0.05))
        editor.kill()
        editor.wait(10)
        editor.stdout.close()
        assert len(load_users(path)) == 50
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    # The lock went with its holder.
    assert users_editor.set_disabled(path, "u1", True)


def test_config_check_reports_every_problem_of_the_users_file(folder: Path) -> None:
    path = folder / "users.yml"
    path.chmod(0o644)
    done = authgw_here(folder, "config", "check")
    assert (done.exit_code, f"warning: {path} is readable" in done.stderr) == (0, True)
    path.write_text("a: {}\nb: {}\n")
    (folder / "clients.yml").write_text("shop: {}\n")
    done = authgw_here(folder, "config", "check")
    assert done.exit_code == 1
    for line in (
        f"{path}:1: a.password: is missing",
        f"{path}:2: b.password: is missing",
        "clients.yml:1: shop.secret_sha256: is not the SHA-256",
    ):
        assert line in done.stderr


def test_names_are_taken_in_any_case_and_no_two_may_be_alike(folder: Path) -> None:
    path = folder / "users.yml"
    refused = run(folder, "add", "ALICE", "--generate")
    assert (refused.exit_code, "alice exists already" in refused.stderr) == (1, True)
    for words in (("disable", "Alice"), ("enable", " ALICE"), ("passwd", "aLice", "--generate")):
        done = run(folder, *words)
        assert (done.exit_code, "alice" in done.stderr) == (0, True)
    said(folder, "app-password", "Alice", "--name", "laptop")
    assert said(folder, "app-password", "ALICE", "--list").startswith("laptop ")
    path.write_text(f"{path.read_text()}Alice:\n  password: {entry_of(folder).password}\n")
    (folder / "config.yml").write_text("rules: [{allow: ['user:aLICE', 'user:bob']}]\n")
    done = authgw_here(folder, "config", "check")
    assert (done.exit_code, "alice and Alice differ only in case" in done.stderr) == (0, True)
    assert "user:aLICE" not in done.stderr, "it could be either"
    assert run(folder, "disable", "ALICE").exit_code == 1
    path.write_text(path.read_text().partition("Alice:\n")[0])
    done = authgw_here(folder, "config", "check")
    assert "user:aLICE is spelled alice in the users file: write user:alice" in done.stderr


def test_an_edit_by_a_command_preserves_the_rest_of_the_file(folder: Path) -> None:
    path = folder / "users.yml"
    text = f"# ours\n{path.read_text()}  # since 2019\n\n# the end\n"
    path.write_text(text)
    said(folder, "disable", "alice")
    said(folder, "enable", "alice")
    assert path.read_text() == text
