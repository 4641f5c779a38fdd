"""Rules, users, clients and keys: read at start; a reload reads all of them again, or nothing."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from authgw.config.loader import ConfigError, LoadedConfig
from authgw.config.provider_icons import ProviderIcon, load_icons
from authgw.config.schema import Settings
from authgw.config.section import Section
from authgw.core.keys import Key, KeyRing, SigningKeyError
from authgw.core.providers.model import Provider
from authgw.files import key_files
from authgw.identity.bindings_file import BindingsFileError
from authgw.identity.clients_file import BackendsFileError, TrustedBackends, load_clients
from authgw.identity.users_file import UsersFileError
from authgw.identity.users_watcher import WatchedUsersFile


class ReloadError(ValueError):
    """Raised when readable files must not replace the previous state."""


REFUSALS = (
    ConfigError,
    SigningKeyError,
    BackendsFileError,
    UsersFileError,
    BindingsFileError,
    ReloadError,
)


@dataclass(frozen=True, slots=True)
class ReloadableState:
    """The state of all files that a reload reads again.

    `loaded` has the current rules; its other settings are those of the start. `left` names the
    settings that have changed since, and that need a restart. `icons` and `providers`, with
    their secrets, are those of the identity providers, by name.
    """

    loaded: LoadedConfig
    keys: KeyRing
    clients: TrustedBackends
    users: WatchedUsersFile
    left: tuple[str, ...] = ()
    icons: Mapping[str, ProviderIcon] = field(default_factory=dict)
    providers: Mapping[str, Provider] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class EntryFiles:
    """The clients, and the users with their bindings, that a configuration names."""

    clients: TrustedBackends
    users: WatchedUsersFile


def read_entries(loaded: LoadedConfig) -> EntryFiles:
    """Read the files of clients, users and bindings.

    Raises:
        BackendsFileError, UsersFileError, BindingsFileError: a file must not be used; the message
            says why.
    """
    auth = loaded.settings.auth
    return EntryFiles(
        load_clients(loaded.path(auth.clients)),
        WatchedUsersFile(loaded.path(auth.users), bindings=loaded.path(auth.bindings)),
    )


def read(loaded: LoadedConfig, entries: EntryFiles | None = None) -> ReloadableState:
    """Read the files of this configuration; create a missing key unless the store is shared.

    Raises:
        ConfigError, SigningKeyError, BackendsFileError, UsersFileError, BindingsFileError: a file
            must not be used; the message says why.
    """
    if not loaded.settings.cache.is_shared:
        _make_missing_key(loaded)
    ring = _load_ring(loaded)
    found = entries or read_entries(loaded)
    return ReloadableState(
        loaded,
        ring,
        found.clients,
        found.users,
        icons=load_icons(loaded),
        providers=loaded.settings.login.loaded_providers(loaded.directory),
    )


def read_again(before: ReloadableState, load: Callable[[], LoadedConfig]) -> ReloadableState:
    """Read all files again; `before` stays unchanged.

    Raises:
        ConfigError, SigningKeyError, BackendsFileError, UsersFileError, BindingsFileError: a file
            must not be used.
        ReloadError: the rules are gone, and without rules any session could access every host.
    """
    found = load()
    if found.rules is None and before.loaded.rules is not None:
        raise ReloadError(
            "rules: the section is gone, and without rules any valid session may access every "
            "protected host: write it again, or restart the gateway if this is intended"
        )
    settings = before.loaded.settings.model_copy(update={"rules": found.settings.rules})
    loaded = replace(found, settings=settings, directory=before.loaded.directory)
    return ReloadableState(
        loaded,
        _load_ring(loaded),
        _clients_again(loaded.path(settings.auth.clients), before.clients),
        WatchedUsersFile(before.users.path, before.users, bindings=before.users.bindings_path),
        tuple(_changed(before.loaded.settings, found.settings)),
        load_icons(loaded),
        settings.login.loaded_providers(loaded.directory),
    )


def secret_files(loaded: LoadedConfig) -> tuple[Path, ...]:
    """Return the files of keys and passwords that this configuration names."""
    auth, cache = loaded.settings.auth, loaded.settings.cache
    named = [cache.password_file, auth.secret_file if auth.algorithm == "HS256" else None]
    for provider in loaded.settings.login.providers.values():
        named += [provider.client_secret_file, provider.client_key_file]
    keys = loaded.path(auth.keys).glob("*.pem") if auth.algorithm != "HS256" else ()
    return (*sorted(keys), *(loaded.path(name) for name in named if name is not None))


def _make_missing_key(loaded: LoadedConfig) -> None:
    auth = loaded.settings.auth
    folder, secret = loaded.path(auth.keys), loaded.path(auth.secret_file)
    if auth.algorithm == "HS256":
        if not secret.exists():
            key_files.make_shared_secret(secret)
    elif not key_files.load_keys(folder):
        key_files.make_key(folder, auth.algorithm)


def _load_ring(loaded: LoadedConfig) -> KeyRing:
    auth = loaded.settings.auth
    keys = _load_keys(loaded)
    folder, secret = loaded.path(auth.keys), loaded.path(auth.secret_file)
    used = secret if auth.algorithm == "HS256" else folder
    key_files.record_kids(used, [key.kid for key in keys])
    # Of both, because the algorithm may have changed.
    known = key_files.recorded_kids(folder) | key_files.recorded_kids(secret)
    return KeyRing(keys, auth.max_token_lifetime, known)


def _load_keys(loaded: LoadedConfig) -> tuple[Key, ...]:
    auth = loaded.settings.auth
    if auth.algorithm == "HS256":
        with key_files.naming_key("auth.secret_file"):
            return (key_files.load_shared_secret(loaded.path(auth.secret_file)),)
    folder = loaded.path(auth.keys)
    keys = key_files.load_keys(folder)
    if not keys and loaded.settings.cache.is_shared:
        raise SigningKeyError(
            f"auth.keys: {folder} has no signing key, which replicas on a Redis must share: run "
            "`authgw key init` once, and share the directory"
        )
    return keys


def _clients_again(path: Path, before: TrustedBackends) -> TrustedBackends:
    if before.ids and not path.exists():
        raise BackendsFileError(
            f"{path} does not exist any more: restore it, or write {{}} for a file without clients"
        )
    return load_clients(path)


def _changed(before: Settings, now: Settings) -> Iterator[str]:
    """Yield the names of changed settings, such as `server.port`, except the rules."""
    for name in Settings.model_fields:
        old, new = getattr(before, name), getattr(now, name)
        if isinstance(old, Section):
            for key in type(old).model_fields:
                if getattr(old, key) != getattr(new, key):
                    yield f"{name}.{key}"
