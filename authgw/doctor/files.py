"""Whether the gateway's account can read its files, and nobody else the secret ones.

Which account that is, the files say themselves: all that it reads belongs to it, but for what
root made by mistake.
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
from authgw.server.store_factory import embedded_path

_PART = "files"
_ROOT = 0


@dataclass(frozen=True, slots=True)
class _Account:
    """Who runs the gateway."""

    uid: int
    gids: frozenset[int]

    @property
    def name(self) -> str:
        return _name_of(self.uid)

    def may(self, seen: os.stat_result, *, write: bool = False) -> bool:
        """Whether the mode lets this account in (path_resolution(7))."""
        wanted = 0o5 if stat.S_ISDIR(seen.st_mode) else 0o6 if write else 0o4
        given = seen.st_mode
        if self.uid == seen.st_uid:
            given >>= 6
        elif seen.st_gid in self.gids:
            given >>= 3
        return self.uid == _ROOT or given & wanted == wanted


def examine(loaded: LoadedConfig) -> Iterator[CheckResult]:
    """What is wrong with owners and modes of what the gateway reads, and with what it writes."""
    secret, written = _secret(loaded), _written(loaded)
    there = {path: path.stat() for path in (*_folders(loaded), *secret, *written) if path.exists()}
    account = _account([seen.st_uid for seen in there.values()])
    found = []
    for path, seen in there.items():
        if not account.may(seen, write=path in written):
            found.append(problem(_PART, _locked_out(path, seen, account)))
        elif path in secret and seen.st_mode & 0o007:
            found.append(warning(_PART, f"{path} is open to everyone here: chmod 600 {path}"))
    yield from found
    if not found:
        yield ok(_PART, f"{account.name} can read what the gateway needs, and keeps it to itself")


def _locked_out(path: Path, seen: os.stat_result, account: _Account) -> str:
    owner = _name_of(seen.st_uid)
    if seen.st_uid == account.uid:
        return (
            f"{path}: its mode {stat.filemode(seen.st_mode)} keeps {owner} out: chmod u+rwX {path}"
        )
    return (
        f"{path} belongs to {owner}, the rest to {account.name}, who cannot use it: "
        f"chown {account.name} {path}"
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


def _folders(loaded: LoadedConfig) -> Iterator[Path]:
    auth = loaded.settings.auth
    if auth.algorithm != "HS256":
        yield loaded.path(auth.keys)
    database = _database(loaded)
    if database is not None:
        yield database.parent


def _secret(loaded: LoadedConfig) -> tuple[Path, ...]:
    auth = loaded.settings.auth
    return (*secret_files(loaded), loaded.path(auth.clients), loaded.path(auth.users))


def _written(loaded: LoadedConfig) -> tuple[Path, ...]:
    database = _database(loaded)
    if database is None:
        return ()
    return tuple(database.with_name(database.name + end) for end in ("", ".lock", "-wal", "-shm"))


def _database(loaded: LoadedConfig) -> Path | None:
    return embedded_path(loaded) if loaded.settings.cache.is_embedded else None


def _name_of(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"
