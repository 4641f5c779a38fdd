"""Opens the store that a configuration names."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from authgw.config.loader import LoadedConfig
from authgw.core.ports import Store
from authgw.files import key_files
from authgw.storage.kinds import StoreKind, StoreLocation
from authgw.storage.registry import kind_of


def kind_and_location(loaded: LoadedConfig) -> tuple[StoreKind, StoreLocation]:
    """Return the kind and the location of this configuration's store.

    Raises:
        SigningKeyError: the password file must not be used.
    """
    auth, cache = loaded.settings.auth, loaded.settings.cache
    password = ca_file = None
    if cache.password_file is not None:
        with key_files.naming_key("cache.password_file"):
            password = key_files.read_line(loaded.path(cache.password_file))
    if cache.ca_file is not None:
        ca_file = loaded.path(cache.ca_file)
    location = StoreLocation(
        cache.address, loaded.directory, auth.auto_logout, auth.session_max, password, ca_file
    )
    return kind_of(cache.address), location


def store_file(loaded: LoadedConfig) -> Path | None:
    """Return the file of this configuration's store, or None if it has no local file."""
    url = loaded.settings.cache.address
    return kind_of(url).file(url, loaded.directory)


@asynccontextmanager
async def open_store(loaded: LoadedConfig) -> AsyncIterator[Store]:
    """Open the store for a gateway, and close it at the end; see `StoreKind.open`.

    Raises:
        StoreSetupError: the store must not be used as it is.
        SigningKeyError: the password file must not be used.
    """
    kind, location = kind_and_location(loaded)
    store = await kind.open(location)
    try:
        yield store
    finally:
        await store.close()


@asynccontextmanager
async def open_shared_store(loaded: LoadedConfig) -> AsyncIterator[Store]:
    """Open the store next to the gateways that use it; see `StoreKind.open_shared`.

    Raises:
        StoreSetupError: only the gateway can access the store, or it does not exist.
        StoreUnavailableError: the store is unreachable.
        SigningKeyError: the password file must not be used.
    """
    kind, location = kind_and_location(loaded)
    store = await kind.open_shared(location)
    try:
        await store.ping()
        yield store
    finally:
        await store.close()


@asynccontextmanager
async def open_exclusive_store(loaded: LoadedConfig) -> AsyncIterator[Store]:
    """Open the store while no gateway uses it; see `StoreKind.open_exclusive`.

    Raises:
        StoreSetupError: a gateway uses the store, or it must not be used as it is.
        StoreUnavailableError: the store is unreachable.
        SigningKeyError: the password file must not be used.
    """
    kind, location = kind_and_location(loaded)
    store = await kind.open_exclusive(location)
    try:
        yield store
    finally:
        await store.close()
