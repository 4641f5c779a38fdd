"""`authgw client`: trusted backends."""

from collections.abc import Callable
from pathlib import Path

import click

from authgw.cli.errors import report_errors
from authgw.config.loader import LoadedConfig
from authgw.files import key_files
from authgw.identity.clients_file import add_client
from authgw.observability.command_log import CommandLog


@click.group()
def command() -> None:
    """Trusted backends: programs that open sessions for their users."""


@command.command("add")
@click.argument("name")
@click.option("--subjects", help="Which subjects it may open sessions for: a pattern such as '*'.")
@click.option("--groups", default="", help="Which groups it may grant, separated by commas.")
@click.option(
    "--save",
    type=click.Path(path_type=Path),
    help="Write NAME:SECRET to this file instead of printing it.",
)
@click.pass_obj
@report_errors
def add(
    read: Callable[[], LoadedConfig],
    name: str,
    subjects: str | None,
    groups: str,
    save: Path | None,
) -> None:
    """Add a trusted backend and print its secret, once."""
    loaded = read()
    if save is not None and save.exists():
        raise click.ClickException(f"{save} is there already: choose another file")
    path, log = loaded.path(loaded.settings.auth.clients), CommandLog(loaded, "client add")
    granted = tuple(group for group in groups.split(",") if group)
    secret = add_client(path, name, subjects=subjects, groups=granted)
    log.change(client=name)
    if save is None:
        click.echo(f"{name}:{secret}")
    else:
        key_files.write_private(save, f"{name}:{secret}\n".encode())
    click.echo("Reload the gateway (SIGHUP) to let it in.", err=True)
