"""`authgw client`: manage trusted backends."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from authgw.cli import output
from authgw.cli.errors import report_errors
from authgw.cli.options import confirm, examples, json_option, yes_option
from authgw.config.loader import LoadedConfig
from authgw.files import key_files
from authgw.identity import clients_file
from authgw.identity.clients_file import BackendEntry
from authgw.observability.command_log import CommandLog

_EFFECT = "Reload every replica (SIGHUP): the change takes effect then."

Read = Callable[[], LoadedConfig]


@click.group(epilog=examples("authgw client list"))
def command() -> None:
    """Manage trusted backends.

    A trusted backend is a program that opens sessions for its own users. It logs in with its name
    and a secret. The clients file contains the SHA-256 of each secret only.
    """


def _secret_options(command: Callable[..., Any]) -> Callable[..., Any]:
    save = click.option(
        "--save",
        type=click.Path(path_type=Path),
        help="Write NAME:SECRET to this new file instead of printing it.",
    )
    return save(json_option(command))


@command.command(
    "add",
    epilog=examples(
        "authgw client add shop --subjects 'customer-*' --groups users",
        "authgw client add intranet --subjects '*' --groups '*' --save secrets/intranet",
    ),
)
@click.argument("name")
@click.option("--subjects", help="The subjects it may open sessions for: a pattern such as '*'.")
@click.option("--groups", default="", help="The groups it may grant: patterns, comma-separated.")
@_secret_options
@click.pass_obj
@report_errors
def add(
    read: Read, name: str, subjects: str | None, groups: str, save: Path | None, as_json: bool
) -> None:
    """Add a trusted backend and print its secret.

    The secret is printed once and not stored. Without --subjects the client cannot open sessions.
    """
    loaded = read()
    path, log = _path(loaded), CommandLog(loaded, "client add")
    _check_is_new(save)
    granted = tuple(group for group in groups.split(",") if group)
    secret = clients_file.add_client(path, name, subjects=subjects, groups=granted)
    log.change(client=name)
    _hand_out(name, secret, save, as_json=as_json)


@command.command("list", epilog=examples("authgw client list --json"))
@json_option
@click.pass_obj
@report_errors
def list_command(read: Read, as_json: bool) -> None:
    """List all trusted backends, without their secrets."""
    entries = clients_file.load_clients(_path(read())).entries
    rows = [_row(name, entry) for name, entry in entries.items()]
    if as_json:
        output.json_array(rows)
        return
    output.table(("CLIENT", "SUBJECTS", "GROUPS", "FROM"), map(_cells, rows))


@command.command("remove", epilog=examples("authgw client remove shop"))
@click.argument("name")
@yes_option
@click.pass_obj
@report_errors
def remove(read: Read, name: str, yes: bool) -> None:
    """Remove a trusted backend; its secret becomes invalid.

    The sessions that it opened continue: end them with `authgw session revoke`.
    """
    loaded = read()
    path, log = _path(loaded), CommandLog(loaded, "client remove")
    clients_file.check_client_exists(path, name)
    confirm(f"Remove the client {name}?", yes)
    clients_file.remove_client(path, name)
    log.change(client=name)
    output.note(f"Removed {name}. {_EFFECT}")


@command.command("rotate", epilog=examples("authgw client rotate shop --save secrets/shop-new"))
@click.argument("name")
@_secret_options
@click.pass_obj
@report_errors
def rotate(read: Read, name: str, save: Path | None, as_json: bool) -> None:
    """Give a trusted backend a new secret and print it.

    The secret is printed once and not stored. The reload of a replica (SIGHUP) makes the new secret
    valid and the old secret invalid at once. For a change without an interruption, add a second
    client and remove the first when nothing uses it any more.
    """
    loaded = read()
    path, log = _path(loaded), CommandLog(loaded, "client rotate")
    _check_is_new(save)
    secret = clients_file.rotate_client(path, name)
    log.change(client=name)
    _hand_out(name, secret, save, as_json=as_json)


def _path(loaded: LoadedConfig) -> Path:
    return loaded.path(loaded.settings.auth.clients)


def _check_is_new(save: Path | None) -> None:
    if save is not None and save.exists():
        raise click.ClickException(f"{save} exists already: choose another file")


def _hand_out(name: str, secret: str, save: Path | None, *, as_json: bool) -> None:
    """Print the secret of a client, or write it to the file of --save."""
    if save is not None:
        key_files.write_private(save, f"{name}:{secret}\n".encode())
    if as_json:
        stored = {"secret": secret} if save is None else {"file": str(save)}
        output.json_object({"client": name, **stored})
    elif save is None:
        output.line(f"{name}:{secret}")
    output.note(_EFFECT)


def _row(name: str, entry: BackendEntry) -> dict[str, Any]:
    networks = None if entry.networks is None else list(entry.networks)
    return {
        "client": name,
        "subjects": entry.subjects,
        "except": list(entry.excluded),
        "groups": list(entry.groups),
        "from": networks,
    }


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    networks = "any address" if row["from"] is None else ", ".join(row["from"])
    subjects = " except ".join(filter(None, [row["subjects"], ", ".join(row["except"])]))
    return row["client"], subjects or "-", ", ".join(row["groups"]) or "-", networks
