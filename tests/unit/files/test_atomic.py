"""Edits of files that cannot be replaced: file mounts, foreign directories, read-only mounts."""

import errno
import os
import re
import shutil
import stat
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from authgw.files import atomic
from authgw.identity import users_editor
from authgw.identity.users_file import UsersFileError, UsersFileWriteError, load_users
from tests.support.users import HASH

SERVICE = 4711  # uid of a service account that owns no other files
EDIT = """
import os, sys
from pathlib import Path
from authgw.identity import users_editor
from authgw.identity.users_file import UsersFileError, load_users
# The account may not be able to read where Python is installed.
os.setgroups([])
os.setgid(int(sys.argv[3])); os.setuid(int(sys.argv[3]))
path = Path(sys.argv[1])
try:
    for name in sys.argv[2].split(","):
        users_editor.add(path, name, sys.argv[4])
except UsersFileError as error:
    sys.exit(str(error))
print(",".join(load_users(path)))
"""


@pytest.fixture(scope="module")
def mounts() -> None:
    """Require permission to mount in a separate namespace."""
    result = subprocess.run(["unshare", "-m", "true"], check=False, capture_output=True)
    if result.returncode:
        pytest.fail("mounts need root (CAP_SYS_ADMIN): run these tests as root")


@pytest.fixture
def directory() -> Iterator[Path]:
    """A directory that is accessible to every account, with a users file of the service account."""
    created = Path("/tmp") / f"authgw-files-{os.getpid()}"  # noqa: S108  pytest's directory is not accessible to others
    for name in ("app", "outside"):
        (created / name).mkdir(parents=True)
    path = created / "outside" / "users.yml"
    path.write_text(f"# the house\nalice:\n  password: {HASH}  # hers\n")
    path.chmod(0o640)
    if os.geteuid() == 0:
        os.chown(path, SERVICE, SERVICE)
    yield created
    shutil.rmtree(created)


def edit_in(
    directory: Path, script: str, path: str, *, uid: int = 0, names: str = "bob"
) -> "subprocess.CompletedProcess[str]":
    """Add users in a namespace with the mounts of `script`."""
    command = ["unshare", "-m", "sh", "-ec", f'{script}\nexec "$@"', "sh", sys.executable]
    arguments = ["-c", EDIT, str(directory / path), names, str(uid), HASH]
    # The other account cannot write the coverage data.
    environ = {name: value for name, value in os.environ.items() if "COVERAGE" not in name}
    return subprocess.run(
        [*command, *arguments],
        cwd=directory,
        env=environ,
        check=False,
        capture_output=True,
        text=True,
    )


MOUNT = "touch app/users.yml; mount --bind outside/users.yml app/users.yml"
READ_ONLY = "mount -o remount,ro,bind"


@pytest.mark.usefixtures("mounts")
@pytest.mark.parametrize(
    ("script", "path", "uid"),
    [
        (MOUNT, "app/users.yml", 0),
        (MOUNT, "app/users.yml", SERVICE),
        # The directory belongs to another account.
        ("true", "outside/users.yml", SERVICE),
        (f"mount --bind app app; {MOUNT}; {READ_ONLY} app", "app/users.yml", SERVICE),
        (f"ln -s users.yml outside/link; {MOUNT}", "outside/link", SERVICE),
        ("ln -s ../outside/users.yml app/users.yml", "app/users.yml", SERVICE),
    ],
)
def test_write_in_place_when_replacement_is_impossible(
    directory: Path, script: str, path: str, uid: int
) -> None:
    real = directory / "outside" / "users.yml"
    before, text = real.stat(), real.read_text()
    done = edit_in(directory, script, path, uid=uid)
    assert (done.stderr, done.stdout) == ("", "alice,bob\n")
    assert real.read_text() == f"{text}bob:\n  password: {HASH}\n"
    after = real.stat()
    assert (after.st_uid, after.st_gid) == (SERVICE, SERVICE)
    assert (after.st_ino, after.st_mode) == (before.st_ino, before.st_mode)
    assert not list(directory.rglob("*.new"))


@pytest.mark.usefixtures("mounts")
@pytest.mark.parametrize(
    ("script", "path", "uid", "message"),
    [
        (f"{MOUNT}; {READ_ONLY} app/users.yml", "app/users.yml", 0, "on a read-only mount: mount"),
        (
            f"mount --bind outside outside; {READ_ONLY} outside",
            "outside/users.yml",
            0,
            "on a read-only mount: mount the directory",
        ),
        (
            f"mount --bind outside outside; {READ_ONLY} outside",
            "outside/new.yml",
            0,
            "on a read-only mount: mount the directory",
        ),
        ("chown 0:0 outside/users.yml; chmod 644 outside/users.yml", "outside/users.yml", 4712,
         "uid 4712 may write neither it nor its directory"),
    ],
)  # fmt: skip  # rows of a table
def test_unwritable_file_is_unchanged_and_error_names_remedy(
    directory: Path, script: str, path: str, uid: int, message: str
) -> None:
    real = directory / "outside" / "users.yml"
    before = real.read_bytes()
    done = edit_in(directory, script, path, uid=uid)
    assert f"{directory / path} cannot be written: " in done.stderr
    assert message in done.stderr
    assert done.returncode == 1
    assert real.read_bytes() == before
    assert not list(directory.rglob("*.new"))


@pytest.mark.usefixtures("mounts")
def test_containers_sharing_only_the_file_serialise_edits(directory: Path) -> None:
    command = ["unshare", "-m", "sh", "-ec", f'{MOUNT}\nexec "$@"', "sh", sys.executable, "-c"]
    path = str(directory / "app" / "users.yml")
    names = [",".join(f"{letter}{n}" for n in range(8)) for letter in "xyz"]
    editors = [
        subprocess.Popen([*command, EDIT, path, batch, str(SERVICE), HASH], cwd=directory)
        for batch in names
    ]
    assert [editor.wait(60) for editor in editors] == [0, 0, 0]
    users = set(load_users(directory / "outside" / "users.yml"))
    assert users == {"alice", *",".join(names).split(",")}


def in_place(monkeypatch: pytest.MonkeyPatch) -> None:
    def busy(*_: object) -> None:
        raise OSError(errno.EBUSY, "Device or resource busy")

    monkeypatch.setattr(Path, "replace", busy)


class Killed(BaseException):
    """Raised in place of the immediate end of the process."""


@pytest.mark.parametrize("new", ["shorter", "longer"])
def test_interrupted_edit_leaves_old_or_new_content(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, new: str
) -> None:
    path = tmp_path / "users.yml"
    in_place(monkeypatch)
    old = b"".join(b"u%d: {}\n" % n for n in range(9))
    content = old[:24] if new == "shorter" else old + b"# more\n" * 9
    write, seen = os.pwrite, set[bytes]()
    room = 0
    ended = True
    while ended:
        path.write_bytes(old)
        left = room

        def torn(descriptor: int, data: memoryview, offset: int) -> int:
            nonlocal left
            if left <= 0:
                raise Killed
            part = data[: min(left, 5)]
            left -= len(part)
            return write(descriptor, part, offset)

        monkeypatch.setattr(os, "pwrite", torn)
        try:
            atomic.write(path, content)
            ended = False
        except Killed:
            pass
        monkeypatch.setattr(os, "pwrite", write)
        # The beginning of the appended journal is a comment at every length.
        content_read = re.sub(rb"\n*(\n#authgw-edit|\n#[a-z-]*$)?$", b"", atomic.read_bytes(path))
        assert content_read in (old.rstrip(b"\n"), content.rstrip(b"\n"))
        seen.add(content_read)
        # The next edit starts from the recovered content.
        atomic.write(path, content_read + b"\n# next\n")
        assert path.read_bytes() == content_read + b"\n# next\n"
        room += 3
    assert seen == {old.rstrip(b"\n"), content.rstrip(b"\n")}


def test_interrupted_edit_after_interrupted_edit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "users.yml"
    torn = b"u1: {}\nu2: {" + b"}\n" + atomic._journal(b"u1: {}\n")
    path.write_bytes(torn + b"\n\n" + atomic._journal(b"u2: {}\n")[:-20])
    assert atomic.read_bytes(path) == b"u1: {}\n"
    in_place(monkeypatch)
    atomic.write(path, b"u3: {}\n")
    assert path.read_bytes() == b"u3: {}\n"


def test_full_disk_leaves_file_unchanged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "users.yml"
    users_editor.add(path, "alice", HASH)
    before = path.read_bytes()
    in_place(monkeypatch)
    write = os.pwrite

    def full(descriptor: int, data: memoryview, offset: int) -> int:
        if offset > len(before) + 9:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(descriptor, data[:10], offset)

    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(UsersFileError, match="the disk is full"):
        users_editor.set_disabled(path, "alice", True)
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("before", "after"),
    [(0o600, 0o600), (0o640, 0o640), (0o660, 0o660), (0o400, 0o400), (0o644, 0o600)],
)
def test_file_modes(tmp_path: Path, before: int, after: int) -> None:
    path = tmp_path / "users.yml"
    users_editor.add(path, "alice", HASH)
    path.chmod(before)
    users_editor.set_disabled(path, "alice", True)
    assert stat.S_IMODE(path.stat().st_mode) == after


def test_hard_links_are_preserved(tmp_path: Path) -> None:
    path = tmp_path / "users.yml"
    users_editor.add(path, "alice", HASH)
    os.link(path, tmp_path / "other.yml")
    users_editor.set_disabled(path, "alice", True)
    assert load_users(tmp_path / "other.yml")["alice"].disabled


def test_extended_attributes_are_preserved(tmp_path: Path) -> None:
    path = tmp_path / "users.yml"
    users_editor.add(path, "alice", HASH)
    try:
        os.setxattr(path, "user.owner", b"ops")
    except OSError:
        pytest.skip("this file system has no extended attributes")
    users_editor.set_disabled(path, "alice", True)
    assert os.getxattr(path, "user.owner") == b"ops"


def test_symlinks_of_configmap_are_preserved(tmp_path: Path) -> None:
    (tmp_path / "..2024").mkdir()
    users_editor.add(tmp_path / "..2024" / "users.yml", "alice", HASH)
    (tmp_path / "..data").symlink_to("..2024")
    path = tmp_path / "users.yml"
    path.symlink_to("..data/users.yml")
    users_editor.set_disabled(path, "alice", True)
    assert (path.is_symlink(), (tmp_path / "..data").is_symlink()) == (True, True)
    assert load_users(tmp_path / "..2024" / "users.yml")["alice"].disabled


def test_unwritable_file_raises_distinct_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "users.yml"
    users_editor.add(path, "alice", HASH)

    def read_only(*_: object, **__: object) -> int:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(atomic, "_open", read_only)
    monkeypatch.setattr(atomic, "_write_in_place", read_only)
    with pytest.raises(UsersFileWriteError, match=r"mount the directory .* writable"):
        users_editor.set_disabled(path, "alice", True)


def test_journal_is_yaml_comment(tmp_path: Path) -> None:
    path = tmp_path / "users.yml"
    path.write_bytes(b"a: {}\n\n" + atomic._journal(textwrap.dedent("b: {}\n").encode()))
    with pytest.raises(UsersFileError, match=r"users\.yml:1: b\.password: is missing"):
        load_users(path)
