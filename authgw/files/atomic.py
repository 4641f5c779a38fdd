"""Editing a file that others read: one editor at a time, and all of the change or none of it."""

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

# What keeps a file from being replaced by another one, while its content can perhaps be written:
# a mount of the file alone, a directory of somebody else's, a file system without room for names.
_NO_RENAME = {errno.EBUSY, errno.EXDEV, errno.EACCES, errno.EPERM, errno.EROFS}
_FORBIDDEN = {errno.EACCES, errno.EPERM}
_JOURNAL = b"#authgw-edit "


class FileWriteError(OSError):
    """A file that cannot be written as it is mounted or owned; `strerror` says what to change."""


@contextlib.contextmanager
def alone(path: Path) -> Iterator[None]:
    """Hold the locks of a file, so that two editors never lose each other's change.

    One is a file next to it, the other the file itself: a container that has only the file mounted
    shares no directory with the others.

    Raises:
        OSError: the lock cannot be made.
    """
    target = path.resolve()
    with contextlib.ExitStack() as held:
        with contextlib.suppress(_ReadOnlyDirectoryError):
            held.callback(os.close, _locked(_lock_file(target)))
        if target.exists():
            held.callback(os.close, _locked_itself(target))
        yield


def read_bytes(path: Path) -> bytes:
    """Return the content of a file as the last whole edit left it.

    Raises:
        OSError: it cannot be read.
    """
    return _settled(path.read_bytes())


def write(path: Path, content: bytes) -> None:
    """Give a file this content; readers by `read_bytes` see the old or the new one.

    It is replaced by a new file where that is possible, else written in place, so that owner,
    group, access list and links stay. Its mode stays but for what it grants to everyone. Call it
    within `alone`.

    Raises:
        FileWriteError: the account, or the way in which it is mounted, does not allow it.
        OSError: it cannot be written; the old content stays.
    """
    target = path.resolve()
    try:
        keeps_more = _has_more_than_content(target) and os.access(target, os.W_OK)
        if keeps_more or not _replace(target, content):
            _write_in_place(target, content)
    except OSError as error:
        raise _in_words(target, error) from None


def give(descriptor: int, *, like: Path) -> None:
    """Give a new file or folder to the owner of another one.

    Root who works for the gateway's account must not lock that account out.
    """
    owner = like.stat()
    with contextlib.suppress(PermissionError):
        os.fchown(descriptor, owner.st_uid, owner.st_gid)


class _ReadOnlyDirectoryError(OSError):
    """No file can be made in this directory."""


def _lock_file(target: Path) -> int:
    try:
        return _open(target.with_name(f".{target.name}.lock"), os.O_RDWR, like=target)
    except OSError as error:
        if error.errno in _NO_RENAME and target.exists():
            raise _ReadOnlyDirectoryError from None
        raise _in_words(target, error) from None


def _locked(descriptor: int) -> int:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _locked_itself(target: Path) -> int:
    """Lock the file that stands under this name once it is locked."""
    while True:
        descriptor = _locked(_open_to_lock(target))
        if os.path.samestat(os.fstat(descriptor), target.stat()):
            return descriptor
        os.close(descriptor)  # another editor has replaced it meanwhile


def _open_to_lock(target: Path) -> int:
    try:
        # NFS locks only what is open for writing (flock(2)).
        return os.open(target, os.O_RDWR | os.O_CLOEXEC)
    except OSError as error:
        if error.errno not in _NO_RENAME:
            raise
        return os.open(target, os.O_RDONLY | os.O_CLOEXEC)


def _has_more_than_content(target: Path) -> bool:
    """Return whether a new file in its place would lose the owner, the group or another name."""
    try:
        seen = target.stat()
    except FileNotFoundError:
        return False
    groups = (os.getegid(), *os.getgroups())
    may_give = os.geteuid() == 0 or (seen.st_uid == os.geteuid() and seen.st_gid in groups)
    return not may_give or seen.st_nlink > 1


def _replace(target: Path, content: bytes) -> bool:
    """Put a new file in the place of the old one; False if that is impossible here."""
    new = target.with_name(f".{target.name}.new")
    try:
        descriptor = _open(new, os.O_WRONLY | os.O_TRUNC, like=target)
    except OSError as error:
        return _may_be_written_in_place(target, error)
    try:
        with os.fdopen(descriptor, "wb") as file:
            if target.exists():
                # Extended attributes hold the access list and the security label.
                shutil.copystat(target, new)
                os.fchmod(descriptor, _private(target.stat().st_mode))
            file.write(content)
            file.flush()
            os.fsync(descriptor)
        new.replace(target)
    except OSError as error:
        new.unlink(missing_ok=True)
        return _may_be_written_in_place(target, error)
    _sync_folder(target.parent)
    return True


def _may_be_written_in_place(target: Path, error: OSError) -> bool:
    """Return False, which sends the caller on to the other way, or raise what ends both."""
    if error.errno in _NO_RENAME and target.exists():
        return False
    raise error


def _private(mode: int) -> int:
    """Return the mode for the new file: what was open to everyone is for its owner alone."""
    return 0o600 if mode & 0o006 else stat.S_IMODE(mode) & 0o770


def _write_in_place(target: Path, content: bytes) -> None:
    """Write a file so that the content is whole again after an end at any moment.

    The new content goes first to the end of the file, as a comment with its digest, and is
    removed from there once it stands at the beginning. `_settled` reads all states in between.
    """
    descriptor = os.open(target, os.O_RDWR | os.O_CLOEXEC)
    try:
        old = _whole(descriptor)
        journal = b"\n" * (max(0, len(content) - len(old)) + 1) + _journal(content)
        try:
            _write_at(descriptor, journal, len(old))
        except OSError:
            # A full disk: the old content has not been touched.
            os.ftruncate(descriptor, len(old))
            raise
        _write_at(descriptor, content, 0)
        os.ftruncate(descriptor, len(content))
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _whole(descriptor: int) -> bytes:
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
    return _JOURNAL + digest + b" " + base64.b64encode(content) + b"\n"


def _settled(raw: bytes) -> bytes:
    """Return what an edit that has not ended leads to; the content itself without such an edit."""
    start = raw.rfind(b"\n" + _JOURNAL)
    if start < 0:
        return raw
    line, end, after = raw[start + 1 :].partition(b"\n")
    digest, _, encoded = line.removeprefix(_JOURNAL).partition(b" ")
    try:
        content = base64.b64decode(encoded, validate=True)
    except binascii.Error:
        content = b""
    if end and not after and hashlib.sha256(content).hexdigest().encode() == digest:
        return content
    # The journal itself is not whole, so that nothing before it has been changed yet.
    return raw if after.strip() else _settled(raw[:start].rstrip(b"\n") + b"\n")


def _in_words(target: Path, error: OSError) -> OSError:
    if isinstance(error, FileWriteError):
        return error
    if error.errno == errno.EROFS:
        said = f"it is mounted read-only: mount the directory {target.parent} writable"
    elif error.errno in _FORBIDDEN:
        said = (
            f"uid {os.geteuid()} may write neither it nor its directory: give it to this account, "
            f"or mount the directory {target.parent} writable"
        )
    else:
        return error
    return FileWriteError(error.errno, said)


def _open(path: Path, flags: int, *, like: Path) -> int:
    descriptor = os.open(path, flags | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        os.fchmod(descriptor, 0o600)
        give(descriptor, like=like if like.exists() else like.parent)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
