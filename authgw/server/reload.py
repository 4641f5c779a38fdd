"""Rules, users, clients and keys: read at start; a reload reads all of them again, or nothing."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from authgw.config.loader import ConfigError, Loaded
from authgw.config.schema import Section, Settings
from authgw.core.keys import Key, KeyRefused, KeyRing
from authgw.files import key_files
from authgw.identity.clients_file import Clients, ClientsRefused, load_clients
from authgw.identity.users_file import UsersRefused
from authgw.identity.users_watcher import UsersFile


class ReloadRefused(ValueError):
    """What can be read and must not take the place of what was read before."""


REFUSALS = (ConfigError, KeyRefused, ClientsRefused, UsersRefused, ReloadRefused)


@dataclass(frozen=True, slots=True)
class Reading:
    """One reading of everything that a reload reads again.

    `loaded` has the rules; all its other settings are those of the start. `left` names the
    settings that have changed since, and that only a restart takes.
    """

    loaded: Loaded
    keys: KeyRing
    clients: Clients
    users: UsersFile
    left: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Entries:
    """The clients and users that a configuration names."""

    clients: Clients
    users: UsersFile


def read_entries(loaded: Loaded) -> Entries:
    """Read the files of clients and users.

    Raises:
        ClientsRefused, UsersRefused: a file must not be used; the message says why.
    """
    auth = loaded.settings.auth
    return Entries(load_clients(loaded.path(auth.clients)), UsersFile(loaded.path(auth.users)))


def read(loaded: Loaded, entries: Entries | None = None) -> Reading:
    """Read what this configuration names; the embedded store makes a missing key.

    Raises:
        KeyRefused, ClientsRefused, UsersRefused: a file must not be used; the message says why.
    """
    if loaded.settings.cache.is_embedded:
        _make_missing_key(loaded)
    ring = _load_ring(loaded)
    found = entries or read_entries(loaded)
    return Reading(loaded, ring, found.clients, found.users)


def read_again(before: Reading, load: Callable[[], Loaded]) -> Reading:
    """Read all of it again; `before` stays as it is.

    Raises:
        ConfigError, KeyRefused, ClientsRefused, UsersRefused: a file must not be used.
        ReloadRefused: the rules are gone, and without any every live session could open all.
    """
    found = load()
    if found.rules is None and before.loaded.rules is not None:
        raise ReloadRefused(
            "rules: there are none any more, and without rules every live session may open "
            "everything: write them again, or restart if this is meant"
        )
    settings = before.loaded.settings.model_copy(update={"rules": found.settings.rules})
    loaded = replace(found, settings=settings, folder=before.loaded.folder)
    return Reading(
        loaded,
        _load_ring(loaded),
        _clients_again(loaded.path(settings.auth.clients), before.clients),
        UsersFile(before.users.path, before.users),
        tuple(_changed(before.loaded.settings, found.settings)),
    )


def secret_files(loaded: Loaded) -> tuple[Path, ...]:
    """Return the files of keys and passwords that this configuration names."""
    auth, cache = loaded.settings.auth, loaded.settings.cache
    named = [cache.password_file, auth.secret_file if auth.algorithm == "HS256" else None]
    keys = loaded.path(auth.keys).glob("*.pem") if auth.algorithm != "HS256" else ()
    return (*sorted(keys), *(loaded.path(name) for name in named if name is not None))


def _make_missing_key(loaded: Loaded) -> None:
    auth = loaded.settings.auth
    folder, secret = loaded.path(auth.keys), loaded.path(auth.secret_file)
    if auth.algorithm == "HS256":
        if not secret.exists():
            key_files.make_shared_secret(secret)
    elif not key_files.load_keys(folder):
        key_files.make_key(folder, auth.algorithm)


def _load_ring(loaded: Loaded) -> KeyRing:
    auth = loaded.settings.auth
    keys = _load_keys(loaded)
    folder, secret = loaded.path(auth.keys), loaded.path(auth.secret_file)
    used = secret if auth.algorithm == "HS256" else folder
    key_files.remember_kids(used, [key.kid for key in keys])
    # Of both, because the algorithm may have changed.
    known = key_files.remembered_kids(folder) | key_files.remembered_kids(secret)
    return KeyRing(keys, max(auth.access_lifetime, auth.refresh_lifetime), known)


def _load_keys(loaded: Loaded) -> tuple[Key, ...]:
    auth = loaded.settings.auth
    if auth.algorithm == "HS256":
        return (key_files.load_shared_secret(loaded.path(auth.secret_file)),)
    folder = loaded.path(auth.keys)
    keys = key_files.load_keys(folder)
    if not keys and not loaded.settings.cache.is_embedded:
        raise KeyRefused(
            f"no signing key in {folder}, and replicas that share a Redis must share keys: "
            "run `authgw key init` once"
        )
    return keys


def _clients_again(path: Path, before: Clients) -> Clients:
    if before.ids and not path.exists():
        raise ClientsRefused(f"{path}: No such file: write {{}} if no client is meant")
    return load_clients(path)


def _changed(before: Settings, now: Settings) -> Iterator[str]:
    """The names of settings that are not the same, such as `server.port`, but for the rules."""
    for name in Settings.model_fields:
        old, new = getattr(before, name), getattr(now, name)
        if isinstance(old, Section):
            for key in type(old).model_fields:
                if getattr(old, key) != getattr(new, key):
                    yield f"{name}.{key}"
