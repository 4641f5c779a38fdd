"""The command line.

A command's module is imported on use: adding a user does not require the web server.
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
    "init",
    "key",
    "provider",
    "rules",
    "sample-upstream",
    "serve",
    "session",
    "store",
    "user",
)
# It writes a configuration, and reads none.
_WITHOUT_CONFIG = ("init",)
# Commands of the module `recipes`, which creates the command of each.
_PROXIES = ("caddy", "envoy", "haproxy", "nginx", "traefik")


def _set_loader(context: click.Context, _: click.Parameter, config: Path | None) -> None:
    if config is not None or context.obj is None:
        context.obj = functools.partial(load, config, os.environ)


def _config_option() -> click.Option:
    return click.Option(
        ["--config"],
        type=click.Path(path_type=Path),
        expose_value=False,
        callback=_set_loader,
        help="Configuration file; by default config.yml in the current directory.",
    )


def _with_config_option(command: click.Command) -> click.Command:
    """Let the command and its subcommands accept --config after their own names as well."""
    if all(parameter.name != "config" for parameter in command.params):
        command.params.append(_config_option())
    if isinstance(command, click.Group):
        for subcommand in command.commands.values():
            _with_config_option(subcommand)
    return command


class _Lazy(click.Group):
    """Group that imports a command's module on use; each but `recipes` defines `command`."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all commands."""
        return sorted((*_COMMANDS, *_PROXIES))

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return the command of this name, None if unknown."""
        if cmd_name in _PROXIES:
            module = import_module("authgw.cli.recipes")
            return _with_config_option(module.command_for(cmd_name))
        if cmd_name not in _COMMANDS:
            return None
        module = import_module(f"authgw.cli.{cmd_name.replace('-', '_')}")
        command: click.Command = module.command
        return command if cmd_name in _WITHOUT_CONFIG else _with_config_option(command)


_EXIT_STATUSES = """\
\b
Exit status:
  0  success
  1  refused or failed, or a check found a problem
  2  wrong usage: an unknown option, or a missing or contradictory argument

\b
Example:
  authgw serve
"""


@click.command(
    cls=_Lazy,
    params=[_config_option()],
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=_EXIT_STATUSES,
)
@click.version_option(package_name="authgw")
def main() -> None:
    """Forward-auth gateway: login pages, sessions and access rules behind a reverse proxy."""
