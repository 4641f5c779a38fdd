"""The command line.

Each command is a module of its own, loaded when it is asked for: whoever adds a user needs no web
server.
"""

import functools
import os
from importlib import import_module
from pathlib import Path

import click

from authgw.config import load

_COMMANDS = (
    "client",
    "config",
    "doctor",
    "key",
    "rules",
    "sample-upstream",
    "serve",
    "session",
    "store",
    "user",
)


class _Lazy(click.Group):
    """A group whose commands are the `command` of a module of their name."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Every name."""
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of this name, None if there is none."""
        if cmd_name not in _COMMANDS:
            return None
        module = import_module(f"authgw.cli.{cmd_name.replace('-', '_')}")
        command: click.Command = module.command
        return command


@click.command(cls=_Lazy)
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
