"""Editing a file that others read: one editor at a time, and all of the change or none of it."""

import contextlib
import fcntl
import os
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml
from yaml.cyaml import CSafeDumper


@contextlib.contextmanager
def alone(path: Path) -> Iterator[None]:
    """Hold a lock beside a file, so that two editors never lose each other's change.

    Raises:
        OSError: the lock cannot be made.
    """
    beside = path.resolve()
    descriptor = _open(beside.with_name(f".{beside.name}.lock"), os.O_RDWR, like=beside)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def write_yaml(path: Path, data: Mapping[str, Any]) -> None:
    """Put a file in the place of `path`; whoever reads sees the old or the new one.

    Its mode is 0600, or 0640 if the old file was for its group and no others. Comments of the old
    file are lost. A link stays and the file it names is replaced. Call it within `alone`.

    Raises:
        OSError: it cannot be written; the old file is as it was.
    """
    target = path.resolve()
    new = target.with_name(f".{target.name}.new")
    descriptor = _open(new, os.O_WRONLY | os.O_TRUNC, like=target)
    if target.exists() and target.stat().st_mode & 0o044 == 0o040:
        os.fchmod(descriptor, 0o640)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        yaml.dump(data, file, Dumper=_Dumper, sort_keys=False, allow_unicode=True)
        file.flush()
        os.fsync(file.fileno())
    new.replace(target)
    _sync_folder(target.parent)


def give(descriptor: int, *, like: Path) -> None:
    """Give a new file or folder to the owner of another one.

    Root who works for the gateway's account must not lock that account out.
    """
    owner = like.stat()
    with contextlib.suppress(PermissionError):
        os.fchown(descriptor, owner.st_uid, owner.st_gid)


class _Dumper(CSafeDumper):
    """Writes a moment as the README does: 2027-02-20T10:00:00Z."""


def _moment(dumper: _Dumper, moment: datetime) -> yaml.ScalarNode:
    text = moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
    return dumper.represent_scalar("tag:yaml.org,2002:timestamp", text)


_Dumper.add_representer(datetime, _moment)


def _open(path: Path, flags: int, *, like: Path) -> int:
    descriptor = os.open(path, flags | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    os.fchmod(descriptor, 0o600)
    give(descriptor, like=like if like.exists() else like.parent)
    return descriptor


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
