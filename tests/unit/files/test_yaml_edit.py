"""Edits of YAML files: only the edited values change."""

import difflib
from collections.abc import Callable
from pathlib import Path

import pytest

from authgw.files.yaml_edit import edited
from authgw.identity import users_editor
from authgw.identity.clients_file import (
    add_client,
    load_clients,
    remove_client,
    rotate_client,
)
from authgw.identity.passwords import digest
from authgw.identity.user_entry import mark
from authgw.identity.users_file import UsersFileError, load_users
from tests.support.users import HASH, OTHER, SECRET

Edit = Callable[[Path], object]
ONE, TWO = digest("one"), digest("two")

COMMENTED = f"""\
# People of the house. Ask Ünal before you change anything here.

%s
# The boss.
alice:   # since 2019
    password: '{HASH}'   # made by hand
    groups: [users,   admins]  # a flow list, spaced
    name: "Alice 🎩 Ünal"

    # her address
    email: alice@example.com
    totp:
      # from her phone
      secret: {SECRET}
      recovery:
      - {ONE}   # the first
      # the second one is in the safe
      - {TWO}
    app_passwords:
    - {{name: laptop, sha256: {digest("laptop")}}}   # the old one
    # the next
    - name: phone
      sha256: "{digest("phone")}"
    # the end of alice

'bob': {{ password: "{OTHER}", disabled: true, groups: [users] }}  # on leave


"carol":
  name: >-
    A name that is written
    on two lines
  password: &carols "{HASH}"
  groups:
    - "users"
    - staff
  # her last line
# the very last line
"""
PLAIN = COMMENTED % ""
FILES = {
    "plain": PLAIN,
    "document start": COMMENTED % "---",
    "windows": PLAIN.replace("\n", "\r\n"),
    "byte order mark": "\ufeff" + PLAIN,
    "no final newline": PLAIN.removesuffix("# the very last line\n") + "# the very last line",
}
ADDED = ["+dave:", f"+  password: {HASH}", "+  groups:", "+  - users"]
# Each edit with the lines that it changes.
EDITS: dict[str, tuple[Edit, list[str]]] = {
    "re-hash": (
        lambda path: users_editor.rehash(path, "alice", HASH, OTHER),
        [
            f"-    password: '{HASH}'   # made by hand",
            f"+    password: '{OTHER}'   # made by hand",
            "+    same_password:",
            f"+    - {mark(HASH)}",
            f"+    - {mark(OTHER)}",
        ],
    ),
    "password": (
        lambda path: users_editor.set_password(path, "carol", OTHER),
        [f'-  password: &carols "{HASH}"', f'+  password: &carols "{OTHER}"'],
    ),
    "disable": (
        lambda path: users_editor.set_disabled(path, "alice", True),
        ["+    disabled: true"],
    ),
    "disable the last": (
        lambda path: users_editor.set_disabled(path, "carol", True),
        ["+  disabled: true"],
    ),
    "enable in a flow": (
        lambda path: users_editor.set_disabled(path, "bob", False),
        [
            f"-'bob': {{ password: \"{OTHER}\", disabled: true, groups: [users] }}  # on leave",
            f"+'bob': {{ password: \"{OTHER}\", groups: [users] }}  # on leave",
        ],
    ),
    "a recovery code": (
        lambda path: users_editor.spend_recovery(path, "alice", TWO),
        [f"-      - {TWO}"],
    ),
    "no second factor": (
        lambda path: users_editor.remove_totp(path, "alice"),
        [
            "-    totp:",
            "-      # from her phone",
            f"-      secret: {SECRET}",
            "-      recovery:",
            f"-      - {ONE}   # the first",
            "-      # the second one is in the safe",
            f"-      - {TWO}",
        ],
    ),
    "a second factor": (
        lambda path: users_editor.set_totp(path, "carol", SECRET, [ONE]),
        ["+  totp:", f"+    secret: {SECRET}", "+    recovery:", f"+    - {ONE}"],
    ),
    "an app password less": (
        lambda path: users_editor.remove_app_password(path, "alice", "laptop"),
        [f"-    - {{name: laptop, sha256: {digest('laptop')}}}   # the old one"],
    ),
    "other groups": (
        lambda path: users_editor.set_profile(path, "alice", groups=["staff", "admins", "staff"]),
        [
            "-    groups: [users,   admins]  # a flow list, spaced",
            "+    groups: [admins, staff]  # a flow list, spaced",
        ],
    ),
    "no groups and another address": (
        lambda path: users_editor.set_profile(path, "alice", groups=[], email="al@example.com"),
        [
            "-    groups: [users,   admins]  # a flow list, spaced",
            "-    email: alice@example.com",
            "+    email: al@example.com",
        ],
    ),
    "no name": (
        lambda path: users_editor.set_profile(path, "carol", name=""),
        ["-  name: >-", "-    A name that is written", "-    on two lines"],
    ),
    "remove a flow": (
        lambda path: users_editor.remove(path, "bob"),
        [f"-'bob': {{ password: \"{OTHER}\", disabled: true, groups: [users] }}  # on leave"],
    ),
    "remove with the comments inside": (
        lambda path: users_editor.remove(path, "carol"),
        [
            '-"carol":',
            "-  name: >-",
            "-    A name that is written",
            "-    on two lines",
            f'-  password: &carols "{HASH}"',
            "-  groups:",
            '-    - "users"',
            "-    - staff",
            "-  # her last line",
        ],
    ),
    "add": (lambda path: users_editor.add(path, "dave", HASH, groups=["users"]), ADDED),
}


def write(path: Path, text: str) -> Path:
    path.write_bytes(text.encode())
    return path


def changed_lines(before: str, after: str) -> list[str]:
    lines = difflib.ndiff(before.splitlines(), after.splitlines())
    return [line[0] + line[2:] for line in lines if line[0] in "+-"]


@pytest.mark.parametrize("kind", FILES)
@pytest.mark.parametrize("name", EDITS)
def test_only_the_edited_value_changes(tmp_path: Path, kind: str, name: str) -> None:
    path, (edit, lines) = write(tmp_path / "users.yml", FILES[kind]), EDITS[name]
    edit(path)
    after = path.read_bytes().decode()
    assert changed_lines(FILES[kind], after) == lines
    assert ("\r\n" in after) == (kind == "windows")
    if kind == "windows":
        assert after.count("\n") == after.count("\r\n")


def test_added_app_password_is_the_only_change(tmp_path: Path) -> None:
    path = write(tmp_path / "users.yml", PLAIN)
    secret = users_editor.add_app_password(path, "alice", "tablet", paths=["/dav/**"])
    assert changed_lines(PLAIN, path.read_text()) == [
        "+    - name: tablet",
        f"+      sha256: {digest(secret)}",
        "+      paths:",
        "+      - /dav/**",
    ]
    assert users_editor.remove_app_password(path, "alice", "tablet")
    assert path.read_text() == PLAIN


def test_disable_and_enable_restore_the_file(tmp_path: Path) -> None:
    path = write(tmp_path / "users.yml", PLAIN)
    users_editor.set_disabled(path, "alice", True)
    users_editor.set_disabled(path, "alice", False)
    assert path.read_text() == PLAIN


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ""),
        ("# nobody yet\n", "# nobody yet\n"),
        ("# nobody yet", "# nobody yet\n"),
        ("---\n# nobody yet\n", "---\n# nobody yet\n"),
        ("# nobody yet\n{}\n# the end\n", "# nobody yet\n|# the end\n"),
        ("--- {}\n", "--- \n|"),
        (f"{{a: {{password: '{HASH}'}}}}", None),
        (f"  a:\n    password: {HASH}\n", None),
        (f"a:\n  password: |-\n    {HASH}\n\n\n# the end\n...\n", None),
        (f"a: {{password: '{HASH}',}}\n", None),
    ],
)
def test_add_first_or_further_entry(tmp_path: Path, text: str, expected: str | None) -> None:
    path = write(tmp_path / "users.yml", text)
    names = list(load_users(path))
    users_editor.add(path, "dave", HASH)
    assert list(load_users(path)) == [*names, "dave"]
    if expected is not None:
        before, _, after = expected.partition("|")
        assert path.read_text() == f"{before}dave:\n  password: {HASH}\n{after}"
    users_editor.set_disabled(path, "dave", True)
    assert load_users(path)["dave"].disabled


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("# team\na:\n  password: '%'\n# end\n", "# team\n{}\n# end\n"),
        ("---\na: {password: '%'}", "---\n{}\n"),
        ("{a: {password: '%'}}\n", "{}\n"),
        ("  a:\n    password: '%'\n", "  {}\n"),
    ],
)
def test_a_file_without_its_last_entry_is_not_empty(
    tmp_path: Path, text: str, expected: str
) -> None:
    path = write(tmp_path / "users.yml", text.replace("%", HASH))
    users_editor.remove(path, "a")
    assert path.read_text() == expected
    users_editor.add(path, "dave", HASH)
    assert list(load_users(path)) == ["dave"]


SHARED = f"""\
alice: &team
  password: &hash {HASH}
  groups: [users]
  disabled: true
  totp: {{secret: {SECRET}}}
bob:
  <<: *team
  password: {OTHER}
carol: {{password: *hash}}
dave: *team
"""


@pytest.mark.parametrize(
    ("edit", "lines"),
    [
        (
            lambda path: users_editor.set_password(path, "bob", HASH),
            [f"-  password: {OTHER}", f"+  password: {HASH}"],
        ),
        (
            lambda path: users_editor.set_password(path, "carol", OTHER),
            ["-carol: {password: *hash}", f"+carol: {{password: '{OTHER}'}}"],
        ),
        # Values from a merge key can only be overridden.
        (lambda path: users_editor.set_disabled(path, "bob", False), ["+  disabled: null"]),
        (lambda path: users_editor.remove_totp(path, "bob"), ["+  totp: null"]),
    ],
)
def test_anchors_and_merge_keys_are_preserved(tmp_path: Path, edit: Edit, lines: list[str]) -> None:
    path = write(tmp_path / "users.yml", SHARED)
    edit(path)
    assert changed_lines(SHARED, path.read_text()) == lines


@pytest.mark.parametrize(
    "edit",
    [
        lambda path: users_editor.set_password(path, "alice", OTHER),
        lambda path: users_editor.set_disabled(path, "alice", False),
        lambda path: users_editor.remove(path, "alice"),
    ],
)
def test_value_shared_by_anchor_is_not_changed(tmp_path: Path, edit: Edit) -> None:
    path = write(tmp_path / "users.yml", SHARED)
    with pytest.raises(UsersFileError, match=r"entry of alice .* would change others"):
        edit(path)
    assert path.read_text() == SHARED


@pytest.mark.parametrize("marks", ["[1111111111111111]", "\n    - 1111111111111111"])
def test_replace_all_items_of_list(tmp_path: Path, marks: str) -> None:
    text = f"a:\n  password: {HASH}\n  same_password: {marks}\n  groups: [users] # last\n"
    path = write(tmp_path / "users.yml", text.replace("1111111111111111", "'1111111111111111'"))
    users_editor.rehash(path, "a", HASH, OTHER)
    assert len(load_users(path)["a"].same_password) == 2
    assert "groups: [users] # last\n" in path.read_text()


@pytest.mark.parametrize(
    ("before", "old", "new", "after"),
    [
        ("a: {x: [1, 2, 3]}", ("1", "2", "3"), ("2", "3"), "a: {x: [2, 3]}"),
        ("a: {x: [1, 2, 3]}", ("1", "2", "3"), ("1", "3"), "a: {x: [1, 3]}"),
        ("a: {x: [1, 2, 3]}", ("1", "2", "3"), ("3",), "a: {x: [3]}"),
        ("a: {x: [1, 2, 3]}", ("1", "2", "3"), ("1",), "a: {x: [1]}"),
        ("a: {x: [1, 2, 3]}", ("1", "2", "3"), ("2", "z"), "a: {x: [2, z]}"),
        ("a: {x: [1, 2, 3]}", ("1", "2", "3"), ("z",), "a: {x: [z]}"),
        ("a: {x: [1, 2,]}", ("1", "2"), ("1", "2", "z"), "a: {x: [1, 2, z,]}"),
        ("a:\n  x:\n  - 1\n  - 2\n", ("1", "2"), ("z",), "a:\n  x:\n  - z\n"),
        ("a:\n  x:\n", None, ("z",), "a:\n  x: [z]\n"),
        ("a:\n  x: # why\n", None, ("z",), "a:\n  x: [z] # why\n"),
    ],
)
def test_list_edits(before: str, old: object, new: object, after: str) -> None:
    old_values = {} if old is None else {"x": old}
    assert edited(before, "a", old_values, {"x": new}) == after


def test_long_values_are_not_wrapped(tmp_path: Path) -> None:
    path = tmp_path / "users.yml"
    name = "A very long name " * 12
    users_editor.add(path, "alice", HASH, name=name.strip())
    assert f"  name: {name.strip()}\n" in path.read_text()


def test_added_backend_is_the_only_change(tmp_path: Path) -> None:
    text = (
        f"# trusted\nshop:   # ours\n  secret_sha256: '{ONE}'\n  from: [10.0.0.0/8] # VPN\n# end\n"
    )
    path = write(tmp_path / "clients.yml", text)
    secret = add_client(path, "blog", subjects="cust-*", groups=("a",))
    assert changed_lines(text, path.read_text()) == [
        "+blog:",
        f"+  secret_sha256: {digest(secret)}",
        "+  subjects: cust-*",
        "+  groups:",
        "+  - a",
    ]
    assert load_clients(path).ids == ("shop", "blog")
    remove_client(path, "blog")
    assert path.read_text() == text
    new = rotate_client(path, "shop")
    assert changed_lines(text, path.read_text()) == [
        f"-  secret_sha256: '{ONE}'",
        f"+  secret_sha256: '{digest(new)}'",
    ]
