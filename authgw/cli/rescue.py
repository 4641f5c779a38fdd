"""`authgw user rescue`: a link that logs a user in once, without password and provider."""

import time

import click

from authgw.cli import output
from authgw.cli.errors import report_errors
from authgw.cli.options import examples, json_option
from authgw.cli.user_entry import Read, entry_of
from authgw.config.loader import LoadedConfig
from authgw.core.errors import OperatorError
from authgw.core.keys import KeyRing
from authgw.core.login_sites import LoginSite
from authgw.core.tokens import Issuer
from authgw.core.users import USERS
from authgw.doctor.configuration import keys_of
from authgw.identity.user_entry import mark
from authgw.identity.users_file import UsersFileError
from authgw.observability.command_log import CommandLog
from authgw.services.rescue import RESCUE_LIFETIME, rescue_ticket


@click.command("rescue", epilog=examples("authgw user rescue alice"))
@click.argument("name")
@json_option
@click.pass_obj
@report_errors
def command(read: Read, name: str, as_json: bool) -> None:
    """Print a link that logs a user in once, within 15 minutes.

    It is for an installation with login.passwords: false whose identity provider cannot be reached.
    The user needs an entry in the users file with a password, and a code if it has a second
    factor. A new password makes the link invalid. Send it only to its user.
    """
    loaded = read()
    log = CommandLog(loaded, "user rescue")
    site = _site(loaded)
    name, entry = entry_of(loaded, name)
    if entry.source != USERS:
        raise UsersFileError(
            f"{name} is an account of {entry.source}: choose a user with a password"
        )
    if not entry.may_log_in:
        raise UsersFileError(f"{name} may not log in: see `authgw user enable`")
    now = time.time()
    ticket = rescue_ticket(_issuer(loaded), name, mark(entry.password), now=now)
    link = f"{site.origin}{site.base}/rescue?ticket={ticket}"
    log.change(user=name)
    if as_json:
        expires_at = output.rfc3339(now + RESCUE_LIFETIME)
        output.json_object({"user": name, "url": link, "expires_at": expires_at})
    else:
        output.line(link)
    output.note(f"The link logs {name} in once, within {RESCUE_LIFETIME / 60:.0f} minutes.")


def _site(loaded: LoadedConfig) -> LoginSite:
    login = loaded.settings.login
    if login.passwords:
        raise OperatorError(
            "login.passwords is not false, so that users log in by password: `authgw user passwd` "
            "sets a new password"
        )
    return login.sites.all[0]


def _issuer(loaded: LoadedConfig) -> Issuer:
    auth, keys = loaded.settings.auth, keys_of(loaded)
    if not keys:
        raise OperatorError("no signing key: run `authgw key init` once")
    ring = KeyRing(keys, auth.max_token_lifetime)
    return Issuer(auth.issuer, auth.audience or auth.issuer, ring, auth.previous_issuers)
