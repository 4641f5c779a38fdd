"""Atomic edits of files that other processes read: locks, replacement, and writes in place."""

import base64
import binascii
import contextlib
import errno
import fcntl
import hashlib
import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

# Errors of replacing a file whose content can perhaps still be written: the file itself is a mount
# point, another user owns its directory, the file system is read-only or has no room for names.
_REPLACE_ERRORS = {errno.EBUSY, errno.EXDEV, errno.EACCES, errno.EPERM, errno.EROFS}
_PERMISSION_ERRORS = {errno.EACCES, errno.EPERM}
_JOURNAL_MARK = b"#authgw-edit "


class FileWriteError(OSError):
    """Raised for a file whose mount or owner forbids writing; `strerror` names the remedy."""


@contextlib.contextmanager
def exclusive_lock(path: Path) -> Iterator[None]:
    """Hold the locks of a file, so that no editor overwrites the change of another.

    The first lock is a file next to `path`, the second is the file itself: a container that has
    mounted only the file shares no directory with the other editors.

    Raises:
        OSError: A lock cannot be created.
    """
    target = path.resolve()
    with contextlib.ExitStack() as locks:
        with contextlib.suppress(_ReadOnlyDirectoryError):
            locks.callback(os.close, _flocked(_lock_file(target)))
        if target.exists():
            locks.callback(os.close, _flocked_target(target))
        yield


def read_bytes(path: Path) -> bytes:
    """Return the content of a file after its last complete edit.

    Raises:
        OSError: The file cannot be read.
    """
    return _recovered(path.read_bytes())


def write(path: Path, content: bytes) -> None:
    """Set the content of a file; `read_bytes` returns either the old or the new content.

    The file is replaced where that is possible, else written in place, so that owner, group,
    access list and links stay. Its mode stays too, without permissions for everyone. The caller
    holds `exclusive_lock`.

    Raises:
        FileWriteError: The account or the mount does not allow it.
        OSError: The file cannot be written; the old content stays.
    """
    target = path.resolve()
    try:
        in_place = _would_lose_metadata(target) and os.access(target, os.W_OK)
        if in_place or not _replace(target, content):
            _write_in_place(target, content)
    except OSError as error:
        raise _with_remedy(target, error) from None


def copy_owner(descriptor: int, *, like: Path) -> None:
    """Set the owner and group of a new file or directory to those of `like`.

    Files that root creates for the gateway's account must stay accessible to that account.
    """
    owner = like.stat()
    with contextlib.suppress(PermissionError):
        os.fchown(descriptor, owner.st_uid, owner.st_gid)


class _ReadOnlyDirectoryError(OSError):
    """Raised when no file can be created in the directory of the target."""


def _lock_file(target: Path) -> int:
    try:
        return _open(target.with_name(f".{target.name}.lock"), os.O_RDWR, like=target)
    except OSError as error:
        if error.errno in _REPLACE_ERRORS and target.exists():
            raise _ReadOnlyDirectoryError from None
        raise _with_remedy(target, error) from None


def _flocked(descriptor: int) -> int:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _flocked_target(target: Path) -> int:
    """Lock the target, and again if another editor replaced it before the lock was acquired."""
    while True:
        descriptor = _flocked(_open_to_lock(target))
        if os.path.samestat(os.fstat(descriptor), target.stat()):
            return descriptor
        os.close(descriptor)


def _open_to_lock(target: Path) -> int:
    try:
        # NFS locks only files that are open for writing (flock(2)).
        return os.open(target, os.O_RDWR | os.O_CLOEXEC)
    except OSError as error:
        if error.errno not in _REPLACE_ERRORS:
            raise
        return os.open(target, os.O_RDONLY | os.O_CLOEXEC)


def _would_lose_metadata(target: Path) -> bool:
    """Return True if replacing the file would lose its owner, its group or another hard link."""
    try:
        status = target.stat()
    except FileNotFoundError:
        return False
    groups = (os.getegid(), *os.getgroups())
    can_chown = os.geteuid() == 0 or (status.st_uid == os.geteuid() and status.st_gid in groups)
    return not can_chown or status.st_nlink > 1


def _replace(target: Path, content: bytes) -> bool:
    """Replace the file by a new file; return False if only writing in place is possible."""
    new = target.with_name(f".{target.name}.new")
    try:
        descriptor = _open(new, os.O_WRONLY | os.O_TRUNC, like=target)
    except OSError as error:
        return _check_in_place(target, error)
    try:
        with os.fdopen(descriptor, "wb") as file:
            if target.exists():
                # Extended attributes hold the access list and the security label.
                shutil.copystat(target, new)
                os.fchmod(descriptor, _private_mode(target.stat().st_mode))
            file.write(content)
            file.flush()
            os.fsync(descriptor)
        new.replace(target)
    except OSError as error:
        new.unlink(missing_ok=True)
        return _check_in_place(target, error)
    _sync_directory(target.parent)
    return True


def _check_in_place(target: Path, error: OSError) -> bool:
    """Return False if writing in place can still succeed, else raise `error`."""
    if error.errno in _REPLACE_ERRORS and target.exists():
        return False
    raise error


def _private_mode(mode: int) -> int:
    """Return the mode of the new file; a file open to everyone becomes private to its owner."""
    return 0o600 if mode & 0o006 else stat.S_IMODE(mode) & 0o770


def _write_in_place(target: Path, content: bytes) -> None:
    """Write a file so that its content can be recovered if the process ends at any moment.

    The new content is first appended to the file, as a comment with its digest (the journal). Then
    it is written to the beginning of the file, and the journal is cut off. `_recovered` reads all
    states in between.
    """
    descriptor = os.open(target, os.O_RDWR | os.O_CLOEXEC)
    try:
        old = _read_all(descriptor)
        journal = b"\n" * (max(0, len(content) - len(old)) + 1) + _journal(content)
        try:
            _write_at(descriptor, journal, len(old))
        except OSError:
            # For example a full disk: the old content has not been changed.
            os.ftruncate(descriptor, len(old))
            raise
        _write_at(descriptor, content, 0)
        os.ftruncate(descriptor, len(content))
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _read_all(descriptor: int) -> bytes:
    with os.fdopen(os.dup(descriptor), "rb") as file:
        file.seek(0)
        return file.read()


def _write_at(descriptor: int, content: bytes, offset: int) -> None:
    rest = memoryview(content)
    while rest:
        written = os.pwrite(descriptor, rest, offset)
        rest, offset = rest[written:], offset + written
    os.fsync(descriptor)


def _journal(content: bytes) -> bytes:
    digest = hashlib.sha256(content).hexdigest().encode()
    return _JOURNAL_MARK + digest + b" " + base64.b64encode(content) + b"\n"


def _recovered(raw: bytes) -> bytes:
    """Return the new content of an interrupted edit, or `raw` if no edit was interrupted."""
    start = raw.rfind(b"\n" + _JOURNAL_MARK)
    if start < 0:
        return raw
    line, end, after = raw[start + 1 :].partition(b"\n")
    digest, _, encoded = line.removeprefix(_JOURNAL_MARK).partition(b" ")
    try:
        content = base64.b64decode(encoded, validate=True)
    except binascii.Error:
        content = b""
    if end and not after and hashlib.sha256(content).hexdigest().encode() == digest:
        return content
    # The journal itself is incomplete, so the content before it has not been changed yet.
    return raw if after.strip() else _recovered(raw[:start].rstrip(b"\n") + b"\n")


def _with_remedy(target: Path, error: OSError) -> OSError:
    if isinstance(error, FileWriteError):
        return error
    if error.errno == errno.EROFS:
        remedy = f"it is on a read-only mount: mount the directory {target.parent} writable"
    elif error.errno in _PERMISSION_ERRORS:
        remedy = (
            f"uid {os.geteuid()} may write neither it nor its directory: give it to this account, "
            f"or mount the directory {target.parent} writable"
        )
    else:
        return error
    return FileWriteError(error.errno, remedy)


def _open(path: Path, flags: int, *, like: Path) -> int:
    descriptor = os.open(path, flags | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        os.fchmod(descriptor, 0o600)
        copy_owner(descriptor, like=like if like.exists() else like.parent)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
