"""`authgw session`: list and revoke sessions, from any source."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import click

from authgw.cli.errors import report_errors
from authgw.config.loader import LoadedConfig
from authgw.core.errors import StoreUnavailableError
from authgw.core.ports import Store
from authgw.core.session_codec import load
from authgw.core.sessions import Session
from authgw.observability import logging
from authgw.observability.command_log import CommandLog
from authgw.server.store_factory import open_shared_store
from authgw.web.user_agents import ago, describe_device

Read = Callable[[], LoadedConfig]
_COLUMNS = (
    "{sid:44}  {created:16}  {used:14}  {ends:16}  {address:15}  {source:12}  {sub}  {device}"
)
_TITLES = {
    "sid": "SID",
    "created": "CREATED (UTC)",
    "used": "LAST USED",
    "ends": "ENDS (UTC)",
    "address": "ADDRESS",
    "source": "OPENED BY",
    "sub": "SUBJECT",
    "device": "DEVICE",
}


@dataclass(frozen=True, slots=True)
class _Row:
    """An active session; `used_at` and `ends_at` are Unix seconds."""

    session: Session
    used_at: float
    ends_at: float


@click.group()
def command() -> None:
    """Sessions: who is logged in, on which device."""


@command.command("list")
@click.option("--user", "sub", help="Only the sessions of this subject.")
@click.option("--json", "as_json", is_flag=True, help="Write one JSON object a line.")
@click.pass_obj
@report_errors
def list_command(read: Read, sub: str | None, as_json: bool) -> None:
    """List the live sessions, of everybody or of one user, each subject's oldest first."""
    asyncio.run(_list(read(), sub, as_json))


@command.command("revoke", context_settings={"ignore_unknown_options": True})
@click.argument("sid", required=False)
@click.option("--user", "sub", help="End every session of this subject.")
@click.pass_obj
@report_errors
def revoke(read: Read, sid: str | None, sub: str | None) -> None:
    """End one session, or all of a user. Status 1: there was none."""
    if (sid is None) == (sub is None):
        raise click.UsageError("give a SID (see `authgw session list`) or --user")
    loaded = read()
    logging.set_up(loaded.settings.logging.mode, "info")
    ended = asyncio.run(_revoke(loaded, CommandLog(loaded, "session revoke"), sid, sub))
    if not ended:
        raise click.ClickException("no live session: it has ended already, or never was")
    within = f"within {loaded.settings.cache.max_staleness:g} s"
    click.echo(f"Ended {len(ended)}: every replica refuses what was ended {within}.")


async def _list(loaded: LoadedConfig, sub: str | None, as_json: bool) -> None:
    async with open_shared_store(loaded) as store:
        if not as_json:
            click.echo(_COLUMNS.format(**_TITLES))
        rows = _all_rows(store, loaded) if sub is None else _rows_of(store, loaded, sub)
        async for row in rows:
            shown = json.dumps(_as_json(row)) if as_json else _COLUMNS.format(**_as_columns(row))
            click.echo(shown)


async def _all_rows(store: Store, loaded: LoadedConfig) -> AsyncIterator[_Row]:
    unreadable = 0
    async for batch in store.export():
        now = time.time()
        for exported in batch:
            try:
                session = load(exported.record)
            except ValueError:
                unreadable += 1
                continue
            idle_end = now + exported.idle_left
            row = _Row(session, idle_end - loaded.settings.auth.auto_logout, idle_end)
            if session.expires_at > now:
                yield row
    if unreadable:
        click.echo(f"warning: {unreadable} records cannot be read: see the versions", err=True)


async def _rows_of(store: Store, loaded: LoadedConfig, sub: str) -> AsyncIterator[_Row]:
    sessions = await store.sessions_of(sub)
    last_used = await store.last_used([session.sid for session in sessions])
    now = time.time()
    for session in sessions:
        if session.sid in last_used and session.expires_at > now:
            used_at = last_used[session.sid]
            yield _Row(session, used_at, used_at + loaded.settings.auth.auto_logout)


async def _revoke(
    loaded: LoadedConfig, log: CommandLog, sid: str | None, sub: str | None
) -> tuple[str, ...]:
    async with open_shared_store(loaded) as store:
        if sub is not None:
            ended = await store.revoke_all(sub)
        else:
            sid = sid or ""
            sub = await _subject_of(store, sid)
            ended = (sid,) if await store.revoke(sid) else ()
    for ended_sid in ended:
        log.revoked(sub, ended_sid)
    return ended


async def _subject_of(store: Store, sid: str) -> str:
    # A session is revoked even if its record cannot be read.
    with suppress(StoreUnavailableError):
        session = (await store.read(sid)).session
        return session.sub if session else ""
    return ""


def _as_json(row: _Row) -> dict[str, Any]:
    session = row.session
    return {
        "sid": session.sid,
        "sub": session.sub,
        "source": session.source,
        "created_at": int(session.created_at),
        "last_used": int(row.used_at),
        "ends_at": int(min(row.ends_at, session.expires_at)),
        "address": session.client.address,
        "user_agent": session.client.user_agent,
    }


def _as_columns(row: _Row) -> dict[str, str]:
    session = row.session
    return {
        "sid": session.sid,
        "created": _utc_minute(session.created_at),
        "used": ago(time.time() - row.used_at),
        "ends": _utc_minute(min(row.ends_at, session.expires_at)),
        "address": session.client.address or "-",
        "source": session.source,
        "sub": session.sub if session.sub.isprintable() else json.dumps(session.sub),
        "device": describe_device(session.client.user_agent),
    }


def _utc_minute(at: float) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M}"
