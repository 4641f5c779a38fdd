"""Options that several commands share, and the examples of their help texts."""

import sys
from pathlib import Path

import click

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
yes_option = click.option("--yes", is_flag=True, help="Skip the confirmation.")

claims_option = click.option(
    "--claims",
    type=click.Path(path_type=Path),
    help="A JSON file with the claims of an ID token.",
)


def examples(*commands: str) -> str:
    """Return the epilog of a command's help: command lines that run as they stand."""
    # click keeps the lines of a paragraph that begins with a backspace character.
    title = "Example:" if len(commands) == 1 else "Examples:"
    return "\n".join(["\b", title, *(f"  {command}" for command in commands)])


def confirm(question: str, yes: bool) -> None:
    """Ask for confirmation unless `yes`.

    Raises:
        UsageError: The confirmation has no terminal.
        Abort: The user did not confirm.
    """
    if yes:
        return
    if not sys.stdin.isatty():
        raise click.UsageError("no terminal for the confirmation: use --yes")
    click.confirm(question, abort=True, err=True)
