"""`authgw config`: check and show the configuration, and print its JSON Schema."""

import json
import sys
from collections.abc import Callable, Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
import yaml

from authgw.cli import output
from authgw.cli.errors import report_errors
from authgw.cli.options import examples, json_option
from authgw.config.effective import effective_values
from authgw.config.json_schema import config_schema
from authgw.config.loader import LoadedConfig
from authgw.doctor import lint, provider_files
from authgw.doctor.findings import error_messages
from authgw.files import key_files
from authgw.identity.bindings_file import load_bindings
from authgw.identity.clients_file import load_clients, unlimited_clients
from authgw.identity.users_file import entry_warnings, load_users, permission_warnings
from authgw.server.reload import secret_files
from authgw.server.store_factory import kind_and_location
from authgw.server.summary import file_read

# The column of the sources of `authgw config show`.
_SOURCE_COLUMN = 44
Read = Callable[[], LoadedConfig]


@click.group(epilog=examples("authgw config check"))
def command() -> None:
    """Check and show the configuration."""


@command.command("show", epilog=examples("authgw config show", "authgw config show --json"))
@json_option
@click.pass_obj
@report_errors
def show(read: Read, as_json: bool) -> None:
    """Show the value of every key, and its source.

    The source is `default`, a line of the configuration file, or an environment variable. Passwords
    are masked.
    """
    loaded = read()
    rows = list(effective_values(loaded.settings, loaded.origins))
    if as_json:
        output.json_array(map(asdict, rows))
        return
    for row in rows:
        text = f"{row.key}: {_as_yaml(row.value)}"
        output.line(f"{text:<{_SOURCE_COLUMN}}  # {row.source}")


@command.command("schema", epilog=examples("authgw config schema"))
@report_errors
def schema() -> None:
    """Print the JSON Schema of config.yml.

    Editors complete and check the file by it, if the first line of config.yml names the file of
    the schema, as in `# yaml-language-server: $schema=authgw.schema.json`.
    """
    output.line(json.dumps(config_schema(), indent=2))


@command.command(epilog=examples("authgw config check"))
@click.pass_obj
@report_errors
def check(read: Read) -> None:
    """Check the configuration and the files that it names.

    Every mistake is reported with its line and remedy. The exit status is 1 if the gateway would
    not start.
    """
    loaded = read()
    auth = loaded.settings.auth
    users, bindings = loaded.path(auth.users), loaded.path(auth.bindings)
    for note in (*([] if loaded.file else [file_read(loaded)]), *loaded.notes):
        output.note(f"note: {note}")
    open_files = key_files.secret_file_warnings(secret_files(loaded))
    for warning in (*loaded.warnings, *_mode_warnings(users, bindings), *open_files):
        output.note(f"warning: {warning}")
    refused = [
        *error_messages(
            lambda: load_clients(loaded.path(auth.clients)),
            lambda: _check_shared_secret(loaded),
            lambda: key_files.load_keys(loaded.path(auth.keys)),
            lambda: kind_and_location(loaded),
            lambda: load_users(users),
            lambda: load_bindings(bindings),
        ),
        *provider_files.errors(loaded),
    ]
    unknown: Iterable[str] = ()
    if not refused:
        clients = loaded.path(auth.clients)
        refused += unlimited_clients(clients, loaded.settings.login.providers)
        unknown = lint.unknown_groups(loaded)
    if not refused:
        entries = entry_warnings(users, load_users(users))
        for warning in (*entries, *lint.user_warnings(loaded)):
            output.note(f"warning: {warning}")
    problems = [*refused, *loaded.rule_warnings, *unknown]
    if problems:
        raise click.ClickException("\n".join(problems))
    output.line("The configuration is valid.")


def _mode_warnings(*paths: Path) -> tuple[str, ...]:
    return tuple(warning for path in paths for warning in permission_warnings(path))


def _as_yaml(value: Any) -> str:
    """Return a value as YAML on a single line."""
    text = yaml.safe_dump(value, default_flow_style=True, width=sys.maxsize, allow_unicode=True)
    return text.strip().removesuffix("...").strip()


def _check_shared_secret(loaded: LoadedConfig) -> None:
    auth = loaded.settings.auth
    if auth.algorithm == "HS256" and loaded.path(auth.secret_file).exists():
        key_files.load_shared_secret(loaded.path(auth.secret_file))
