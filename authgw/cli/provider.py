"""`authgw provider`: compare an identity provider with its configuration, without a login."""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

import click

from authgw.cli.check_results import print_results
from authgw.cli.errors import report_errors
from authgw.cli.options import claims_option, examples, json_option
from authgw.config.loader import LoadedConfig
from authgw.doctor import provider_claims

Read = Callable[[], LoadedConfig]
_CHECK = "authgw provider check company"


@click.group(epilog=examples(_CHECK))
def command() -> None:
    """Check identity providers (login.providers)."""


@command.command("check", epilog=examples(_CHECK, f"{_CHECK} --claims claims.json"))
@claims_option
@json_option
@click.argument("name")
@click.pass_obj
@report_errors
def check(read: Read, claims: Path | None, as_json: bool, name: str) -> None:
    """Check a provider by the calls of a login, without a browser.

    Each line has a result, and the key to change if there is a problem: discovery document, keys,
    clock, client secret (by a request with an invalid code), and the addresses to register at the
    provider.

    With --claims, print the subject, groups and e-mail of the account with these claims instead,
    and the cause if it cannot log in. The provider is not contacted.

    Exit status 1: there is a problem, or the account cannot log in.
    """
    loaded = read()
    if claims is not None:
        results = provider_claims.examine_claims(loaded, name, claims)
    else:
        # Imported for this use only, as it loads an HTTP client.
        from authgw.doctor import providers

        results = asyncio.run(providers.examine_provider(loaded, name, time.time))
    print_results(results, as_json=as_json)
