"""The command line."""

import asyncio
import functools
import os
import time
from collections.abc import Callable
from pathlib import Path

import click
from aiohttp import web

from authgw import app, keyfiles, log, rulesay, sample_upstream, sessioncli, storecli, usercli
from authgw.config import Loaded, load
from authgw.doctor import installation
from authgw.doctor import nginx as nginx_doctor
from authgw.doctor.remarks import Grade
from authgw.identity.clients import add_client, load_clients
from authgw.identity.users import load_users, warnings_of
from authgw.plainly import plainly, refusals


@click.group()
@click.version_option(package_name="authgw")
@click.option(
    "--config",
    type=click.Path(path_type=Path),
    help="The configuration file; config.yml in this folder by default.",
)
@click.pass_context
def main(context: click.Context, config: Path | None) -> None:
    """A forward-auth gateway: who is this, and may they?"""
    context.obj = functools.partial(load, config, os.environ)


main.add_command(usercli.user)
main.add_command(sessioncli.session)
main.add_command(storecli.store)


@main.command()
@click.pass_obj
@plainly
def serve(read: Callable[[], Loaded]) -> None:
    """Run one replica of the gateway."""
    loaded = read()
    log.set_up(loaded.settings.logging.mode, loaded.settings.logging.level)
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(app.serve(read, loaded))


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    try:
        import uvloop
    except ImportError:
        # It is built for some platforms only, and nothing but speed rests on it.
        return asyncio.new_event_loop
    return uvloop.new_event_loop


@main.group()
def config() -> None:
    """Look at the configuration."""


@config.command()
@click.pass_obj
@plainly
def check(read: Callable[[], Loaded]) -> None:
    """Say everything that is wrong with the configuration and its files."""
    loaded = read()
    auth = loaded.settings.auth
    users = loaded.path(auth.users)
    for warning in (*loaded.warnings, *warnings_of(users)):
        click.echo(f"warning: {warning}", err=True)
    refused = [
        *refusals(
            lambda: load_clients(loaded.path(auth.clients)),
            lambda: _check_shared_secret(loaded),
            lambda: keyfiles.load_keys(loaded.path(auth.keys)),
            lambda: load_users(users),
        )
    ]
    groups = () if refused else rulesay.unknown_groups(loaded)
    problems = [*refused, *loaded.doubts, *groups]
    if problems:
        raise click.ClickException("\n".join(problems))
    click.echo("The configuration is valid.")


def _check_shared_secret(loaded: Loaded) -> None:
    auth = loaded.settings.auth
    if auth.algorithm == "HS256" and loaded.path(auth.secret_file).exists():
        keyfiles.load_shared_secret(loaded.path(auth.secret_file))


@main.group()
def client() -> None:
    """Trusted backends: programs that open sessions for their users."""


@client.command("add")
@click.argument("name")
@click.option("--subjects", help="Which subjects it may open sessions for: a pattern such as '*'.")
@click.option("--groups", default="", help="Which groups it may grant, separated by commas.")
@click.option(
    "--save",
    type=click.Path(path_type=Path),
    help="Write NAME:SECRET to this file instead of printing it.",
)
@click.pass_obj
@plainly
def client_add(
    read: Callable[[], Loaded], name: str, subjects: str | None, groups: str, save: Path | None
) -> None:
    """Add a trusted backend and print its secret, once."""
    loaded = read()
    if save is not None and save.exists():
        raise click.ClickException(f"{save} is there already: choose another file")
    path = loaded.path(loaded.settings.auth.clients)
    granted = tuple(group for group in groups.split(",") if group)
    secret = add_client(path, name, subjects=subjects, groups=granted)
    if save is None:
        click.echo(f"{name}:{secret}")
    else:
        keyfiles.write_private(save, f"{name}:{secret}\n".encode())
    click.echo("Reload the gateway (SIGHUP) to let it in.", err=True)


@main.group()
def key() -> None:
    """Signing keys."""


@key.command("init")
@click.pass_obj
@plainly
def key_init(read: Callable[[], Loaded]) -> None:
    """Make the first signing key, or leave the ones that are there alone."""
    loaded = read()
    auth = loaded.settings.auth
    if auth.algorithm == "HS256":
        path = loaded.path(auth.secret_file)
        if not path.exists():
            keyfiles.make_shared_secret(path)
        click.echo(f"Secret: {path}")
        return
    folder = loaded.path(auth.keys)
    if not keyfiles.load_keys(folder):
        keyfiles.make_key(folder, auth.algorithm)
    click.echo(f"Keys: {', '.join(one.kid for one in keyfiles.load_keys(folder))} in {folder}")


@key.command("add")
@click.pass_obj
@plainly
def key_add(read: Callable[[], Loaded]) -> None:
    """Make the next signing key; it signs from 10 minutes after."""
    loaded = read()
    auth = loaded.settings.auth
    if auth.algorithm == "HS256":
        raise click.ClickException("an HS256 secret cannot rotate: set auth.algorithm: ES256")
    kid = keyfiles.make_key(loaded.path(auth.keys), auth.algorithm, time.time() + keyfiles.NOTICE)
    click.echo(f"Key {kid} signs in 10 minutes: reload every replica (SIGHUP) before then.")


@main.group("rules")
def rules_group() -> None:
    """Look at the access rules."""


@rules_group.command("explain")
@click.option("--user", help="Who asks: a subject; its groups come from the users file.")
@click.option("--group", "groups", multiple=True, help="A group of who asks; may be repeated.")
@click.option("--from", "address", default="", help="The client's address.")
@click.option("--json", "as_json", is_flag=True, help="Write JSON.")
@click.argument("method")
@click.argument("url")
@click.pass_obj
@plainly
def rules_explain(
    read: Callable[[], Loaded],
    user: str | None,
    groups: tuple[str, ...],
    address: str,
    as_json: bool,
    method: str,
    url: str,
) -> None:
    """Say which rule decides METHOD URL, and why. Status 0: allowed, 1: denied, 2: log in."""
    said = rulesay.explained(read(), method, url, user=user, groups=groups, address=address)
    click.echo(said.as_json() if as_json else said.as_text())
    raise click.exceptions.Exit(said.status)


@main.command("doctor")
@click.option(
    "--nginx",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A file with the output of `nginx -T`, to be looked at instead.",
)
@click.pass_obj
@plainly
def doctor_command(read: Callable[[], Loaded], nginx: Path | None) -> None:
    """Say what is wrong with this installation. Status 1: there is a problem.

    With --nginx, what is wrong with an NGINX that asks this gateway. Status 1: somebody could get
    in.
    """
    if nginx is not None:
        _examine_nginx(nginx)
        return
    remarks = asyncio.run(installation.examine(read()))
    for remark in remarks:
        click.echo(str(remark))
    if any(remark.grade is Grade.PROBLEM for remark in remarks):
        raise click.exceptions.Exit(1)


def _examine_nginx(nginx: Path) -> None:
    try:
        findings = nginx_doctor.examine(nginx.read_text(encoding="utf-8", errors="replace"))
    except nginx_doctor.DumpRefused as error:
        raise click.ClickException(f"{nginx}: {error}") from None
    for finding in findings:
        click.echo(str(finding))
    if any(finding.hole for finding in findings):
        raise click.exceptions.Exit(1)
    if not findings:
        click.echo("Every location that proxies asks the gateway, as the recipe does.")


@main.command("sample-upstream")
@click.option("--port", default=8081, show_default=True)
def sample(port: int) -> None:
    """Run an app to protect, which shows who it was told you are."""
    host = os.environ.get("AUTHGW_SERVER__HOST", "127.0.0.1")
    web.run_app(
        sample_upstream.application(),
        host=host,
        port=port,
        print=None,
        access_log=None,
        max_field_size=app.LINE_BYTES,
        max_line_size=app.LINE_BYTES,
    )
