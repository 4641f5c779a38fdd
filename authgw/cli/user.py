"""`authgw user`: manage the users of the users file."""

import io

import click
import segno

from authgw.cli import app_password, output, rescue, user_binding, user_links
from authgw.cli.errors import report_errors
from authgw.cli.new_password import new_password, password_options
from authgw.cli.options import confirm, examples, json_option, yes_option
from authgw.cli.user_entry import EFFECT, Read, bindings_path, entry_of, users_path
from authgw.cli.user_output import user_as_json, user_as_line
from authgw.config.loader import LoadedConfig
from authgw.identity import passwords, totp, users_editor
from authgw.identity.bindings_file import BindingTakenError, load_bindings, similar_name
from authgw.identity.users_file import (
    entry_warnings,
    load_users,
    permission_warnings,
    validate_entry,
)
from authgw.observability.command_log import CommandLog


@click.group(epilog=examples("authgw user list"))
def command() -> None:
    """Manage users.

    A change takes effect within a second, without a reload, on every replica that reads the same
    users file. Names are case-insensitive.
    """


command.add_command(app_password.command)
command.add_command(user_binding.command)
command.add_command(rescue.command)
for linking in (user_links.link, user_links.unlink, user_links.block, user_links.unblock):
    command.add_command(linking)


@command.command(
    "add",
    epilog=examples(
        "authgw user add alice --group writers --email alice@example.com",
        "authgw user add bob --full-name 'Bob Jones' --generate",
    ),
)
@click.argument("name")
@click.option("--group", "groups", multiple=True, help="A group of the user; can be repeated.")
@click.option("--email", default="", help="Sent to apps as Remote-Email.")
@click.option("--full-name", default="", help="Sent to apps as Remote-Name.")
@password_options
@json_option
@click.pass_obj
@report_errors
def add(
    read: Read,
    name: str,
    groups: tuple[str, ...],
    email: str,
    full_name: str,
    password_stdin: bool,
    generate: bool,
    as_json: bool,
) -> None:
    """Add a user.

    The password is read from a prompt, unless an option selects another source. A generated
    password is printed once.
    """
    loaded = read()
    log = CommandLog(loaded, "user add")
    path = users_path(loaded)
    users_editor.check_name_is_new(load_users(path), name)
    _check_name_is_unbound(loaded, name)
    # Check all other values before the prompt, so that no password is typed in vain.
    validate_entry(
        name,
        {"password": passwords.DUMMY_HASH, "groups": groups, "email": email, "name": full_name},
    )
    about = (name, full_name, email)
    chosen = new_password(loaded, about, from_stdin=password_stdin, generate=generate)
    hashed = passwords.hash_password(chosen)
    users_editor.add(path, name, hashed, groups=groups, email=email, name=full_name)
    log.change(user=name)
    _print_password(name, chosen if generate else None, as_json=as_json)
    output.note(f"Added {name}. {EFFECT}")


@command.command(
    "set",
    epilog=examples(
        "authgw user set alice --email alice@example.org",
        "authgw user set alice --groups writers,admins",
        "authgw user set alice --full-name ''",
    ),
)
@click.argument("name")
@click.option("--groups", help="All groups of the user, comma-separated; '' for no group.")
@click.option("--email", help="Sent to apps as Remote-Email; '' to remove it.")
@click.option("--full-name", help="Sent to apps as Remote-Name; '' to remove it.")
@click.pass_obj
@report_errors
def set_command(
    read: Read, name: str, groups: str | None, email: str | None, full_name: str | None
) -> None:
    """Change the groups, email or full name of a user.

    --groups replaces all groups. Other fields stay as they are. Sessions continue, and have the new
    values from the next request on.
    """
    if groups is None and email is None and full_name is None:
        raise click.UsageError("give at least one of --groups, --email and --full-name")
    loaded = read()
    log = CommandLog(loaded, "user set")
    name, _ = entry_of(loaded, name)
    new_groups = None if groups is None else [group for group in groups.split(",") if group]
    is_changed = users_editor.set_profile(
        users_path(loaded), name, groups=new_groups, email=email, name=full_name
    )
    if is_changed:
        log.change(user=name)
    output.note(f"Changed {name}. {EFFECT}" if is_changed else f"{name} has these values already.")


@command.command("remove", epilog=examples("authgw user remove alice"))
@click.argument("name")
@yes_option
@click.pass_obj
@report_errors
def remove(read: Read, name: str, yes: bool) -> None:
    """Remove a user: end its sessions and app passwords.

    The second factor is removed as well. To keep the entry, use `authgw user disable`.
    """
    loaded = read()
    log = CommandLog(loaded, "user remove")
    name, _ = entry_of(loaded, name)
    confirm(f"Remove the user {name}?", yes)
    users_editor.remove(users_path(loaded), name)
    log.change(user=name)
    output.note(f"Removed {name}: its sessions and app passwords end. {EFFECT}")


@command.command("passwd", epilog=examples("authgw user passwd alice --generate"))
@click.argument("name")
@password_options
@json_option
@click.pass_obj
@report_errors
def passwd(read: Read, name: str, password_stdin: bool, generate: bool, as_json: bool) -> None:
    """Set the password of a user: end its sessions.

    App passwords and the second factor stay valid. The password is read from a prompt, unless an
    option selects another source. A generated password is printed once.
    """
    loaded = read()
    log = CommandLog(loaded, "user passwd")
    name, entry = entry_of(loaded, name)
    about = (name, entry.name, entry.email)
    chosen = new_password(loaded, about, from_stdin=password_stdin, generate=generate)
    users_editor.set_password(users_path(loaded), name, passwords.hash_password(chosen))
    log.change(user=name)
    _print_password(name, chosen if generate else None, as_json=as_json)
    output.note(f"All sessions of {name} end, app passwords stay valid. {EFFECT}")


@command.command("disable", epilog=examples("authgw user disable alice"))
@click.argument("name")
@click.pass_obj
@report_errors
def disable(read: Read, name: str) -> None:
    """Disable a user: end its sessions and app passwords.

    The user can no longer log in. `authgw user enable` reverses it.
    """
    loaded = read()
    log = CommandLog(loaded, "user disable")
    name, _ = entry_of(loaded, name)
    users_editor.set_disabled(users_path(loaded), name, True)
    log.change(user=name)
    output.note(f"Disabled {name}: its sessions and app passwords end. {EFFECT}")


@command.command("enable", epilog=examples("authgw user enable alice"))
@click.argument("name")
@click.pass_obj
@report_errors
def enable(read: Read, name: str) -> None:
    """Enable a disabled user.

    The user can log in again with the same password, second factor and app passwords.
    """
    loaded = read()
    log = CommandLog(loaded, "user enable")
    name, _ = entry_of(loaded, name)
    users_editor.set_disabled(users_path(loaded), name, False)
    log.change(user=name)
    output.note(f"Enabled {name}. {EFFECT}")


@command.command("list", epilog=examples("authgw user list --json"))
@json_option
@click.pass_obj
@report_errors
def list_command(read: Read, as_json: bool) -> None:
    """List all users, without secrets."""
    path = users_path(read())
    users = load_users(path)
    for warning in (*permission_warnings(path), *entry_warnings(path, users)):
        output.note(f"warning: {warning}")
    rows = [user_as_json(name, entry) for name, entry in users.items()]
    if as_json:
        output.json_array(rows)
        return
    for row in rows:
        output.line(user_as_line(row))


@command.command(
    "totp", epilog=examples("authgw user totp alice", "authgw user totp alice --remove")
)
@click.argument("name")
@click.option("--remove", is_flag=True, help="Remove the second factor.")
@json_option
@click.pass_obj
@report_errors
def totp_command(read: Read, name: str, remove: bool, as_json: bool) -> None:
    """Set up or remove the second factor of a user.

    The QR code for an authenticator app and ten recovery codes are printed once.
    """
    if remove and as_json:
        raise click.UsageError("--json prints the new second factor: omit --remove")
    loaded = read()
    log = CommandLog(loaded, "user totp --remove" if remove else "user totp")
    name, _ = entry_of(loaded, name)
    if remove:
        users_editor.remove_totp(users_path(loaded), name)
        log.change(user=name)
        output.note(f"Removed the second factor of {name}. {EFFECT}")
        return
    secret, codes = totp.new_secret(), totp.new_recovery_codes()
    users_editor.set_totp(users_path(loaded), name, secret, map(totp.recovery_digest, codes))
    log.change(user=name)
    uri = totp.provisioning_uri(secret, name, loaded.settings.auth.issuer)
    if as_json:
        output.json_object({"user": name, "uri": uri, "recovery_codes": list(codes)})
    else:
        title = "Recovery codes, each valid for one login without the app:"
        output.line("\n".join([uri, _qr_code(uri), title, *codes]))
    output.note(f"{name} needs a code at the next login. {EFFECT}")


def _check_name_is_unbound(loaded: LoadedConfig, name: str) -> None:
    """Refuse a name that belongs to an account of an identity provider.

    Raises:
        BindingTakenError: Such an account has this or a similar name.
    """
    bound = similar_name(load_bindings(bindings_path(loaded)).names, name)
    if bound is not None:
        raise BindingTakenError(
            f"the name {bound} belongs to an account of an identity provider: choose another name, "
            f"or release it first (`authgw user binding release {bound}`)"
        )


def _print_password(name: str, generated: str | None, *, as_json: bool) -> None:
    """Print a generated password; as JSON the user even without it."""
    if as_json:
        password = {} if generated is None else {"password": generated}
        output.json_object({"user": name, **password})
    elif generated is not None:
        output.line(generated)


def _qr_code(uri: str) -> str:
    text = io.StringIO()
    segno.make(uri, micro=False).terminal(text, compact=True)
    return text.getvalue()
