"""`authgw session`: list and revoke sessions, whichever login opened them."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import click

from authgw.cli import output
from authgw.cli.errors import report_errors
from authgw.cli.options import examples, json_option
from authgw.config.loader import LoadedConfig
from authgw.core.errors import StoreUnavailableError
from authgw.core.ports import Store
from authgw.core.session_codec import load
from authgw.core.sessions import Session, is_sid
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


class _SidCommand(click.Command):
    """Command that takes a sid that begins with a dash as an argument, not as options."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the arguments, with sids after the `--` that ends the options."""
        sids = [text for text in args if text.startswith("-") and is_sid(text)]
        if sids and "--" not in args:
            args = [*(text for text in args if text not in sids), "--", *sids]
        return super().parse_args(ctx, args)


@click.group(epilog=examples("authgw session list"))
def command() -> None:
    """List and revoke the sessions of users."""


@command.command("list", epilog=examples("authgw session list --user alice --json"))
@click.option("--user", "sub", help="Only the sessions of this user (subject).")
@json_option
@click.pass_obj
@report_errors
def list_command(read: Read, sub: str | None, as_json: bool) -> None:
    """List all valid sessions, each user's oldest first.

    The command works next to running gateways.
    """
    asyncio.run(_list(read(), sub, as_json))


@command.command(
    "revoke",
    cls=_SidCommand,
    epilog=examples(
        "authgw session revoke qL8yWq3mT0a9rV7uXn2kPe4sD6fGh1jZcB5oI-_wEyRt",
        "authgw session revoke --user alice",
    ),
)
@click.argument("sid", required=False)
@click.option("--user", "sub", help="Revoke every session of this user (subject).")
@json_option
@click.pass_obj
@report_errors
def revoke(read: Read, sid: str | None, sub: str | None, as_json: bool) -> None:
    """Revoke a session, or all sessions of a user.

    The command works next to running gateways. A user with a password can log in again: disable
    the user first with `authgw user disable`. Exit status 1: there was no such session.
    """
    if (sid is None) == (sub is None):
        raise click.UsageError("give either a SID (see `authgw session list`) or --user")
    loaded = read()
    logging.set_up(loaded.settings.logging.mode, "info")
    ended = asyncio.run(_revoke(loaded, CommandLog(loaded, "session revoke"), sid, sub))
    if not ended:
        raise click.ClickException("no such session (already ended, or unknown sid)")
    if as_json:
        output.json_object({"ended": list(ended)})
        return
    count = f"{len(ended)} session{'' if len(ended) == 1 else 's'}"
    within = f"within {loaded.settings.cache.max_staleness:g} s"
    output.line(f"Ended {count}: every replica refuses them {within}.")


async def _list(loaded: LoadedConfig, sub: str | None, as_json: bool) -> None:
    async with open_shared_store(loaded) as store:
        rows = _all_rows(store, loaded) if sub is None else _rows_of(store, loaded, sub)
        await (_print_json(rows) if as_json else _print_columns(rows))


async def _print_json(rows: AsyncIterator[_Row]) -> None:
    array = output.JsonArray()
    async for row in rows:
        array.add(_as_json(row))
    array.end()


async def _print_columns(rows: AsyncIterator[_Row]) -> None:
    output.line(_COLUMNS.format(**_TITLES))
    async for row in rows:
        output.line(_COLUMNS.format(**_as_columns(row)))


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
        output.note(
            f"warning: {unreadable} sessions cannot be read: a newer version of authgw wrote them"
        )


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
        "created_at": output.rfc3339(session.created_at),
        "last_used_at": output.rfc3339(row.used_at),
        "ends_at": output.rfc3339(min(row.ends_at, session.expires_at)),
        "address": session.client.address,
        "user_agent": session.client.user_agent,
    }


def _as_columns(row: _Row) -> dict[str, str]:
    session = row.session
    return {
        "sid": session.sid,
        "created": output.utc_minute(session.created_at),
        "used": ago(time.time() - row.used_at),
        "ends": output.utc_minute(min(row.ends_at, session.expires_at)),
        "address": session.client.address or "-",
        "source": session.source,
        "sub": output.printable(session.sub),
        "device": describe_device(session.client.user_agent),
    }
