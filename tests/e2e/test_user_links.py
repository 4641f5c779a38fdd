"""`authgw user link`, `unlink`, `block`, `unblock`, `binding`; what `config check` finds."""

import json
from pathlib import Path

import pytest

from authgw.identity import bindings_editor, users_editor
from authgw.identity.bindings_file import Account, load_bindings
from authgw.identity.passwords import DUMMY_HASH
from authgw.identity.users_file import load_users
from tests.support.processes import authgw_here

KC = "https://kc.example.com/realms/x"
CONFIG = f"""\
login:
  url: https://auth.example.com/login
  providers:
    company: {{issuer: {KC}, client_id: authgw, client_secret_file: kc, accept: linked}}
    hub: {{type: github, client_id: authgw, client_secret_file: kc, accept: linked}}
    mail: {{issuer: https://id.example.com, client_id: authgw, client_secret_file: kc,
           accept: linked, subject: email, email: trusted}}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    users_editor.add(tmp_path / "users.yml", "alice", DUMMY_HASH)
    users_editor.add(tmp_path / "users.yml", "bob", DUMMY_HASH)
    (tmp_path / "config.yml").write_text(CONFIG)
    (tmp_path / "kc").write_text("secret\n")
    (tmp_path / "kc").chmod(0o600)
    return tmp_path


def run(folder: Path, *words: str) -> tuple[int, str, str]:
    done = authgw_here(folder, *words)
    assert done.exception is None or isinstance(done.exception, SystemExit)
    return done.exit_code, done.stdout, done.stderr


def notes(folder: Path, *words: str) -> str:
    """Return stderr of a command that succeeds, without the line of its event."""
    status, _, text = run(folder, *words)
    assert status == 0, text
    return text


def refused(folder: Path, *words: str) -> str:
    before = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    status, printed, text = run(folder, *words)
    assert (status, printed) == (1, "")
    unchanged = {path.name: path.read_bytes() for path in folder.iterdir() if path.name in before}
    assert unchanged == before
    return text


def test_link_and_unlink(folder: Path) -> None:
    text = notes(folder, "user", "link", "Alice", "company", "7")
    assert text.endswith("Linked the account to alice. Takes effect within a second.\n")
    assert "user link alice, by operator" in text
    assert (
        notes(folder, "user", "link", "alice", "company", "7") == "alice has this link already.\n"
    )
    notes(folder, "user", "link", "alice", "hub", "4711")
    links = load_users(folder / "users.yml")["alice"].links
    assert [(link.issuer, link.sub) for link in links] == [
        (KC, "7"),
        ("https://github.com", "4711"),
    ]
    _, printed, _ = run(folder, "user", "list")
    assert printed.splitlines()[0] == (
        f"alice: no groups, linked to 7 at {KC}, linked to 4711 at https://github.com"
    )
    shown = json.loads(run(folder, "user", "list", "--json")[1])[0]
    assert shown["source"] == "users"
    assert shown["links"][0] == {"issuer": KC, "sub": "7"}
    assert "the account is linked to alice already" in refused(
        folder, "user", "link", "bob", "company", "7"
    )
    text = notes(folder, "user", "unlink", "ALICE", "company")
    assert text.endswith(
        "Unlinked alice: the sessions of linked accounts end. Takes effect within a second.\n"
    )
    assert len(load_users(folder / "users.yml")["alice"].links) == 1
    assert "alice has no link to company" in refused(folder, "user", "unlink", "alice", "company")


def test_links_that_are_refused(folder: Path) -> None:
    bindings_editor.bind(folder / "bindings.yml", "carol", Account(KC, "8"))
    assert "has no user of this name" in refused(folder, "user", "link", "eve", "company", "7")
    assert "write one of company, hub, mail" in refused(folder, "user", "link", "alice", "kc", "7")
    assert "write one of company, hub, mail" in refused(folder, "user", "unlink", "alice", "kc")
    assert "links[0].sub: contains a control" in refused(
        folder, "user", "link", "alice", "company", "a\tb"
    )
    assert "is bound to the name carol: release it first" in refused(
        folder, "user", "link", "alice", "company", "8"
    )
    assert "the name carol belongs to an account" in refused(
        folder, "user", "add", "Carol", "--generate"
    )
    (folder / "config.yml").write_text("login: {}\n")
    assert "has no provider of this name: add the section first" in refused(
        folder, "user", "link", "alice", "company", "7"
    )


def test_block_and_unblock(folder: Path) -> None:
    text = notes(folder, "user", "block", "oidc:company/7")
    assert text.endswith("Blocked. Takes effect within a second.\n")
    assert notes(folder, "user", "block", "oidc:company/7") == "It is blocked already.\n"
    assert notes(folder, "user", "block", "name:eve").endswith("within a second.\n")
    assert notes(folder, "user", "block", "oidc:kc/7").endswith(
        "warning: login.providers has no kc: correct the name\n"
    )
    blocked = ("oidc:company/7", "name:eve", "oidc:kc/7")
    assert load_bindings(folder / "bindings.yml").blocked == blocked
    assert "warning: the account is blocked" in notes(
        folder, "user", "link", "alice", "company", "7"
    )
    assert notes(folder, "user", "unblock", "name:eve").endswith(
        "Unblocked. Takes effect within a second.\n"
    )
    assert "it is not blocked" in refused(folder, "user", "unblock", "name:eve")
    assert "names no account: write oidc:NAME/SUB" in refused(folder, "user", "block", "eve")


def test_list_and_release_bindings(folder: Path) -> None:
    path = folder / "bindings.yml"
    bindings_editor.bind(path, "mail:carol@example.com", Account("https://id.example.com", "8"))
    bindings_editor.block(path, "name:eve")
    assert run(folder, "user", "binding", "list") == (
        0,
        "mail:carol@example.com: 8 at https://id.example.com\nblocked: name:eve\n",
        "",
    )
    assert json.loads(run(folder, "user", "binding", "list", "--json")[1]) == {
        "names": [
            {"name": "mail:carol@example.com", "issuer": "https://id.example.com", "sub": "8"}
        ],
        "blocked": ["name:eve"],
    }
    path.chmod(0o644)
    assert "is readable by every account" in run(folder, "user", "binding", "list")[2]
    text = notes(folder, "user", "binding", "release", "MAIL:carol@example.com", "--yes")
    assert "Released mail:carol@example.com. Takes effect within a second.\n" in text
    assert text.endswith("Sessions of the account that had it end with that.\n")
    assert load_bindings(path).names == {}
    assert "has no such name" in refused(folder, "user", "binding", "release", "x", "--yes")
    status, _, text = run(folder, "user", "binding", "release", "x")
    assert (status, "use --yes" in text) == (2, True)


def test_check_warns_of_names_that_belong_to_nobody(folder: Path) -> None:
    names = ["alice", "Alice", "eve", "company:7", "mail:x@example.com", "carol"]
    allowed = json.dumps([f"user:{name}" for name in names])
    rules = f"rules:\n  - {{host: auth.example.com, allow: {allowed}}}\n"
    (folder / "config.yml").write_text(f"{CONFIG}{rules}")
    bindings_editor.bind(folder / "bindings.yml", "carol", Account(KC, "8"))
    text = notes(folder, "config", "check")
    found = [line.partition("allow: ")[2] for line in text.splitlines() if "allow: user:" in line]
    remedy = (
        "is neither a user nor bound to an account: add the user, or list the name in auth.bindings"
    )
    assert found == [
        "user:Alice is spelled alice in the users file: write user:alice",
        f"user:eve {remedy}",
        f"user:mail:x@example.com {remedy}",
    ]


def test_check_warns_of_contested_names(folder: Path) -> None:
    path = folder / "bindings.yml"
    bindings_editor.bind(path, "Alice", Account(KC, "8"))
    bindings_editor.bind(path, "carol", Account(KC, "7"))
    users_editor.add_link(folder / "users.yml", "bob", KC, "7")
    text = notes(folder, "config", "check")
    assert f"warning: {path}: names.Alice is the name of a user, so that its account" in text
    assert f"warning: {path}: names.carol: its account is linked to bob and logs in as" in text
    assert "names.Alice is the name of a user" in authgw_here(folder, "doctor").output


def test_check_refuses_broken_bindings(folder: Path) -> None:
    (folder / "bindings.yml").write_text("blocked: 1\n")
    (folder / "bindings.yml").chmod(0o644)
    text = refused(folder, "config", "check")
    assert f"{folder}/bindings.yml:1: blocked: must be a list" in text
    assert "chmod 600" in text
    assert "bindings.yml:1: blocked: must be a list" in authgw_here(folder, "doctor").output


def test_rescue_prints_a_link(folder: Path) -> None:
    config = folder / "config.yml"
    config.write_text(CONFIG.replace("login:\n", "login:\n  passwords: false\n"))
    assert "no signing key: run `authgw key init` once" in refused(folder, "user", "rescue", "bob")
    assert run(folder, "key", "init")[0] == 0
    status, printed, text = run(folder, "user", "rescue", "Bob")
    assert (status, printed.count("\n")) == (0, 1)
    assert printed.startswith("https://auth.example.com/login/rescue?ticket=ey")
    assert text.endswith("The link logs bob in once, within 15 minutes.\n")
    assert "user rescue bob, by operator" in text
    assert printed.strip().partition("=")[2] not in text
    shown = json.loads(run(folder, "user", "rescue", "bob", "--json")[1])
    assert (shown["user"], shown["expires_at"][-1]) == ("bob", "Z")
    assert "has no user of this name" in refused(folder, "user", "rescue", "eve")
    users_editor.set_disabled(folder / "users.yml", "bob", True)
    assert "bob may not log in: see `authgw user enable`" in refused(
        folder, "user", "rescue", "bob"
    )
    with (folder / "users.yml").open("a") as file:
        file.write("company:7: {source: oidc:company, account: '7'}\n")
    assert "company:7 is an account of oidc:company: choose a user with a password" in refused(
        folder, "user", "rescue", "company:7"
    )
    config.write_text(CONFIG)
    assert "login.passwords is not false" in refused(folder, "user", "rescue", "alice")
