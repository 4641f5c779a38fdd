"""`authgw config`: check the configuration and the files that it names."""

from collections.abc import Callable

import click

from authgw.cli.errors import report_errors
from authgw.config.loader import LoadedConfig
from authgw.doctor import lint
from authgw.doctor.findings import error_messages
from authgw.files import key_files
from authgw.identity.clients_file import load_clients
from authgw.identity.users_file import alike_warnings, load_users, permission_warnings
from authgw.server.reload import secret_files
from authgw.server.store_factory import kind_and_location
from authgw.server.summary import file_read


@click.group()
def command() -> None:
    """Look at the configuration."""


@command.command()
@click.pass_obj
@report_errors
def check(read: Callable[[], LoadedConfig]) -> None:
    """Say everything that is wrong with the configuration and its files."""
    loaded = read()
    auth = loaded.settings.auth
    users = loaded.path(auth.users)
    for note in (*([] if loaded.file else [file_read(loaded)]), *loaded.notes):
        click.echo(f"note: {note}", err=True)
    open_files = key_files.secret_file_warnings(secret_files(loaded))
    for warning in (*loaded.warnings, *permission_warnings(users), *open_files):
        click.echo(f"warning: {warning}", err=True)
    refused = [
        *error_messages(
            lambda: load_clients(loaded.path(auth.clients)),
            lambda: _check_shared_secret(loaded),
            lambda: key_files.load_keys(loaded.path(auth.keys)),
            lambda: kind_and_location(loaded),
            lambda: load_users(users),
        )
    ]
    groups = () if refused else lint.unknown_groups(loaded)
    if not refused:
        alike = alike_warnings(users, load_users(users))
        for warning in (*alike, *lint.misspelled_users(loaded)):
            click.echo(f"warning: {warning}", err=True)
    problems = [*refused, *loaded.rule_warnings, *groups]
    if problems:
        raise click.ClickException("\n".join(problems))
    click.echo("The configuration is valid.")


def _check_shared_secret(loaded: LoadedConfig) -> None:
    auth = loaded.settings.auth
    if auth.algorithm == "HS256" and loaded.path(auth.secret_file).exists():
        key_files.load_shared_secret(loaded.path(auth.secret_file))
