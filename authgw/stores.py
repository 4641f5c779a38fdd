"""The store that a configuration names."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from loguru import logger

from authgw import keyfiles
from authgw.config import Loaded
from authgw.core.errors import StoreUnavailable
from authgw.storage.connecting import connect
from authgw.storage.embedded import EmbeddedStore
from authgw.storage.redis import RedisStore
from authgw.storage.redis_calls import Servers

Store = EmbeddedStore | RedisStore


@asynccontextmanager
async def opened_store(loaded: Loaded) -> AsyncIterator[Store]:
    """What `open_store` returns, closed at the end."""
    store = await open_store(loaded)
    try:
        yield store
    finally:
        await store.close()


async def open_store(loaded: Loaded) -> Store:
    """The store of this configuration; a Redis that is away for now is only warned of.

    Raises:
        StoreRefused: it must not be used as it is.
        KeyRefused: its password file must not be used.
    """
    cache, auth = loaded.settings.cache, loaded.settings.auth
    if cache.is_embedded:
        return await EmbeddedStore.open(embedded_path(loaded), idle=auth.auto_logout)
    store = RedisStore(redis_servers(loaded), idle=auth.auto_logout, session_max=auth.session_max)
    try:
        await store.check()
    except StoreUnavailable as error:
        logger.warning(f"Not ready: {error.detail}. Answers are 503 until it is back.")
    return store


def redis_servers(loaded: Loaded) -> Servers:
    """The Redis servers of this configuration, not connected yet.

    Raises:
        KeyRefused: its password file must not be used.
        StoreRefused: its file of certificates must not be used.
    """
    cache, password = loaded.settings.cache, None
    if cache.password_file is not None:
        password = keyfiles.read_secret(loaded.path(cache.password_file)).decode().strip()
    ca_file = None if cache.ca_file is None else loaded.path(cache.ca_file)
    return connect(cache.address, password=password, ca_file=ca_file)


def embedded_path(loaded: Loaded) -> Path | None:
    """The file of the embedded store (a fourth slash makes it absolute), None for memory."""
    address = loaded.settings.cache.address
    if address == "embedded://memory":
        return None
    return loaded.path(address.removeprefix("embedded:///"))
