"""`authgw rules`: explain decisions of the access rules."""

from collections.abc import Callable

import click

from authgw.cli import explain_report
from authgw.cli.errors import report_errors
from authgw.config.loader import LoadedConfig


@click.group()
def command() -> None:
    """Look at the access rules."""


@command.command("explain")
@click.option("--user", help="Who asks: a subject; its groups come from the users file.")
@click.option("--group", "groups", multiple=True, help="A group of who asks; may be repeated.")
@click.option("--from", "address", default="", help="The client's address.")
@click.option("--json", "as_json", is_flag=True, help="Write JSON.")
@click.argument("method")
@click.argument("url")
@click.pass_obj
@report_errors
def explain(
    read: Callable[[], LoadedConfig],
    user: str | None,
    groups: tuple[str, ...],
    address: str,
    as_json: bool,
    method: str,
    url: str,
) -> None:
    """Say which rule decides METHOD URL, and why. Status 0: allowed, 1: denied, 2: log in."""
    report = explain_report.explain_request(
        read(), method, url, user=user, groups=groups, address=address
    )
    click.echo(report.as_json() if as_json else report.as_text())
    raise click.exceptions.Exit(report.status)
