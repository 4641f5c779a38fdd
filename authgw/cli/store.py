"""`authgw store`: move all sessions and records to another store; no user is logged out."""

import asyncio
import os
from collections.abc import Callable
from dataclasses import dataclass, replace

import click
from pydantic import SecretStr, ValidationError

from authgw.cli import output
from authgw.cli.errors import report_errors
from authgw.cli.options import examples, json_option
from authgw.config.loader import LoadedConfig
from authgw.config.schema import CacheSettings
from authgw.core.errors import StoreUnavailableError
from authgw.core.export import ExportableStore
from authgw.server.store_factory import open_exclusive_store, store_file
from authgw.storage import StoreSetupError


@dataclass(slots=True)
class _Count:
    """Progress of a copy: sessions copied, sessions that already existed, records copied."""

    copied: int = 0
    existing: int = 0
    records: int = 0


_COPY = "authgw store copy embedded:///var/authgw.db redis://127.0.0.1:6379/0"


@click.group(epilog=examples(_COPY))
def command() -> None:
    """Manage the session store."""


@command.command("copy", epilog=examples(_COPY))
@click.argument("source", metavar="FROM")
@click.argument("target", metavar="TO")
@click.option("--resume", is_flag=True, help="Continue a copy to TO that was interrupted.")
@json_option
@click.pass_obj
@report_errors
def copy(
    read: Callable[[], LoadedConfig], source: str, target: str, resume: bool, as_json: bool
) -> None:
    """Copy all sessions and records to another store.

    No user has to log in again. The records are those of logins at identity providers. FROM and TO
    are URLs as in `cache.url`. Stop every gateway that uses them first. FROM does not change. The
    password of `cache.password_file` is used for the store of the configuration.
    """
    loaded, count = read(), _Count()
    if source == target:
        raise click.UsageError("FROM and TO are the same store")
    try:
        asyncio.run(_copy(_at(loaded, source), _at(loaded, target), resume, count))
    except StoreUnavailableError as error:
        raise click.ClickException(
            f"the copy was interrupted after {_sessions(count.copied)} ({error.detail}); FROM is "
            "unchanged: run the command again with --resume"
        ) from None
    if as_json:
        output.json_object(
            {"copied": count.copied, "existing": count.existing, "records": count.records}
        )
        return
    existing = f", {count.existing} existed already" if count.existing else ""
    records = f", and {_counted(count.records, 'record')}" if count.records else ""
    copied = f"Copied {_sessions(count.copied)}{existing}{records}."
    output.line(f"{copied} Set cache.url to TO and start the gateway.")


async def _copy(source: LoadedConfig, target: LoadedConfig, resume: bool, count: _Count) -> None:
    _check_exists(source)
    async with (
        open_exclusive_store(source) as source_store,
        open_exclusive_store(target) as target_store,
    ):
        if not resume and await _has_sessions(target_store):
            raise StoreSetupError(
                "TO contains sessions: use --resume if a copy to TO was interrupted and no gateway "
                "has used TO since; otherwise empty TO first, or sessions that ended there would "
                "become valid again"
            )
        # First, so that a session is in the sets of its account as soon as it is there.
        async for records in source_store.export_records():
            count.records += await target_store.import_records(records)
        async for batch in source_store.export():
            copied = await target_store.import_batch(batch)
            count.copied += copied
            count.existing += len(batch) - copied
    _give_to_owner(target)


def _at(loaded: LoadedConfig, url: str) -> LoadedConfig:
    """Return this configuration with the store of `url`."""
    cache = loaded.settings.cache
    if url == cache.address:
        return loaded
    try:
        checked = CacheSettings(url=SecretStr(url)).url
    except ValidationError as error:
        message = error.errors(include_input=False)[0]["msg"].removeprefix("Value error, ")
        raise StoreSetupError(f"{url.partition('://')[0]}: {message}") from None
    changes = {"url": checked, "host": None, "password_file": None}
    settings = loaded.settings.model_copy(update={"cache": cache.model_copy(update=changes)})
    return replace(loaded, settings=settings)


def _give_to_owner(target: LoadedConfig) -> None:
    """Give files created by root to the directory's owner, as for all files of the gateway."""
    path = store_file(target)
    if path is None or os.geteuid() != 0:
        return
    owner = path.parent.stat()
    for created in (path, path.with_name(f"{path.name}.lock")):
        os.lchown(created, owner.st_uid, owner.st_gid)


def _check_exists(source: LoadedConfig) -> None:
    path = store_file(source)
    if path is not None and not path.exists():
        raise StoreSetupError(f"{path} does not exist: no gateway has stored sessions in it")


def _sessions(count: int) -> str:
    return _counted(count, "session")


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


async def _has_sessions(store: ExportableStore) -> bool:
    async for batch in store.export():
        if batch:
            return True
    return False
