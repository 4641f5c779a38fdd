"""`authgw user`: the users of the users file."""

import io
import json
import secrets
import string
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import click
import segno

from authgw.cli.errors import report_errors
from authgw.config.loader import LoadedConfig
from authgw.config.values import parse_duration
from authgw.core.limits import MAX_PASSWORD_LINE_BYTES
from authgw.identity import passwords, totp, users_editor
from authgw.identity.users_file import (
    AppPasswordEntry,
    UserEntry,
    UsersFileError,
    alike_warnings,
    find_name,
    load_users,
    permission_warnings,
    validate_entry,
)
from authgw.observability.command_log import CommandLog

_WORD_LENGTH = 4  # letters; five words have 94 bits
_MIN_WORDS = 5
_EFFECT = "Takes effect within a second."

Read = Callable[[], LoadedConfig]


@click.group()
def command() -> None:
    """People who log in with a password."""


def _password_options(command: Callable[..., Any]) -> Callable[..., Any]:
    stdin = click.option("--password-stdin", is_flag=True, help="Read the password's one line.")
    generate = click.option("--generate", is_flag=True, help="Make a password and print it, once.")
    return stdin(generate(command))


@command.command("add")
@click.argument("name")
@click.option("--group", "groups", multiple=True, help="A group to be in; may be repeated.")
@click.option("--email", default="", help="Sent to apps as Remote-Email.")
@click.option("--full-name", default="", help="Sent to apps as Remote-Name.")
@_password_options
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
) -> None:
    """Add a person."""
    loaded = read()
    path, log = _path(loaded), CommandLog(loaded, "user add")
    users_editor.check_name_is_new(load_users(path), name)
    # Check all other values before the prompt, so that no password is typed in vain.
    validate_entry(
        name,
        {"password": passwords.DUMMY_HASH, "groups": groups, "email": email, "name": full_name},
    )
    chosen = _new_password(loaded, (name, full_name, email), password_stdin, generate)
    hashed = passwords.hash_password(chosen)
    users_editor.add(path, name, hashed, groups=groups, email=email, name=full_name)
    log.change(user=name)
    _print_generated(chosen, generate)
    _note(f"Added {name}. {_EFFECT}")


@command.command("passwd")
@click.argument("name")
@_password_options
@click.pass_obj
@report_errors
def passwd(read: Read, name: str, password_stdin: bool, generate: bool) -> None:
    """Give a person another password; ends all of the person's sessions."""
    loaded = read()
    log = CommandLog(loaded, "user passwd")
    name, entry = _entry(loaded, name)
    about = (name, entry.name, entry.email)
    chosen = _new_password(loaded, about, password_stdin, generate)
    users_editor.set_password(_path(loaded), name, passwords.hash_password(chosen))
    log.change(user=name)
    _print_generated(chosen, generate)
    _note(f"All sessions of {name} end, app passwords stay. {_EFFECT}")


@command.command("disable")
@click.argument("name")
@click.pass_obj
@report_errors
def disable(read: Read, name: str) -> None:
    """Let a person in no more, with no session and no app password."""
    loaded = read()
    log = CommandLog(loaded, "user disable")
    name, _ = _entry(loaded, name)
    users_editor.set_disabled(_path(loaded), name, True)
    log.change(user=name)
    _note(f"{name} is let in no more. {_EFFECT}")


@command.command("enable")
@click.argument("name")
@click.pass_obj
@report_errors
def enable(read: Read, name: str) -> None:
    """Let a disabled person in again."""
    loaded = read()
    log = CommandLog(loaded, "user enable")
    name, _ = _entry(loaded, name)
    users_editor.set_disabled(_path(loaded), name, False)
    log.change(user=name)
    _note(f"{name} is let in again. {_EFFECT}")


@command.command("list")
@click.option("--json", "as_json", is_flag=True, help="Write JSON.")
@click.pass_obj
@report_errors
def list_command(read: Read, as_json: bool) -> None:
    """List everyone, without any secret."""
    path = _path(read())
    users = load_users(path)
    shown_users = {name: _shown(entry) for name, entry in users.items()}
    for warning in (*permission_warnings(path), *alike_warnings(path, users)):
        _note(f"warning: {warning}")
    if as_json:
        click.echo(json.dumps([{"user": name, **shown} for name, shown in shown_users.items()]))
        return
    for name, shown in shown_users.items():
        click.echo(_as_line(name, shown))


@command.command("totp")
@click.argument("name")
@click.option("--remove", is_flag=True, help="Ask for no second factor any more.")
@click.pass_obj
@report_errors
def totp_command(read: Read, name: str, remove: bool) -> None:
    """Set up a second factor: print its QR code and ten recovery codes, once."""
    loaded = read()
    log = CommandLog(loaded, "user totp --remove" if remove else "user totp")
    name, _ = _entry(loaded, name)
    if remove:
        users_editor.remove_totp(_path(loaded), name)
        log.change(user=name)
        _note(f"{name} is asked for no second factor. {_EFFECT}")
        return
    secret, codes = totp.new_secret(), totp.new_recovery_codes()
    users_editor.set_totp(_path(loaded), name, secret, map(totp.recovery_digest, codes))
    log.change(user=name)
    uri = totp.provisioning_uri(secret, name, loaded.settings.auth.issuer)
    click.echo(f"{uri}\n{_qr_code(uri)}\nRecovery codes, each good for one log-in without the app:")
    click.echo("\n".join(codes))
    _note(f"{name} needs a code from now on. {_EFFECT}")


@command.command("app-password")
@click.argument("name", metavar="USER")
@click.option("--name", "program", help="What to call it, such as laptop.")
@click.option("--path", "paths", multiple=True, help="A path it is for, as in rules; repeatable.")
@click.option("--expires", help="How long it is good for, such as 90d; for ever by default.")
@click.option("--list", "listing", is_flag=True, help="List this person's.")
@click.option("--revoke", help="Revoke the one of this name.")
@click.pass_obj
@report_errors
def app_password(
    read: Read,
    name: str,
    program: str | None,
    paths: tuple[str, ...],
    expires: str | None,
    listing: bool,
    revoke: str | None,
) -> None:
    """Give a program of a person a password of its own; print it, once."""
    loaded = read()
    if sum((listing, revoke is not None, program is not None)) != 1:
        raise click.UsageError("give one of --name, --list and --revoke")
    if program is None and (paths or expires is not None):
        raise click.UsageError("--path and --expires belong to --name")
    name, entry = _entry(loaded, name)
    if program is not None:
        end, path = _end_of(expires), _path(loaded)
        log = CommandLog(loaded, "user app-password")
        secret = users_editor.add_app_password(path, name, program, paths=paths, expires=end)
        log.change(user=name)
        click.echo(secret)
        _note(f"Rules take it where credentials name app-password. {_EFFECT}")
    elif revoke is not None:
        log = CommandLog(loaded, "user app-password --revoke")
        _revoke(_path(loaded), name, revoke)
        log.change(user=name)
    else:
        for app_password_entry in entry.app_passwords:
            click.echo(_app_password_as_line(_shown_app_password(app_password_entry)))


def _revoke(path: Path, name: str, program: str) -> None:
    if not users_editor.remove_app_password(path, name, program):
        raise UsersFileError(f"{name} has no app password of this name: see --list")
    _note(f"Revoked. {_EFFECT}")


def _path(loaded: LoadedConfig) -> Path:
    return loaded.path(loaded.settings.auth.users)


def _entry(loaded: LoadedConfig, typed: str) -> tuple[str, UserEntry]:
    """Return the entry of a typed name, preceded by the name as written in the file."""
    users = load_users(_path(loaded))
    name = find_name(users, typed)
    if name is None:
        raise UsersFileError(users_editor.unknown_user(_path(loaded)))
    return name, users[name]


def _new_password(
    loaded: LoadedConfig, about: tuple[str, ...], from_stdin: bool, generate: bool
) -> str:
    min_length = loaded.settings.auth.passwords.min_length
    if from_stdin and generate:
        raise click.UsageError("give one of --password-stdin and --generate")
    if generate:
        return _generate_password(min_length)
    text = _read_stdin_line() if from_stdin else _prompt_password()
    passwords.check_new(text, min_length=min_length, about=about)
    return text


def _generate_password(min_length: int) -> str:
    count = max(_MIN_WORDS, -(-(min_length + 1) // (_WORD_LENGTH + 1)))
    words = (
        "".join(secrets.choice(string.ascii_lowercase) for _ in range(_WORD_LENGTH))
        for _ in range(count)
    )
    return "-".join(words)


def _read_stdin_line() -> str:
    line = sys.stdin.buffer.readline(MAX_PASSWORD_LINE_BYTES)
    try:
        return line.decode("utf-8").rstrip("\r\n")
    except UnicodeDecodeError:
        raise passwords.WeakPasswordError("The password is not UTF-8 text.") from None


def _prompt_password() -> str:
    if not sys.stdin.isatty():
        raise click.UsageError("there is no terminal: use --password-stdin or --generate")
    password: str = click.prompt("Password", hide_input=True, confirmation_prompt="Once more")
    return password


def _end_of(expires: str | None) -> datetime | None:
    if expires is None:
        return None
    now = datetime.now(UTC).replace(microsecond=0)
    try:
        end = now + timedelta(seconds=parse_duration(expires))
    except (ValueError, OverflowError):
        end = now
    if end <= now:
        raise click.UsageError("--expires is a duration such as 90d or 12h")
    return end


def _qr_code(uri: str) -> str:
    output = io.StringIO()
    segno.make(uri, micro=False).terminal(output, compact=True)
    return output.getvalue()


def _shown(entry: UserEntry) -> dict[str, Any]:
    return {
        "groups": list(entry.groups),
        "email": entry.email,
        "name": entry.name,
        "disabled": entry.disabled,
        "totp": entry.totp is not None,
        "app_passwords": [_shown_app_password(password) for password in entry.app_passwords],
    }


def _shown_app_password(entry: AppPasswordEntry) -> dict[str, Any]:
    end = entry.expires and entry.expires.astimezone(UTC).isoformat().replace("+00:00", "Z")
    return {"name": entry.name, "paths": list(entry.paths), "expires": end}


def _as_line(name: str, shown: dict[str, Any]) -> str:
    app_passwords = "; ".join(map(_app_password_as_line, shown["app_passwords"]))
    properties = [
        f"groups {', '.join(shown['groups'])}" if shown["groups"] else "no groups",
        *(["second factor"] if shown["totp"] else []),
        *(["disabled"] if shown["disabled"] else []),
        *([f"app passwords {app_passwords}"] if app_passwords else []),
    ]
    return f"{name}: {', '.join(properties)}"


def _app_password_as_line(shown: dict[str, Any]) -> str:
    where = f"for {' '.join(shown['paths'])}" if shown["paths"] else "for every path"
    until = f"until {shown['expires']}" if shown["expires"] else "for ever"
    return f"{shown['name']} ({where}, {until})"


def _print_generated(chosen: str, generate: bool) -> None:
    if generate:
        click.echo(chosen)


def _note(text: str) -> None:
    click.echo(text, err=True)
