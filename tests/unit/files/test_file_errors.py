"""Messages for files that cannot be used."""

import errno
import os
from pathlib import Path

import pytest

from authgw.doctor.findings import error_messages
from authgw.files.file_errors import file_error


@pytest.mark.parametrize(
    ("number", "message"),
    [
        (errno.ENOENT, "/a/b does not exist: create it, or correct the path"),
        (errno.EISDIR, "/a/b is a directory: name a file"),
        (errno.EEXIST, "/a/b exists already: remove it first, or choose another name"),
        (
            errno.EROFS,
            "/a/b is on a read-only file system: mount it writable, or choose another path",
        ),
        (errno.ENOSPC, "/a/b cannot be written, since the disk is full: free some space"),
        (errno.EDQUOT, "/a/b cannot be written, since the disk is full: free some space"),
        (errno.ELOOP, "/a/b is a symbolic link that cannot be followed: name the file itself"),
        (errno.EIO, "/a/b cannot be used (Input/output error): check the path"),
    ],
)
def test_message_has_cause_and_remedy(number: int, message: str) -> None:
    assert file_error(Path("/a/b"), OSError(number, os.strerror(number))) == message


def test_denied_access_names_the_account_and_what_to_change(tmp_path: Path) -> None:
    denied = PermissionError(errno.EACCES, "Permission denied")
    existing = tmp_path / "users.yml"
    existing.write_text("")
    for path, target in ((existing, existing), (tmp_path / "new.yml", tmp_path)):
        assert file_error(path, denied) == (
            f"{path} may not be used by uid {os.geteuid()}: correct owner or mode of {target} "
            "(chown, chmod)"
        )


def test_file_below_a_file(tmp_path: Path) -> None:
    (tmp_path / "var").write_text("")
    path = tmp_path / "var" / "authgw.db"
    with pytest.raises(NotADirectoryError) as caught:
        path.read_text()
    assert file_error(path, caught.value) == (
        f"{path} cannot exist, since {tmp_path}/var is not a directory: correct the path"
    )


def test_an_error_of_the_system_is_reported_without_its_number(tmp_path: Path) -> None:
    path = tmp_path / "absent"
    assert [*error_messages(path.read_text)] == [
        f"{path} does not exist: create it, or correct the path"
    ]
