"""`authgw store`: moving every session to another store without logging anybody out."""

import asyncio
import os
from collections.abc import Callable
from dataclasses import dataclass, replace

import click
from pydantic import SecretStr, ValidationError

from authgw.cli.errors import plainly
from authgw.config.loader import LoadedConfig
from authgw.config.schema import CacheSettings
from authgw.core.errors import StoreUnavailableError
from authgw.core.export import ExportableStore
from authgw.server.store_factory import open_exclusive_store, store_file
from authgw.storage import StoreSetupError


@dataclass(slots=True)
class _Count:
    """How far a copy has come."""

    copied: int = 0
    there: int = 0


@click.group()
def command() -> None:
    """Where sessions are kept."""


@command.command("copy")
@click.argument("source", metavar="FROM")
@click.argument("target", metavar="TO")
@click.option("--resume", is_flag=True, help="Go on with a copy to TO that broke off.")
@click.pass_obj
@plainly
def copy(read: Callable[[], LoadedConfig], source: str, target: str, resume: bool) -> None:
    """Copy every session from one store to another, each a URL as in `cache.url`.

    No gateway may run on either. FROM stays as it is. The password of `cache.password_file` is
    used for the store that the configuration names.
    """
    loaded, count = read(), _Count()
    if source == target:
        raise click.UsageError("FROM and TO are the same store")
    try:
        asyncio.run(_copy(_at(loaded, source), _at(loaded, target), resume, count))
    except StoreUnavailableError as error:
        raise click.ClickException(
            f"The copy broke off after {count.copied} sessions ({error.detail}). "
            "FROM is as it was: run it again with --resume"
        ) from None
    there = f", {count.there} were there already" if count.there else ""
    click.echo(f"Copied {count.copied} sessions{there}. Set cache.url to TO and start the gateway.")


async def _copy(source: LoadedConfig, target: LoadedConfig, resume: bool, count: _Count) -> None:
    _check_exists(source)
    async with open_exclusive_store(source) as held, open_exclusive_store(target) as other:
        if not resume and await _holds_any(other):
            raise StoreSetupError(
                "TO holds sessions. If a copy to it broke off and no gateway has run on it since, "
                "add --resume; else what was ended there would be alive again: empty it first"
            )
        async for batch in held.export():
            copied = await other.import_batch(batch)
            count.copied += copied
            count.there += len(batch) - copied
    _leave_to_the_gateway(target)


def _at(loaded: LoadedConfig, url: str) -> LoadedConfig:
    """This configuration with another store."""
    cache = loaded.settings.cache
    if url == cache.address:
        return loaded
    try:
        checked = CacheSettings(url=SecretStr(url)).url
    except ValidationError as error:
        said = error.errors(include_input=False)[0]["msg"].removeprefix("Value error, ")
        raise StoreSetupError(f"{url.partition('://')[0]}: {said}") from None
    named = {"url": checked, "host": None, "password_file": None}
    settings = loaded.settings.model_copy(update={"cache": cache.model_copy(update=named)})
    return replace(loaded, settings=settings)


def _leave_to_the_gateway(target: LoadedConfig) -> None:
    """What root has made belongs to who owns its folder, as everything that the gateway writes."""
    path = store_file(target)
    if path is None or os.geteuid() != 0:
        return
    owner = path.parent.stat()
    for made in (path, path.with_name(f"{path.name}.lock")):
        os.lchown(made, owner.st_uid, owner.st_gid)


def _check_exists(source: LoadedConfig) -> None:
    path = store_file(source)
    if path is not None and not path.exists():
        raise StoreSetupError(f"{path} is not there: no gateway has kept sessions in it")


async def _holds_any(store: ExportableStore) -> bool:
    async for batch in store.export():
        if batch:
            return True
    return False
