"""`authgw doctor`: check an installation, or an NGINX configuration."""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path

import click

from authgw.cli.errors import report_errors
from authgw.config.loader import LoadedConfig
from authgw.doctor import installation
from authgw.doctor import nginx as nginx_doctor
from authgw.doctor.findings import Grade
from authgw.doctor.nginx_findings import Finding, FindingKind
from authgw.doctor.nginx_parser import NginxDumpError

_CLEAN = (
    "Every location that proxies asks the gateway, as the recipe does; names, port and socket are "
    "those of the configuration."
)


@click.command()
@click.option(
    "--nginx",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A file with the output of `nginx -T`, to be looked at instead.",
)
@click.pass_obj
@report_errors
def command(read: Callable[[], LoadedConfig], nginx: Path | None) -> None:
    """Say what is wrong with this installation. Status 1: there is a problem.

    With --nginx, what is wrong with an NGINX in front of this gateway. Status 1: somebody could
    get in, nobody could, or a part could not be checked.
    """
    if nginx is not None:
        _examine_nginx(nginx, read())
        return
    remarks = asyncio.run(installation.examine(read()))
    for remark in remarks:
        click.echo(str(remark))
    if any(remark.grade is Grade.PROBLEM for remark in remarks):
        raise click.exceptions.Exit(1)


def _examine_nginx(nginx: Path, loaded: LoadedConfig) -> None:
    dump = nginx.read_text(encoding="utf-8", errors="replace")
    try:
        findings = nginx_doctor.examine(dump, loaded.settings)
    except NginxDumpError as error:
        raise click.ClickException(f"{nginx}: {error}") from None
    for finding in findings:
        click.echo(str(finding))
    click.echo(_summary(findings), err=bool(findings))
    if any(finding.kind is not FindingKind.FAULT for finding in findings):
        raise click.exceptions.Exit(1)


def _summary(findings: Sequence[Finding]) -> str:
    if not findings:
        return _CLEAN
    unchecked = len([finding for finding in findings if finding.kind is FindingKind.UNCHECKED])
    kinds = [
        finding.kind.value for finding in findings if finding.kind is not FindingKind.UNCHECKED
    ]
    counted = [
        f"{kinds.count(kind)} {kind}{_plural(kinds.count(kind))}" for kind in dict.fromkeys(kinds)
    ]
    checked = ", ".join(counted) or "nothing wrong"
    if not unchecked:
        return f"Everything was checked: {checked}."
    return (
        f"Not checked: {unchecked} place{_plural(unchecked)}, named above. In all else: {checked}."
    )


def _plural(count: int) -> str:
    return "" if count == 1 else "s"
