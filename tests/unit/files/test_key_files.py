"""Key and secret files: creation, and every reason for a refusal."""

import os
from pathlib import Path

import pytest

from authgw.core.keys import SigningKeyError
from authgw.files import key_files
from authgw.files.key_files import (
    load_keys,
    load_shared_secret,
    make_key,
    make_shared_secret,
    record_kids,
    recorded_kids,
)


@pytest.mark.parametrize("algorithm", ["ES256", "RS256", "EdDSA"])
def test_new_key_is_private_and_loads(tmp_path: Path, algorithm: str) -> None:
    kid = make_key(tmp_path / "keys", algorithm, 1_800_000_000.0)
    path = tmp_path / "keys" / f"{kid}.pem"
    assert path.stat().st_mode & 0o777 == 0o600
    (key,) = load_keys(tmp_path / "keys")
    assert (key.kid, key.algorithm, key.signs_from) == (kid, algorithm, 1_800_000_000.0)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_failed_write_leaves_no_key_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(SigningKeyError, match="the disk is full"):
        make_key(tmp_path / "keys", "ES256")
    assert list((tmp_path / "keys").iterdir()) == []


def test_root_creates_keys_for_directory_owner(tmp_path: Path) -> None:
    os.chown(tmp_path, 4711, 4712)
    kid = make_key(tmp_path / "secrets" / "keys", "ES256")
    for name in ("secrets", "secrets/keys", f"secrets/keys/{kid}.pem"):
        status = (tmp_path / name).stat()
        assert (status.st_uid, status.st_gid, status.st_mode & 0o077) == (4711, 4712, 0)


def test_kids_of_removed_keys_are_recorded(tmp_path: Path) -> None:
    directory = tmp_path / "secrets" / "keys"
    assert recorded_kids(directory) == frozenset()
    first = make_key(directory, "ES256")
    (directory / f"{first}.pem").rename(directory / "own.pem")
    second = make_key(directory, "ES256")
    (directory / "own.pem").unlink()
    third = make_key(directory, "ES256")
    assert recorded_kids(directory) == {first, "own", second, third}
    path = tmp_path / "secrets" / "keys.kids"
    assert path.stat().st_mode & 0o777 == 0o600
    assert len(path.read_text().splitlines()) == 4
    record_kids(directory, [first])
    assert len(path.read_text().splitlines()) == 4
    path.write_bytes(b"a1\n\nno kid\n\xff\n")
    assert recorded_kids(directory) == {"a1"}


def test_unreadable_list_of_kids_is_refused(tmp_path: Path) -> None:
    (tmp_path / "keys.kids").mkdir()
    # Keys do not depend on the list; the start reports the problem.
    with pytest.raises(SigningKeyError, match=r"keys\.kids is a directory"):
        recorded_kids(tmp_path / "keys")


def test_unwritable_list_of_kids_does_not_prevent_new_keys(
    tmp_path: Path,
) -> None:
    (tmp_path / "keys.kids").symlink_to(tmp_path / "elsewhere")
    kid = make_key(tmp_path / "keys", "ES256")
    assert [key.kid for key in load_keys(tmp_path / "keys")] == [kid]
    assert not (tmp_path / "elsewhere").exists()


def test_key_without_date_signs_immediately(tmp_path: Path) -> None:
    kid = make_key(tmp_path, "ES256")
    path = tmp_path / f"{kid}.pem"
    path.write_bytes(path.read_bytes().partition(b"\n")[2])
    assert load_keys(tmp_path)[0].signs_from == 0.0
    assert load_keys(tmp_path / "absent") == ()


def test_new_secret_is_private_and_loads(tmp_path: Path) -> None:
    make_shared_secret(tmp_path / "jwt_key")
    assert (tmp_path / "jwt_key").stat().st_mode & 0o777 == 0o600
    assert load_shared_secret(tmp_path / "jwt_key").algorithm == "HS256"
    with pytest.raises(SigningKeyError, match="exists already"):
        make_shared_secret(tmp_path / "jwt_key")


@pytest.mark.parametrize(
    ("content", "mode", "message"),
    [
        (b"x" * 40, 0o644, "accessible to every account.*chmod 600"),
        (b"x" * 40, 0o602, "accessible to every account"),
        (b"", 0o600, "is empty"),
        (b"\n\n", 0o600, "is empty"),
        (b"short\n", 0o600, "has 5 bytes and needs at least 32"),
    ],
)
def test_refused_secrets(tmp_path: Path, content: bytes, mode: int, message: str) -> None:
    path = tmp_path / "jwt_key"
    path.write_bytes(content)
    path.chmod(mode)
    with pytest.raises(SigningKeyError, match=message):
        load_shared_secret(path)


def test_readable_secrets_from_orchestrator_are_accepted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "jwt_key"
    path.write_bytes(b"x" * 40)
    path.chmod(0o644)
    monkeypatch.setattr(key_files, "ORCHESTRATOR_SECRETS", tmp_path)
    assert load_shared_secret(path)


def test_missing_secret_and_invalid_name_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SigningKeyError, match="does not exist"):
        load_shared_secret(tmp_path / "absent")
    (tmp_path / "a b.pem").write_text("x")
    with pytest.raises(SigningKeyError, match="rename it"):
        load_keys(tmp_path)
