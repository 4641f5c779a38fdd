"""`authgw doctor`: what is wrong with an installation."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import click

from authgw.config import Loaded
from authgw.doctor import installation
from authgw.doctor import nginx as nginx_doctor
from authgw.doctor.nginx_tree import DumpRefused
from authgw.doctor.remarks import Grade
from authgw.plainly import plainly


@click.command()
@click.option(
    "--nginx",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A file with the output of `nginx -T`, to be looked at instead.",
)
@click.pass_obj
@plainly
def command(read: Callable[[], Loaded], nginx: Path | None) -> None:
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
    except DumpRefused as error:
        raise click.ClickException(f"{nginx}: {error}") from None
    for finding in findings:
        click.echo(str(finding))
    if any(finding.hole for finding in findings):
        raise click.exceptions.Exit(1)
    if not findings:
        click.echo("Every location that proxies asks the gateway, as the recipe does.")
