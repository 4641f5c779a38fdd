"""Names of the command line: commands and options, exit statuses, fields of JSON."""

import json
import math
from typing import Any
from unittest.mock import MagicMock

import click

from authgw.cli import check_results, doctor, explain_report, key, session, user_output
from authgw.cli import client as client_command
from authgw.core.explain import Explanation
from authgw.core.keys import KeyState
from authgw.core.model import Decision, Verdict
from authgw.doctor.findings import CheckResult, Grade, ok
from authgw.doctor.nginx_findings import Finding, FindingKind
from authgw.identity import clients_file, user_entry
from authgw.identity.passwords import DUMMY_HASH
from tests.support.builders import KEY, NOW, a_session


def commands_of(command: click.Command, name: str) -> dict[str, str]:
    said = []
    for param in command.params:
        words = [*param.opts, *param.secondary_opts]
        if isinstance(param.type, click.Choice):
            words += param.type.choices
        said.append(" ".join(words if isinstance(param, click.Option) else [param.name or ""]))
    found = {name: ", ".join(sorted(said))}
    if isinstance(command, click.Group):
        context = click.Context(command)
        for inner in command.list_commands(context):
            known_as = command.get_command(context, inner)
            assert known_as is not None
            found |= commands_of(known_as, f"{name} {inner}")
    return found


def exit_statuses() -> dict[str, Any]:
    results = [CheckResult(grade, "", "") for grade in Grade]
    findings = [Finding("nginx.conf", 1, "", "", kind) for kind in FindingKind]
    return {
        "refused": click.ClickException.exit_code,
        "wrong usage": click.UsageError.exit_code,
        "authgw doctor": {
            result.grade.value: check_results.status_of([result]) for result in results
        },
        "authgw doctor --nginx": {
            finding.kind.value: doctor._status_of_findings([finding]) for finding in findings
        },
        "authgw rules explain": {verdict.value: _explained(verdict).status for verdict in Verdict},
    }


def json_of_commands() -> dict[str, Any]:
    listed = session._as_json(MagicMock(used_at=1, ends_at=1, session=a_session()))
    app_password = user_entry.AppPasswordEntry(name="x", sha256="0" * 64)
    user = user_entry.UserEntry(password=DUMMY_HASH, app_passwords=(app_password,))
    client = clients_file.BackendEntry(secret_sha256="0" * 64)
    signing = key._KeyRow(KEY, KeyState.SIGNING, created_at=NOW, verifies_until=math.inf)
    finding = Finding("nginx.conf", 1, "", "", FindingKind.HOLE)
    return {
        "authgw client list": sorted(client_command._row("x", client)),
        "authgw doctor": sorted(check_results.result_as_json(ok("", ""))),
        "authgw provider check": sorted(check_results.result_as_json(ok("", ""))),
        "authgw doctor --nginx": sorted(doctor._finding_as_json(finding)),
        "authgw key list": sorted(key._as_json(signing)),
        "authgw rules explain": sorted(json.loads(_explained(Verdict.ALLOW).as_json())),
        "authgw session list": sorted(listed),
        "authgw user app-password --list": sorted(user_output.app_password_as_json(app_password)),
        "authgw user list": sorted(user_output.user_as_json("x", user)),
    }


def _explained(verdict: Verdict) -> explain_report.RuleReport:
    return explain_report.RuleReport(Explanation(Decision(verdict, "", None), None, ()), ())
