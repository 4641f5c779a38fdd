"""The command line.

Each command is a module of its own, loaded when it is asked for: whoever adds a user needs no web
server.
"""

import functools
import os
from importlib import import_module
from pathlib import Path

import click

from authgw.config.loader import load

_COMMANDS = (
    "client",
    "config",
    "doctor",
    "key",
    "nginx",
    "rules",
    "sample-upstream",
    "serve",
    "session",
    "store",
    "user",
)


def _use(context: click.Context, _: click.Parameter, config: Path | None) -> None:
    if config is not None or context.obj is None:
        context.obj = functools.partial(load, config, os.environ)


def _config_option() -> click.Option:
    return click.Option(
        ["--config"],
        type=click.Path(path_type=Path),
        expose_value=False,
        callback=_use,
        help="The configuration file; config.yml in this folder by default.",
    )


def _taking_config(command: click.Command) -> click.Command:
    """The same command, which takes --config behind its own name as well."""
    if all(known.name != "config" for known in command.params):
        command.params.append(_config_option())
    if isinstance(command, click.Group):
        for inner in command.commands.values():
            _taking_config(inner)
    return command


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
        return _taking_config(command)


@click.command(cls=_Lazy, params=[_config_option()])
@click.version_option(package_name="authgw")
def main() -> None:
    """A forward-auth gateway: who is this, and may they?"""
