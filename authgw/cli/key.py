"""`authgw key`: keys that sign tokens."""

import time
from collections.abc import Callable

import click

from authgw.cli.errors import report_errors
from authgw.config.loader import LoadedConfig
from authgw.files import key_files
from authgw.observability.command_log import CommandLog


@click.group()
def command() -> None:
    """Signing keys."""


@command.command("init")
@click.pass_obj
@report_errors
def init(read: Callable[[], LoadedConfig]) -> None:
    """Make the first signing key, or leave the ones that are there alone."""
    loaded = read()
    auth = loaded.settings.auth
    if auth.algorithm == "HS256":
        path = loaded.path(auth.secret_file)
        if not path.exists():
            log = CommandLog(loaded, "key init")
            key_files.make_shared_secret(path)
            log.change()
        click.echo(f"Secret: {path}")
        return
    directory = loaded.path(auth.keys)
    if not key_files.load_keys(directory):
        log = CommandLog(loaded, "key init")
        log.change(kid=key_files.make_key(directory, auth.algorithm))
    click.echo(
        f"Keys: {', '.join(key.kid for key in key_files.load_keys(directory))} in {directory}"
    )


@command.command("add")
@click.pass_obj
@report_errors
def add(read: Callable[[], LoadedConfig]) -> None:
    """Make the next signing key; it signs from 10 minutes after."""
    loaded = read()
    auth = loaded.settings.auth
    if auth.algorithm == "HS256":
        raise click.ClickException("an HS256 secret cannot rotate: set auth.algorithm: ES256")
    log = CommandLog(loaded, "key add")
    kid = key_files.make_key(
        loaded.path(auth.keys), auth.algorithm, time.time() + key_files.SIGNING_DELAY
    )
    log.change(kid=kid)
    click.echo(f"Key {kid} signs in 10 minutes: reload every replica (SIGHUP) before then.")
