"""Several files at once: all of them, or none."""

import os
import stat
from pathlib import Path
from typing import Any

import pytest

from authgw.files import staging as module
from authgw.files.staging import FilesExistError, staged_names, staging


def contents(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): path.read_text() if path.is_file() else "directory"
        for path in sorted(folder.rglob("*"))
    }


def write(folder: Path, **texts: str) -> None:
    for name, text in texts.items():
        path = folder / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        path.write_text(text)


def test_files_and_directories_are_moved(tmp_path: Path) -> None:
    target = tmp_path / "a" / "b"
    with staging(target) as new:
        write(new, config="1", secrets__keys__key="2")
        (new / ".config.lock").touch()
        assert staged_names(new) == ["config", "secrets/keys/key"]
    assert contents(target) == {
        "config": "1",
        "secrets": "directory",
        "secrets/keys": "directory",
        "secrets/keys/key": "2",
    }
    assert stat.S_IMODE((target / "secrets/keys").stat().st_mode) == 0o700


def test_an_error_before_the_end_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        _interrupted(tmp_path / "a" / "b")
    assert contents(tmp_path) == {}


def _interrupted(target: Path) -> None:
    with staging(target) as new:
        write(new, config="1")
        raise KeyboardInterrupt


@pytest.mark.parametrize("failing", range(4))
def test_an_error_while_moving_leaves_all_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: int
) -> None:
    write(tmp_path, b="old", sub__c="old")
    before, moves = contents(tmp_path), []

    def move(*args: Any) -> None:
        moves.append(args)
        if len(moves) > failing:
            raise OSError("disk full")
        real(*args)

    real = module._move
    monkeypatch.setattr(module, "_move", move)
    with pytest.raises(OSError, match="disk full"), staging(tmp_path, replace=True) as new:
        write(new, a="new", b="new", sub__c="new", sub2__d="new")
    assert contents(tmp_path) == before


def test_existing_files_stay_without_replace(tmp_path: Path) -> None:
    write(tmp_path, a="old", same="same")
    with pytest.raises(FilesExistError) as error, staging(tmp_path) as new:
        write(new, a="new", b="new", same="same")
    assert error.value.names == ["a"]
    assert contents(tmp_path) == {"a": "old", "same": "same"}


def test_existing_files_are_replaced(tmp_path: Path) -> None:
    write(tmp_path, a="old", same="same", other="other")
    inode = (tmp_path / "same").stat().st_ino
    with staging(tmp_path, replace=True) as new:
        write(new, a="new", same="same")
    assert contents(tmp_path) == {"a": "new", "same": "same", "other": "other"}
    assert (tmp_path / "same").stat().st_ino == inode


def test_a_dangling_link_is_not_written_through(tmp_path: Path) -> None:
    (tmp_path / "dir").mkdir()
    (tmp_path / "dir" / "a").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(FilesExistError), staging(tmp_path / "dir") as new:
        write(new, a="new")
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_new_files_belong_to_the_owner_of_the_directory(tmp_path: Path) -> None:
    os.chown(tmp_path, 12345, 12345)
    with staging(tmp_path) as new:
        write(new, a="1", sub__b="2")
    assert {path.stat().st_uid for path in tmp_path.rglob("*")} == {12345}
