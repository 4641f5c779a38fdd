"""Key and secret files: how they are made and every reason to refuse one."""

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
def test_a_made_key_is_private_and_loads(tmp_path: Path, algorithm: str) -> None:
    kid = make_key(tmp_path / "keys", algorithm, 1_800_000_000.0)
    path = tmp_path / "keys" / f"{kid}.pem"
    assert path.stat().st_mode & 0o777 == 0o600
    (key,) = load_keys(tmp_path / "keys")
    assert (key.kid, key.algorithm, key.signs_from) == (kid, algorithm, 1_800_000_000.0)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_a_key_is_written_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(SigningKeyError, match="No space left"):
        make_key(tmp_path / "keys", "ES256")
    assert list((tmp_path / "keys").iterdir()) == []


def test_root_makes_keys_for_the_owner_of_the_folder(tmp_path: Path) -> None:
    os.chown(tmp_path, 4711, 4712)
    kid = make_key(tmp_path / "secrets" / "keys", "ES256")
    for name in ("secrets", "secrets/keys", f"secrets/keys/{kid}.pem"):
        seen = (tmp_path / name).stat()
        assert (seen.st_uid, seen.st_gid, seen.st_mode & 0o077) == (4711, 4712, 0)


def test_kids_of_removed_keys_are_remembered(tmp_path: Path) -> None:
    folder = tmp_path / "secrets" / "keys"
    assert recorded_kids(folder) == frozenset()
    first = make_key(folder, "ES256")
    (folder / f"{first}.pem").rename(folder / "own.pem")
    second = make_key(folder, "ES256")
    (folder / "own.pem").unlink()
    third = make_key(folder, "ES256")
    assert recorded_kids(folder) == {first, "own", second, third}
    path = tmp_path / "secrets" / "keys.kids"
    assert path.stat().st_mode & 0o777 == 0o600
    assert len(path.read_text().splitlines()) == 4
    record_kids(folder, [first])
    assert len(path.read_text().splitlines()) == 4
    path.write_bytes(b"a1\n\nno kid\n\xff\n")
    assert recorded_kids(folder) == {"a1"}


def test_a_list_of_kids_that_cannot_be_used(tmp_path: Path) -> None:
    (tmp_path / "keys.kids").mkdir()
    # The key is what counts; a start says what is wrong with the list.
    with pytest.raises(SigningKeyError, match=r"keys\.kids: Is a directory"):
        recorded_kids(tmp_path / "keys")


def test_a_list_of_kids_that_cannot_be_written_keeps_no_key_from_being_made(
    tmp_path: Path,
) -> None:
    (tmp_path / "keys.kids").symlink_to(tmp_path / "elsewhere")
    kid = make_key(tmp_path / "keys", "ES256")
    assert [key.kid for key in load_keys(tmp_path / "keys")] == [kid]
    assert not (tmp_path / "elsewhere").exists()


def test_a_key_without_a_date_signs_at_once(tmp_path: Path) -> None:
    kid = make_key(tmp_path, "ES256")
    path = tmp_path / f"{kid}.pem"
    path.write_bytes(path.read_bytes().partition(b"\n")[2])
    assert load_keys(tmp_path)[0].signs_from == 0.0
    assert load_keys(tmp_path / "absent") == ()


def test_a_made_secret_is_private_and_loads(tmp_path: Path) -> None:
    make_shared_secret(tmp_path / "jwt_key")
    assert (tmp_path / "jwt_key").stat().st_mode & 0o777 == 0o600
    assert load_shared_secret(tmp_path / "jwt_key").algorithm == "HS256"
    with pytest.raises(SigningKeyError, match="File exists"):
        make_shared_secret(tmp_path / "jwt_key")


@pytest.mark.parametrize(
    ("content", "mode", "said"),
    [
        (b"x" * 40, 0o644, "open to everyone.*chmod 600"),
        (b"x" * 40, 0o602, "open to everyone"),
        (b"", 0o600, "is empty"),
        (b"\n\n", 0o600, "is empty"),
        (b"short\n", 0o600, "at least 32 bytes, this has 5"),
    ],
)
def test_refused_secrets(tmp_path: Path, content: bytes, mode: int, said: str) -> None:
    path = tmp_path / "jwt_key"
    path.write_bytes(content)
    path.chmod(mode)
    with pytest.raises(SigningKeyError, match=said):
        load_shared_secret(path)


def test_orchestrators_may_leave_secrets_readable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "jwt_key"
    path.write_bytes(b"x" * 40)
    path.chmod(0o644)
    monkeypatch.setattr(key_files, "ORCHESTRATOR_SECRETS", tmp_path)
    assert load_shared_secret(path)


def test_a_missing_secret_and_a_bad_name_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SigningKeyError, match="No such file"):
        load_shared_secret(tmp_path / "absent")
    (tmp_path / "a b.pem").write_text("x")
    with pytest.raises(SigningKeyError, match="rename the file"):
        load_keys(tmp_path)
