"""Checks of owners and modes: the gateway's account can read its files, others cannot read secrets.

The account is derived from the files: it owns all of them except those that root made by mistake.
"""

import os
import pwd
import stat
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from authgw.config.loader import LoadedConfig
from authgw.doctor.findings import CheckResult, ok, problem, warning
from authgw.server.reload import secret_files
from authgw.server.store_factory import store_file

_PART = "files"
_ROOT = 0


@dataclass(frozen=True, slots=True)
class _Account:
    """The account that runs the gateway."""

    uid: int
    gids: frozenset[int]

    @property
    def name(self) -> str:
        return _name_of(self.uid)

    def can_access(self, status: os.stat_result, *, write: bool = False) -> bool:
        """Return True if owner and mode grant this account access (path_resolution(7)).

        The access is reading, also writing if `write` is set; for directories, listing and search.
        """
        required = 0o5 if stat.S_ISDIR(status.st_mode) else 0o6 if write else 0o4
        granted = status.st_mode
        if self.uid == status.st_uid:
            granted >>= 6
        elif status.st_gid in self.gids:
            granted >>= 3
        return self.uid == _ROOT or granted & required == required


def examine(loaded: LoadedConfig) -> Iterator[CheckResult]:
    """Report wrong owners and modes of the files and directories that the gateway uses."""
    secret, written = _secret_files(loaded), _written_files(loaded)
    existing = {
        path: path.stat() for path in (*_directories(loaded), *secret, *written) if path.exists()
    }
    account = _account([status.st_uid for status in existing.values()])
    results = []
    for path, status in existing.items():
        if not account.can_access(status, write=path in written):
            results.append(problem(_PART, _access_error(path, status, account)))
        elif path in secret and status.st_mode & 0o007:
            results.append(
                warning(
                    _PART,
                    f"{path} is accessible to every account of this machine: chmod 600 {path}",
                )
            )
    yield from results
    if not results:
        yield ok(
            _PART, f"{account.name} can read all files of the gateway, and other accounts cannot"
        )


def _access_error(path: Path, status: os.stat_result, account: _Account) -> str:
    owner = _name_of(status.st_uid)
    if status.st_uid == account.uid:
        mode = stat.filemode(status.st_mode)
        return f"{path} has mode {mode}, so that {owner} cannot use it: chmod u+rwX {path}"
    return (
        f"{path} belongs to {owner}, so that {account.name}, the owner of the other files, cannot "
        f"use it: chown {account.name} {path}"
    )


def _account(owners: Sequence[int]) -> _Account:
    others = Counter(uid for uid in owners if uid != _ROOT)
    uid = others.most_common(1)[0][0] if others else os.geteuid()
    try:
        entry = pwd.getpwuid(uid)
        gids = frozenset(os.getgrouplist(entry.pw_name, entry.pw_gid))
    except KeyError:
        gids = frozenset()
    return _Account(uid, gids)


def _directories(loaded: LoadedConfig) -> Iterator[Path]:
    auth = loaded.settings.auth
    if auth.algorithm != "HS256":
        yield loaded.path(auth.keys)
    database = store_file(loaded)
    if database is not None:
        yield database.parent


def _secret_files(loaded: LoadedConfig) -> tuple[Path, ...]:
    auth = loaded.settings.auth
    entries = (auth.clients, auth.users, auth.bindings)
    return (*secret_files(loaded), *map(loaded.path, entries))


def _written_files(loaded: LoadedConfig) -> tuple[Path, ...]:
    database = store_file(loaded)
    if database is None:
        return ()
    return tuple(database.with_name(database.name + end) for end in ("", ".lock", "-wal", "-shm"))


def _name_of(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"
