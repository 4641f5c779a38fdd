"""`authgw doctor`: check an installation, or an NGINX configuration."""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

from authgw.cli import output
from authgw.cli.check_results import print_results
from authgw.cli.errors import report_errors
from authgw.cli.options import examples, json_option
from authgw.config.loader import LoadedConfig
from authgw.doctor import installation
from authgw.doctor import nginx as nginx_doctor
from authgw.doctor.nginx_findings import Finding, FindingKind
from authgw.doctor.nginx_parser import NginxDumpError

_CLEAN = (
    "Every location that proxies is protected as in the recipe; header names, port and socket are "
    "those of the configuration."
)


@click.command(epilog=examples("authgw doctor", "authgw doctor --nginx dump"))
@click.option(
    "--nginx",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Check an NGINX instead: a file with the output of `nginx -T`.",
)
@json_option
@click.pass_obj
@report_errors
def command(read: Callable[[], LoadedConfig], nginx: Path | None, as_json: bool) -> None:
    """Check the installation, or an NGINX in front of it.

    Each line has a result, and a remedy if there is a problem. The checks cover the configuration,
    the keys, owners and modes of files, the session store and the ports. They change nothing, and
    work before the first start and next to a running gateway. Exit status 1: there is a problem.

    With --nginx, compare the configuration of an NGINX with the recipe of this gateway. Exit
    status 1: there is a hole or a problem, or a line that cannot be checked.
    """
    if nginx is not None:
        _check_nginx(nginx, read(), as_json=as_json)
    else:
        _check_installation(read(), as_json=as_json)


def _check_installation(loaded: LoadedConfig, *, as_json: bool) -> None:
    print_results(asyncio.run(installation.examine(loaded)), as_json=as_json)


def _check_nginx(nginx: Path, loaded: LoadedConfig, *, as_json: bool) -> None:
    dump = nginx.read_text(encoding="utf-8", errors="replace")
    try:
        findings = nginx_doctor.examine(dump, loaded.settings)
    except NginxDumpError as error:
        raise click.ClickException(f"{nginx}: {error}") from None
    status = _status_of_findings(findings)
    if as_json:
        output.json_array(map(_finding_as_json, findings), status=status)
        raise click.exceptions.Exit(status)
    for finding in findings:
        output.line(str(finding), status=status)
    if findings:
        output.note(_summary(findings), status=status)
    else:
        output.line(_CLEAN)
    raise click.exceptions.Exit(status)


def _status_of_findings(findings: Sequence[Finding]) -> int:
    return int(any(finding.kind is not FindingKind.FAULT for finding in findings))


def _finding_as_json(finding: Finding) -> dict[str, Any]:
    return {
        "severity": finding.kind.value,
        "file": finding.file,
        "line": finding.line,
        "message": finding.message,
        "remedy": finding.remedy,
    }


def _summary(findings: Sequence[Finding]) -> str:
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
    return f"Not checked: {unchecked} place{_plural(unchecked)}, named above. Elsewhere: {checked}."


def _plural(count: int) -> str:
    return "" if count == 1 else "s"
