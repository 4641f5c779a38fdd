"""`authgw user app-password`: manage the app passwords of a user."""

from datetime import UTC, datetime, timedelta

import click

from authgw.cli import output
from authgw.cli.errors import report_errors
from authgw.cli.options import examples, json_option
from authgw.cli.user_entry import EFFECT, Read, entry_of, users_path
from authgw.cli.user_output import app_password_as_json, app_password_as_line
from authgw.config.values import parse_duration
from authgw.identity import users_editor
from authgw.identity.user_entry import UserEntry
from authgw.identity.users_file import UsersFileError
from authgw.observability.command_log import CommandLog


@click.command(
    "app-password",
    epilog=examples(
        "authgw user app-password alice --name laptop --path '/dav/**' --expires 90d",
        "authgw user app-password alice --list",
        "authgw user app-password alice --revoke laptop",
    ),
)
@click.argument("user")
@click.option("--name", "program", help="Create an app password of this name, such as laptop.")
@click.option("--path", "paths", multiple=True, help="A path it is valid for; can be repeated.")
@click.option("--expires", help="Lifetime such as 90d; without it, it does not expire.")
@click.option("--list", "listing", is_flag=True, help="List the app passwords of the user.")
@click.option("--revoke", help="Revoke the app password of this name.")
@json_option
@click.pass_obj
@report_errors
def command(
    read: Read,
    user: str,
    program: str | None,
    paths: tuple[str, ...],
    expires: str | None,
    listing: bool,
    revoke: str | None,
    as_json: bool,
) -> None:
    """Create, list or revoke app passwords of a user.

    A program without a browser, such as a calendar or git, logs in with an app password. It is
    printed once and not stored. Rules accept it where `credentials` contains app-password.
    """
    if sum((listing, revoke is not None, program is not None)) != 1:
        raise click.UsageError("give exactly one of --name, --list and --revoke")
    if program is None and (paths or expires is not None):
        raise click.UsageError("--path and --expires need --name")
    if revoke is not None and as_json:
        raise click.UsageError("--json needs --name or --list")
    loaded = read()
    path = users_path(loaded)
    name, entry = entry_of(loaded, user)
    if program is not None:
        end, log = _end_of(expires), CommandLog(loaded, "user app-password")
        secret = users_editor.add_app_password(path, name, program, paths=paths, expires=end)
        log.change(user=name)
        if as_json:
            output.json_object({"user": name, "name": program, "password": secret})
        else:
            output.line(secret)
        output.note(f"Rules accept it where credentials contains app-password. {EFFECT}")
    elif revoke is not None:
        log = CommandLog(loaded, "user app-password --revoke")
        if not users_editor.remove_app_password(path, name, revoke):
            raise UsersFileError(f"{name} has no app password of this name: see --list")
        log.change(user=name)
        output.note(f"Revoked {revoke} of {name}. {EFFECT}")
    else:
        _list(entry, as_json=as_json)


def _list(entry: UserEntry, *, as_json: bool) -> None:
    rows = list(map(app_password_as_json, entry.app_passwords))
    if as_json:
        output.json_array(rows)
        return
    for row in rows:
        output.line(app_password_as_line(row))


def _end_of(expires: str | None) -> datetime | None:
    if expires is None:
        return None
    now = datetime.now(UTC).replace(microsecond=0)
    try:
        end = now + timedelta(seconds=parse_duration(expires))
    except (ValueError, OverflowError):
        end = now
    if end <= now:
        raise click.UsageError("--expires must be a duration such as 90d or 12h")
    return end
