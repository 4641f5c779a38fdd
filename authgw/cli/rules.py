"""`authgw rules`: explain decisions of the access rules."""

from collections.abc import Callable
from pathlib import Path

import click

from authgw.cli import explain_report, output
from authgw.cli.errors import report_errors
from authgw.cli.options import claims_option, examples, json_option
from authgw.config.loader import LoadedConfig
from authgw.core.model import Principal

_EXPLAIN = "authgw rules explain --user alice GET https://app.example.com/x"


@click.group(epilog=examples(_EXPLAIN))
def command() -> None:
    """Explain the decisions of the access rules."""


@command.command(
    "explain",
    epilog=examples(
        _EXPLAIN,
        "authgw rules explain --provider company --claims claims.json GET https://app.example.com/",
        "authgw rules explain --group admins --from 10.0.0.7 POST https://app.example.com/",
    ),
)
@click.option("--user", help="The user (subject); its groups come from the users file.")
@click.option("--group", "groups", multiple=True, help="A group of the user; can be repeated.")
@click.option("--provider", help="The identity provider of the account in --claims.")
@claims_option
@click.option("--from", "address", default="", help="The address of the client.")
@json_option
@click.argument("method")
@click.argument("url")
@click.pass_obj
@report_errors
def explain(
    read: Callable[[], LoadedConfig],
    user: str | None,
    groups: tuple[str, ...],
    provider: str | None,
    claims: Path | None,
    address: str,
    as_json: bool,
    method: str,
    url: str,
) -> None:
    """Print the rule that decides about a request, and the reason.

    Without --user and --group the request is anonymous. With --provider and --claims it is that of
    an account of an identity provider with these claims. Exit status 0: the request is allowed, 1:
    it is denied, 3: a login is required.
    """
    if (provider is None) != (claims is None):
        raise click.UsageError("--provider and --claims belong together: write both")
    if provider is not None and (user is not None or groups):
        raise click.UsageError("--user and --group are not those of an account: leave them out")
    loaded = read()
    principal: Principal | None
    if provider is not None and claims is not None:
        principal = explain_report.principal_of_account(loaded, provider, claims)
    else:
        principal = explain_report.principal_of_user(loaded, user, groups)
    report = explain_report.explain_request(loaded, method, url, principal, address=address)
    output.line(report.as_json() if as_json else report.as_text(), status=report.status)
    raise click.exceptions.Exit(report.status)
