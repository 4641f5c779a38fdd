"""`authgw user binding`: names that belong to accounts of identity providers."""

import click

from authgw.cli import output
from authgw.cli.errors import report_errors
from authgw.cli.options import confirm, examples, json_option, yes_option
from authgw.cli.user_entry import EFFECT, Read, bindings_path
from authgw.cli.user_output import bindings_as_json, bindings_as_lines
from authgw.identity import bindings_editor
from authgw.identity.bindings_file import load_bindings
from authgw.identity.users_file import permission_warnings
from authgw.observability.command_log import CommandLog


@click.group("binding", epilog=examples("authgw user binding list"))
def command() -> None:
    """List and release names that accounts have.

    A name from a claim that can change, such as an e-mail address, belongs to the first account
    that logged in with it, or to the account in auth.bindings.
    """


@command.command("list", epilog=examples("authgw user binding list --json"))
@json_option
@click.pass_obj
@report_errors
def list_command(read: Read, as_json: bool) -> None:
    """List all bound names with their accounts, and all that are blocked."""
    path = bindings_path(read())
    for warning in permission_warnings(path):
        output.note(f"warning: {warning}")
    shown = bindings_as_json(load_bindings(path))
    if as_json:
        output.json_object(shown)
        return
    for text in bindings_as_lines(shown):
        output.line(text)


@command.command("release", epilog=examples("authgw user binding release alice@example.com"))
@click.argument("name")
@yes_option
@click.pass_obj
@report_errors
def release(read: Read, name: str, yes: bool) -> None:
    """Release a name, so that another account can have it.

    The new owner has the rights of this name in the rules, and its accounts in the apps. Sessions
    of the former account end. With `bind: first` the account that logs in next has the name.
    """
    loaded = read()
    log = CommandLog(loaded, "user binding release")
    confirm(f"Release the name {name}, so that another account can have it?", yes)
    released = bindings_editor.release(bindings_path(loaded), name)
    log.change(user=released)
    output.note(f"Released {released}. {EFFECT}")
    output.note("Sessions of the account that had it end with that.")
