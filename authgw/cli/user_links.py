"""`authgw user link`, `unlink`, `block`, `unblock`: accounts of identity providers."""

import click

from authgw.cli import output
from authgw.cli.errors import report_errors
from authgw.cli.options import examples
from authgw.cli.user_entry import EFFECT, Read, bindings_path, entry_of, issuer_of, users_path
from authgw.config.loader import LoadedConfig
from authgw.identity import bindings_editor, users_editor
from authgw.identity.bindings_file import (
    BLOCKED_ACCOUNT,
    BLOCKED_NAME,
    Account,
    BindingTakenError,
    load_bindings,
)
from authgw.identity.users_file import UsersFileError
from authgw.observability.command_log import CommandLog

_BLOCKED = "WHO"


@click.command("link", epilog=examples("authgw user link alice company 4f1a9c0e-7d52"))
@click.argument("name")
@click.argument("provider")
@click.argument("sub")
@click.pass_obj
@report_errors
def link(read: Read, name: str, provider: str, sub: str) -> None:
    """Link an account of an identity provider to a user.

    The user then logs in with this account as well, with the groups of the users file. PROVIDER is
    a name of login.providers, SUB the stable id of the account there: the claim sub, or the number
    of a GitHub account. The log names it when a login is refused.
    """
    loaded = read()
    log = CommandLog(loaded, "user link")
    account = Account(issuer_of(loaded, provider), sub)
    name, _ = entry_of(loaded, name)
    bindings = load_bindings(bindings_path(loaded))
    bound = next((other for other, owner in bindings.names.items() if owner == account), None)
    if bound is not None:
        raise BindingTakenError(
            f"the account is bound to the name {bound}: release it first (`authgw user binding "
            f"release {bound}`)"
        )
    is_changed = users_editor.add_link(users_path(loaded), name, *account)
    if is_changed:
        log.change(user=name, provider=provider, account=sub)
    output.note(
        f"Linked the account to {name}. {EFFECT}"
        if is_changed
        else f"{name} has this link already."
    )
    if f"oidc:{provider}/{sub}" in bindings.blocked:
        output.note("warning: the account is blocked: see `authgw user unblock`")


@click.command("unlink", epilog=examples("authgw user unlink alice company"))
@click.argument("name")
@click.argument("provider")
@click.pass_obj
@report_errors
def unlink(read: Read, name: str, provider: str) -> None:
    """Remove the links of a user to a provider.

    The sessions that linked accounts opened end; those that the password opened continue.
    """
    loaded = read()
    log = CommandLog(loaded, "user unlink")
    issuer = issuer_of(loaded, provider)
    name, _ = entry_of(loaded, name)
    if not users_editor.remove_links(users_path(loaded), name, issuer):
        raise UsersFileError(
            f"{name} has no link to {provider}: `authgw user list` shows all links"
        )
    log.change(user=name, provider=provider)
    output.note(f"Unlinked {name}: the sessions of linked accounts end. {EFFECT}")


@click.command(
    "block",
    epilog=examples("authgw user block oidc:company/4f1a9c0e-7d52", "authgw user block name:eve"),
)
@click.argument("who", metavar=_BLOCKED)
@click.pass_obj
@report_errors
def block(read: Read, who: str) -> None:
    """Block an account or a name, and end its sessions.

    WHO is oidc:PROVIDER/SUB for an account of an identity provider, or name:SUBJECT for every
    session of this name, whichever login opened it. It stays blocked when the provider lets the
    account log in again.
    """
    loaded = read()
    log = CommandLog(loaded, "user block")
    is_changed = bindings_editor.block(bindings_path(loaded), who)
    if is_changed:
        _log(log, who)
    output.note(f"Blocked. {EFFECT}" if is_changed else "It is blocked already.")
    _warn_of_unknown_provider(loaded, who)


@click.command("unblock", epilog=examples("authgw user unblock name:eve"))
@click.argument("who", metavar=_BLOCKED)
@click.pass_obj
@report_errors
def unblock(read: Read, who: str) -> None:
    """Let a blocked account or name log in again.

    WHO is as in `authgw user block`. `authgw user binding list` shows all that are blocked.
    """
    loaded = read()
    log = CommandLog(loaded, "user unblock")
    if not bindings_editor.unblock(bindings_path(loaded), who):
        raise UsersFileError("it is not blocked: `authgw user binding list` shows all that are")
    _log(log, who)
    output.note(f"Unblocked. {EFFECT}")


def _log(log: CommandLog, who: str) -> None:
    account = BLOCKED_ACCOUNT.fullmatch(who)
    if account:
        log.change(provider=account["provider"], account=account["account"])
    else:
        log.change(user=who.removeprefix(BLOCKED_NAME))


def _warn_of_unknown_provider(loaded: LoadedConfig, who: str) -> None:
    account = BLOCKED_ACCOUNT.fullmatch(who)
    if account and account["provider"] not in loaded.settings.login.providers:
        output.note(f"warning: login.providers has no {account['provider']}: correct the name")
