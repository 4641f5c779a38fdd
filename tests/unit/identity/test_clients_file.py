"""Trusted backends: their rights and the clients file."""

from pathlib import Path

import pytest

from authgw.identity.clients_file import (
    BackendsFileError,
    add_client,
    check_client_exists,
    is_reserved,
    load_clients,
    remove_client,
    rotate_client,
    unlimited_clients,
)


def test_backend_is_authenticated_by_its_secret(tmp_path: Path) -> None:
    path = tmp_path / "clients.yml"
    secret = add_client(path, "shop", subjects="cust-*", groups=("users", "team-*"))
    other = add_client(path, "blog", subjects=None, groups=())
    assert path.stat().st_mode & 0o777 == 0o600
    assert secret not in path.read_text()
    clients = load_clients(path)
    shop, blog = clients.verify("shop", secret), clients.verify("blog", other)
    assert shop is not None
    assert blog is not None
    assert clients.verify("shop", other) is None
    assert clients.verify("nobody", secret) is None
    assert clients.verify("shop", "\ud800") is None
    assert shop.may_open("cust-1")
    assert not shop.may_open("staff-1")
    assert shop.may_grant("team-a")
    assert not shop.may_grant("admins")
    # Without configuration a backend has neither right.
    assert not blog.may_open("1")
    assert not blog.may_grant("users")


def test_subjects_can_be_excluded_in_any_spelling(tmp_path: Path) -> None:
    path = tmp_path / "clients.yml"
    secret = add_client(path, "shop", subjects="*", groups=())
    path.write_text(path.read_text() + "  except: ['*@example.com', 'Root']\n")
    shop = load_clients(path).verify("shop", secret)
    assert shop is not None
    allowed = [
        sub
        for sub in ("a@example.com", "A@EXAMPLE.COM", "root", "ROOT", "a@example.org", "rooted")
        if shop.may_open(sub)
    ]
    assert allowed == ["a@example.org", "rooted"]
    # Commands keep the exclusions.
    rotate_client(path, "shop")
    assert load_clients(path).entries["shop"].excluded == ("*@example.com", "Root")


@pytest.mark.parametrize(
    ("sub", "reserved"),
    [
        ("service:ci", True),
        ("Service:ci", True),
        ("client:shop", True),
        ("company:7", True),
        ("COMPANY:7", True),
        ("com\u00adpany:7", True),
        ("companys:7", False),
        ("company", False),
        ("other:7", False),
        ("42", False),
    ],
)
def test_name_spaces_of_other_sources_are_reserved(sub: str, reserved: bool) -> None:
    assert is_reserved(sub, ["company", "github"]) is reserved


@pytest.mark.parametrize(
    ("subjects", "more", "is_problem"),
    [
        ("*", "", True),
        ("**", "", True),
        ("*", "  except: ['company:*']\n", False),
        ("shop-*", "", False),
        (None, "", False),
    ],
)
def test_a_backend_of_any_subject_is_a_problem_beside_providers(
    tmp_path: Path, subjects: str | None, more: str, is_problem: bool
) -> None:
    path = tmp_path / "clients.yml"
    add_client(path, "shop", subjects=subjects, groups=())
    path.write_text(path.read_text() + more)
    assert [*unlimited_clients(path, [])] == []
    problems = [*unlimited_clients(path, ["company"])]
    assert bool(problems) is is_problem
    assert all(f"{path}: shop.subjects is '*'" in problem for problem in problems)


def test_a_rotated_secret_replaces_the_old_one_and_keeps_the_rights(tmp_path: Path) -> None:
    path = tmp_path / "clients.yml"
    old = add_client(path, "shop", subjects="*", groups=("users",))
    path.write_text(path.read_text() + "  from: [10.0.0.0/8]\n")
    before = load_clients(path).entries["shop"]
    new = rotate_client(path, "shop")
    clients = load_clients(path)
    assert clients.verify("shop", old) is None
    assert clients.verify("shop", new) is not None
    after = clients.entries["shop"]
    assert after.model_copy(update={"secret_sha256": before.secret_sha256}) == before
    assert before.secret_sha256 not in repr(before)


def test_a_removed_backend_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "clients.yml"
    secret = add_client(path, "shop", subjects="*", groups=())
    remove_client(path, "shop")
    assert path.read_text() == "{}\n"
    assert load_clients(path).verify("shop", secret) is None
    for edit in (remove_client, rotate_client, check_client_exists):
        with pytest.raises(BackendsFileError, match="no such client: see `authgw client list`"):
            edit(path, "shop")


def test_an_entry_that_others_share_is_not_changed(tmp_path: Path) -> None:
    path = tmp_path / "clients.yml"
    text = f"shop: &shop\n  secret_sha256: '{'0' * 64}'\nblog: *shop\n"
    path.write_text(text)
    for edit in (remove_client, rotate_client):
        with pytest.raises(BackendsFileError, match="edit the file with a text editor"):
            edit(path, "shop")
    assert path.read_text() == text


def test_networks_restrict_backend(tmp_path: Path) -> None:
    path = tmp_path / "clients.yml"
    secret = add_client(path, "shop", subjects="*", groups=())
    path.write_text(path.read_text() + "  from: [10.0.0.0/8]\n")
    shop = load_clients(path).verify("shop", secret)
    assert shop is not None
    assert shop.may_connect_from("10.1.2.3")
    assert not shop.may_connect_from("192.0.2.1")
    assert not shop.may_connect_from("unknown")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("shop: {}", "secret_sha256: is not the SHA-256"),
        ("shop: {secret_sha256: hush}", "is not the SHA-256"),
        (f"shop: {{secret_sha256: {'0' * 64}, form: []}}", "unknown key"),
        (f"shop: {{secret_sha256: '{'0' * 64}', from: [nowhere]}}", r"from\[0\]"),
        ("shop", "must be entries"),
        ("a:\n  form: []", r"clients\.yml:2: a: unknown key"),
        (f"a: {{secret_sha256: '{'0' * 64}'}}\na: {{}}", r":2: this key is duplicated"),
        ("{", "is not valid YAML"),
    ],
)
def test_invalid_file_is_refused_without_values(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "clients.yml"
    path.write_text(text)
    with pytest.raises(BackendsFileError, match=message) as caught:
        load_clients(path)
    assert "hush" not in str(caught.value)


def test_invalid_files_and_ids_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BackendsFileError, match="is a directory"):
        load_clients(tmp_path)
    with pytest.raises(BackendsFileError, match="does not exist"):
        add_client(tmp_path / "no" / "clients.yml", "shop", subjects="*", groups=())
    with pytest.raises(BackendsFileError, match="1 to 64"):
        add_client(tmp_path / "clients.yml", "a:b", subjects="*", groups=())
    add_client(tmp_path / "clients.yml", "shop", subjects="*", groups=())
    with pytest.raises(BackendsFileError, match="choose another id"):
        add_client(tmp_path / "clients.yml", "shop", subjects="*", groups=())
    assert load_clients(tmp_path / "absent.yml").verify("a", "b") is None
