"""Several new files at once: written to a directory apart, then all of them moved, or none."""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from authgw.core.errors import OperatorError
from authgw.files.atomic import copy_owner

_PREFIX = ".authgw-new-"


class FilesExistError(OperatorError):
    """Raised when files of these names exist and may not be replaced."""

    def __init__(self, names: Sequence[str]) -> None:
        self.names = names
        super().__init__(f"{', '.join(names)} exist already")


@contextlib.contextmanager
def staging(target: Path, *, replace: bool = False) -> Iterator[Path]:
    """Yield an empty directory whose files are moved to the same places below `target` at the end.

    After an error `target` is as it was before. Files that exist with the same content stay.
    Hidden files, such as the lock of an editor, are not moved. Owner and group of new files are
    those of `target`.

    Args:
        target: The directory; it is created if it does not exist.
        replace: Replace files that exist.

    Raises:
        FilesExistError: Files exist with other content, and `replace` is not set.
        OSError: A file cannot be written.
    """
    with contextlib.ExitStack() as undo:
        _make_directory(target, 0o755, undo)
        scratch = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=target))
        # After the moves were undone: their backups are in it.
        undo.callback(shutil.rmtree, scratch, ignore_errors=True)
        new = scratch / "new"
        new.mkdir()
        yield new
        _install(new, target, replace, undo)
        undo.pop_all()
        shutil.rmtree(scratch, ignore_errors=True)


def staged_names(new: Path) -> list[str]:
    """Return the paths of the files in a directory of `staging`, relative to it."""
    files = (path for path in new.rglob("*") if path.is_file() and not path.name.startswith("."))
    return sorted(str(path.relative_to(new)) for path in files)


def _install(new: Path, target: Path, replace: bool, undo: contextlib.ExitStack) -> None:
    changed = [name for name in staged_names(new) if not _is_same(new / name, target / name)]
    existing = [name for name in changed if os.path.lexists(target / name)]
    if existing and not replace:
        raise FilesExistError(existing)
    for number, name in enumerate(changed):
        for parent in reversed(Path(name).parents[:-1]):
            _make_directory(target / parent, (new / parent).stat().st_mode & 0o777, undo)
        _give(new / name, target)
        _move(new / name, target / name, new.with_name(f"old-{number}"), undo)


def _move(source: Path, target: Path, backup: Path, undo: contextlib.ExitStack) -> None:
    if os.path.lexists(target):
        os.link(target, backup, follow_symlinks=False)
        undo.callback(os.replace, backup, target)
        os.replace(source, target)
    else:
        # `link` never replaces a file that another process has created meanwhile.
        os.link(source, target)
        undo.callback(target.unlink, missing_ok=True)


def _is_same(new: Path, existing: Path) -> bool:
    return existing.is_file() and existing.read_bytes() == new.read_bytes()


def _make_directory(path: Path, mode: int, undo: contextlib.ExitStack) -> None:
    if path.is_dir():
        return
    _make_directory(path.parent, mode, undo)
    path.mkdir(mode=mode)
    undo.callback(path.rmdir)
    _give(path, path.parent)


def _give(path: Path, like: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        copy_owner(descriptor, like=like)
    finally:
        os.close(descriptor)
