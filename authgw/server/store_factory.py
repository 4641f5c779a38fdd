"""The store that a configuration names."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from loguru import logger

from authgw.config.loader import LoadedConfig
from authgw.core.errors import StoreUnavailableError
from authgw.files import key_files
from authgw.storage import StoreSetupError
from authgw.storage.redis.commands import Servers
from authgw.storage.redis.connect import connect
from authgw.storage.redis.counters import ANNOUNCEMENT_LIFETIME
from authgw.storage.redis.store import RedisStore
from authgw.storage.sqlite.store import EmbeddedStore

Store = EmbeddedStore | RedisStore


@asynccontextmanager
async def opened_store(loaded: LoadedConfig) -> AsyncIterator[Store]:
    """What `open_store` returns, closed at the end."""
    store = await open_store(loaded)
    try:
        yield store
    finally:
        await store.close()


async def open_store(loaded: LoadedConfig) -> Store:
    """The store of this configuration; a Redis that is away for now is only warned of.

    Raises:
        StoreSetupError: it must not be used as it is.
        SigningKeyError: its password file must not be used.
    """
    if loaded.settings.cache.is_embedded:
        idle = loaded.settings.auth.auto_logout
        return await EmbeddedStore.open(embedded_path(loaded), idle=idle)
    store = _redis_store(loaded)
    try:
        await store.check()
    except StoreUnavailableError as error:
        logger.warning(f"Not ready: {error.detail}. Answers are 503 until it is back.")
    return store


@asynccontextmanager
async def store_at_hand(loaded: LoadedConfig) -> AsyncIterator[Store]:
    """The store of this configuration beside the gateways that run on it, for an operator.

    Raises:
        StoreSetupError: nothing but the gateway can look into it, or it is not there.
        StoreUnavailableError: Redis is away.
        SigningKeyError: its password file must not be used.
    """
    store = await _beside(loaded)
    try:
        await store.ping()
        yield store
    finally:
        await store.close()


@asynccontextmanager
async def store_alone(loaded: LoadedConfig) -> AsyncIterator[Store]:
    """The store of this configuration while no gateway runs on it.

    Raises:
        StoreSetupError: one does, or it must not be used as it is.
        StoreUnavailableError: Redis is away.
        SigningKeyError: its password file must not be used.
    """
    store = await _held(loaded)
    try:
        if isinstance(store, RedisStore):
            await _check_alone(store)
        yield store
    finally:
        await store.close()


async def _held(loaded: LoadedConfig) -> Store:
    if not loaded.settings.cache.is_embedded:
        return _redis_store(loaded)
    path = embedded_path(loaded)
    if path is None:
        raise StoreSetupError("embedded://memory ends with this command: name a file or a Redis")
    return await EmbeddedStore.open(path, idle=loaded.settings.auth.auto_logout)


async def _check_alone(store: RedisStore) -> None:
    await store.check()
    running = len(await store.replicas())
    if running:
        raise StoreSetupError(
            f"{running} replicas run on this Redis: stop them and wait "
            f"{ANNOUNCEMENT_LIFETIME:.0f} s, or what they end meanwhile would be alive again"
        )


async def _beside(loaded: LoadedConfig) -> Store:
    if not loaded.settings.cache.is_embedded:
        return _redis_store(loaded)
    path = embedded_path(loaded)
    if path is None:
        raise StoreSetupError(
            "embedded://memory is the memory of the running gateway, which no command can look "
            "into: set cache.url: embedded:///var/authgw.db, or ask the gateway (POST /revoke)"
        )
    return await EmbeddedStore.open_shared(path, idle=loaded.settings.auth.auto_logout)


def _redis_store(loaded: LoadedConfig) -> RedisStore:
    auth = loaded.settings.auth
    return RedisStore(redis_servers(loaded), idle=auth.auto_logout, session_max=auth.session_max)


def redis_servers(loaded: LoadedConfig) -> Servers:
    """The Redis servers of this configuration, not connected yet.

    Raises:
        SigningKeyError: its password file must not be used.
        StoreSetupError: its file of certificates must not be used.
    """
    cache, password = loaded.settings.cache, None
    if cache.password_file is not None:
        password = key_files.read_line(loaded.path(cache.password_file))
    ca_file = None if cache.ca_file is None else loaded.path(cache.ca_file)
    return connect(cache.address, password=password, ca_file=ca_file)


def embedded_path(loaded: LoadedConfig) -> Path | None:
    """The file of the embedded store (a fourth slash makes it absolute), None for memory."""
    address = loaded.settings.cache.address
    if address == "embedded://memory":
        return None
    return loaded.path(address.removeprefix("embedded:///"))
