"""`authgw init`: write a first configuration, with a user, keys, and the files of a proxy."""

import shutil
import sys
from collections import Counter
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from authgw.cli import output
from authgw.cli.errors import report_errors
from authgw.cli.init_dialog import (
    APP,
    DOMAIN,
    PROXY,
    SERVICE,
    STORE,
    USER,
    GivenOptions,
    choose_password,
)
from authgw.core.errors import OperatorError
from authgw.files.staging import FilesExistError
from authgw.setup.installer import FirstUser, check_is_new, has_user, write_installation
from authgw.setup.services import Machine, check_service
from authgw.setup.sites import check_directory
from authgw.setup.steps import remaining_steps


@click.command(
    epilog="""\b
Examples:
  authgw init
  authgw init --proxy nginx --domain example.com --protect app.example.com=10.0.0.5:3000 --user zoe
  authgw init --proxy caddy --domain localhost --protect localhost=127.0.0.1:3000 --user zoe
"""
)
@click.argument(
    "directory", default=".", type=click.Path(file_okay=False, path_type=Path, resolve_path=True)
)
@click.option("--proxy", type=PROXY, help="The proxy in front of the apps.")
@click.option(
    "--domain",
    metavar="DOMAIN",
    type=DOMAIN,
    help="The domain of the site; https://auth.DOMAIN shows the login pages. To try authgw on this "
    "machine: localhost, or a name such as example.localhost, by plain http on port 4000, or with "
    "another port as in localhost:8000.",
)
@click.option(
    "--protect",
    metavar="HOST=ADDRESS:PORT",
    type=APP,
    multiple=True,
    help="A host to protect and the address of its app, such as app.example.com=127.0.0.1:3000; "
    "can be repeated.",
)
@click.option("--user", metavar="NAME", type=USER, help="The name of the first user.")
@click.option(
    "--password-stdin",
    is_flag=True,
    help="Read the password from a line of stdin. Without it there is a prompt; without a "
    "terminal the password is generated and printed.",
)
@click.option(
    "--store",
    metavar="sqlite|URL",
    type=STORE,
    help="The session store: sqlite (the default), a file for a single gateway, or a URL such as "
    "redis://HOST:6379/0 for several gateways.",
)
@click.option(
    "--service",
    metavar="systemd|compose",
    type=SERVICE,
    help="Also write a systemd unit or a compose file that runs the gateway.",
)
@click.option(
    "--port",
    metavar="PORT",
    type=click.IntRange(1, 65535),
    default=8080,
    show_default=True,
    help="The port of the gateway on 127.0.0.1, which the proxy connects to.",
)
@click.option(
    "--force",
    is_flag=True,
    help="Replace existing files that differ, except users, keys and certificates.",
)
@click.pass_context
@report_errors
def command(
    context: click.Context, directory: Path, password_stdin: bool, force: bool, **given: Any
) -> None:
    """Set up a gateway, its first user, and a proxy.

    Writes config.yml, users.yml, a signing key and the files of the proxy, which publish the login
    pages and protect the hosts, to DIRECTORY, by default the current directory. Values without an
    option are prompted for. Existing files are not replaced without --force; after an error no file
    is left.
    """
    if context.find_root().get_parameter_source("config") is ParameterSource.COMMANDLINE:
        raise click.UsageError("init reads no --config: it writes config.yml to DIRECTORY")
    options = GivenOptions(**given)
    options.check_complete()
    check_directory(str(directory))
    try:
        if not force:
            check_is_new(directory)
        answers, user = options.completed()
        machine = _machine(directory)
        check_service(answers, machine)
        is_known = has_user(directory, user)
        password, is_generated = (
            ("", False) if is_known else choose_password(user, from_stdin=password_stdin)
        )
        first = None if is_known else FirstUser(user, password)
        names = write_installation(answers, first, machine, force=force)
    except FilesExistError as error:
        raise OperatorError(
            f"{directory} has {', '.join(error.names)} already: nothing was written. Choose "
            "another DIRECTORY, or replace the files by --force; users, keys and certificates stay"
        ) from None
    _print_names(directory, names)
    if is_known:
        output.line(f"{user} is in users.yml already, and keeps the password.")
    if is_generated:
        output.line(f"Password of {user}, shown only now: {password}")
    output.line(f"\n{remaining_steps(answers, machine)}")


def _machine(directory: Path) -> Machine:
    nearest = next(path for path in (directory, *directory.parents) if path.exists())
    owner = nearest.stat()
    return Machine(str(directory), _program(), (owner.st_uid, owner.st_gid), version("authgw"))


def _program() -> str:
    """Return the path of the command `authgw`: that of this interpreter, or of the PATH."""
    own = Path(sys.executable).with_name("authgw")
    return str(own) if own.exists() else shutil.which("authgw") or str(own)


def _print_names(directory: Path, names: Sequence[str]) -> None:
    """Print the new files; those of a directory are counted."""
    counts = Counter(str(Path(name).parent) for name in names)
    shown = dict.fromkeys(
        name if counts[parent] < 4 or parent == "." else f"{parent}/ ({counts[parent]} files)"
        for name in names
        for parent in [str(Path(name).parent)]
    )
    output.line(f"Wrote to {directory}: {', '.join(shown)}")
