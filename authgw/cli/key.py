"""`authgw key`: manage the keys that sign tokens."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import click

from authgw.cli import output
from authgw.cli.errors import report_errors
from authgw.cli.options import examples, json_option
from authgw.config.loader import LoadedConfig
from authgw.core.keys import Key, KeyRing, KeyState
from authgw.files import key_files
from authgw.observability.command_log import CommandLog

Read = Callable[[], LoadedConfig]


@dataclass(frozen=True, slots=True)
class _KeyRow:
    """A key with its state; times are in Unix seconds, `verifies_until` may be infinite."""

    key: Key
    state: KeyState
    created_at: float
    verifies_until: float


@click.group(epilog=examples("authgw key list"))
def command() -> None:
    """Manage the keys that sign tokens."""


@command.command("init", epilog=examples("authgw key init"))
@json_option
@click.pass_obj
@report_errors
def init(read: Read, as_json: bool) -> None:
    """Create the first signing key, unless a key exists.

    With auth.algorithm: HS256, create the secret file instead. Replicas that share a Redis also
    share this key: run the command once, and copy the directory to all of them.
    """
    loaded = read()
    auth = loaded.settings.auth
    if auth.algorithm == "HS256":
        path = loaded.path(auth.secret_file)
        if not path.exists():
            log = CommandLog(loaded, "key init")
            key_files.make_shared_secret(path)
            log.change()
        text = f"Secret: {path}"
    else:
        path = loaded.path(auth.keys)
        if not key_files.load_keys(path):
            log = CommandLog(loaded, "key init")
            log.change(kid=key_files.make_key(path, auth.algorithm))
        text = f"Keys: {', '.join(key.kid for key in key_files.load_keys(path))} in {path}"
    if as_json:
        kids = [key.kid for key in _load_keys(loaded)]
        output.json_object({"path": str(path), "kids": kids})
        return
    output.line(text)


@command.command("add", epilog=examples("authgw key add"))
@json_option
@click.pass_obj
@report_errors
def add(read: Read, as_json: bool) -> None:
    """Create the next signing key; it signs after 10 minutes.

    Reload every replica (SIGHUP) within these 10 minutes. Tokens of the old key stay valid until
    they expire.
    """
    loaded = read()
    auth = loaded.settings.auth
    if auth.algorithm == "HS256":
        raise click.ClickException("an HS256 secret cannot rotate: set auth.algorithm: ES256")
    signs_from = round(time.time()) + key_files.SIGNING_DELAY  # the file has whole seconds
    log = CommandLog(loaded, "key add")
    kid = key_files.make_key(loaded.path(auth.keys), auth.algorithm, signs_from)
    log.change(kid=kid)
    if as_json:
        output.json_object({"kid": kid, "signs_from": output.rfc3339(signs_from)})
        return
    output.line(f"Key {kid} signs in 10 minutes: reload every replica (SIGHUP) before then.")


@command.command("list", epilog=examples("authgw key list --json"))
@json_option
@click.pass_obj
@report_errors
def list_command(read: Read, as_json: bool) -> None:
    """List the signing keys and their states.

    A key is next (it signs later), signing, verifying (it signed tokens that are still valid) or
    retired (the file can be removed). A replica that was not reloaded has other states.
    """
    loaded = read()
    keys = _load_keys(loaded)
    if not keys:
        output.note("No keys: `authgw key init` creates the first.")
    rows = _rows(loaded, keys) if keys else []
    if as_json:
        output.json_array(map(_as_json, rows))
        return
    output.table(("KID", "ALGORITHM", "CREATED (UTC)", "STATE"), map(_cells, rows))


def _load_keys(loaded: LoadedConfig) -> tuple[Key, ...]:
    auth = loaded.settings.auth
    if auth.algorithm != "HS256":
        return key_files.load_keys(loaded.path(auth.keys))
    path = loaded.path(auth.secret_file)
    return (key_files.load_shared_secret(path),) if path.exists() else ()


def _rows(loaded: LoadedConfig, keys: tuple[Key, ...]) -> list[_KeyRow]:
    now = time.time()
    ring = KeyRing(keys, loaded.settings.auth.max_token_lifetime)
    return [
        _KeyRow(
            key, ring.state(key.kid, now), _created_at(loaded, key), ring.verifies_until(key.kid)
        )
        for key in ring.keys
    ]


def _created_at(loaded: LoadedConfig, key: Key) -> float:
    # A key file is written once; a copy may have the time of the copy.
    auth = loaded.settings.auth
    is_secret = auth.algorithm == "HS256"
    name = auth.secret_file if is_secret else f"{auth.keys}/{key.kid}.pem"
    return loaded.path(name).stat().st_mtime


def _as_json(row: _KeyRow) -> dict[str, Any]:
    has_end = math.isfinite(row.verifies_until)
    return {
        "kid": row.key.kid,
        "algorithm": row.key.algorithm,
        "state": row.state.value,
        "created_at": output.rfc3339(row.created_at),
        "signs_from": output.rfc3339(row.key.signs_from) if row.key.signs_from else None,
        "verifies_until": output.rfc3339(row.verifies_until) if has_end else None,
    }


def _cells(row: _KeyRow) -> tuple[str, ...]:
    state = row.state.value
    if row.state is KeyState.NEXT:
        state = f"next, signs from {output.utc_minute(row.key.signs_from)}"
    elif row.state is KeyState.VERIFYING:
        state = f"verifying only, until {output.utc_minute(row.verifies_until)}"
    elif row.state is KeyState.RETIRED:
        state = "retired: its file can be removed"
    return row.key.kid, row.key.algorithm, output.utc_minute(row.created_at), state
