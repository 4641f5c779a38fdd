"""`authgw user`: the people of the users file."""

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

from authgw.cli.errors import plainly
from authgw.config.loader import LoadedConfig
from authgw.config.values import parse_duration
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

_MOST_LINE = 8192  # bytes, more than any password that is taken
_WORD = 4  # letters; five words have 94 bits
_WORDS = 5
_NOTICED = "Takes effect within a second."

Read = Callable[[], LoadedConfig]


@click.group()
def command() -> None:
    """People who log in with a password."""


def _asks_password(command: Callable[..., Any]) -> Callable[..., Any]:
    stdin = click.option("--password-stdin", is_flag=True, help="Read the password's one line.")
    made = click.option("--generate", is_flag=True, help="Make a password and print it, once.")
    return stdin(made(command))


@command.command("add")
@click.argument("name")
@click.option("--group", "groups", multiple=True, help="A group to be in; may be repeated.")
@click.option("--email", default="", help="Sent to apps as Remote-Email.")
@click.option("--full-name", default="", help="Sent to apps as Remote-Name.")
@_asks_password
@click.pass_obj
@plainly
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
    path = _path(loaded)
    users_editor.check_name_is_new(load_users(path), name)
    # Whoever is asked for a password should not type it for nothing.
    validate_entry(
        name,
        {"password": passwords.DUMMY_HASH, "groups": groups, "email": email, "name": full_name},
    )
    chosen = _new_password(loaded, (name, full_name, email), password_stdin, generate)
    hashed = passwords.hash_password(chosen)
    users_editor.add(path, name, hashed, groups=groups, email=email, name=full_name)
    _say_generated(chosen, generate)
    _say(f"Added {name}. {_NOTICED}")


@command.command("passwd")
@click.argument("name")
@_asks_password
@click.pass_obj
@plainly
def passwd(read: Read, name: str, password_stdin: bool, generate: bool) -> None:
    """Give a person another password; ends all of the person's sessions."""
    loaded = read()
    name, entry = _entry(loaded, name)
    about = (name, entry.name, entry.email)
    chosen = _new_password(loaded, about, password_stdin, generate)
    users_editor.set_password(_path(loaded), name, passwords.hash_password(chosen))
    _say_generated(chosen, generate)
    _say(f"All sessions of {name} end, app passwords stay. {_NOTICED}")


@command.command("disable")
@click.argument("name")
@click.pass_obj
@plainly
def disable(read: Read, name: str) -> None:
    """Let a person in no more, with no session and no app password."""
    loaded = read()
    name, _ = _entry(loaded, name)
    users_editor.set_disabled(_path(loaded), name, True)
    _say(f"{name} is let in no more. {_NOTICED}")


@command.command("enable")
@click.argument("name")
@click.pass_obj
@plainly
def enable(read: Read, name: str) -> None:
    """Let a disabled person in again."""
    loaded = read()
    name, _ = _entry(loaded, name)
    users_editor.set_disabled(_path(loaded), name, False)
    _say(f"{name} is let in again. {_NOTICED}")


@command.command("list")
@click.option("--json", "as_json", is_flag=True, help="Write JSON.")
@click.pass_obj
@plainly
def list_command(read: Read, as_json: bool) -> None:
    """List everyone, without any secret."""
    path = _path(read())
    users = load_users(path)
    people = {name: _shown(entry) for name, entry in users.items()}
    for warning in (*permission_warnings(path), *alike_warnings(path, users)):
        _say(f"warning: {warning}")
    if as_json:
        click.echo(json.dumps([{"user": name, **shown} for name, shown in people.items()]))
        return
    for name, shown in people.items():
        click.echo(_as_line(name, shown))


@command.command("totp")
@click.argument("name")
@click.option("--remove", is_flag=True, help="Ask for no second factor any more.")
@click.pass_obj
@plainly
def totp_command(read: Read, name: str, remove: bool) -> None:
    """Set up a second factor: print its QR code and ten recovery codes, once."""
    loaded = read()
    name, _ = _entry(loaded, name)
    if remove:
        users_editor.remove_totp(_path(loaded), name)
        _say(f"{name} is asked for no second factor. {_NOTICED}")
        return
    secret, codes = totp.new_secret(), totp.new_recovery_codes()
    users_editor.set_totp(_path(loaded), name, secret, map(totp.recovery_digest, codes))
    uri = totp.provisioning_uri(secret, name, loaded.settings.auth.issuer)
    click.echo(f"{uri}\n{_qr_code(uri)}\nRecovery codes, each good for one log-in without the app:")
    click.echo("\n".join(codes))
    _say(f"{name} needs a code from now on. {_NOTICED}")


@command.command("app-password")
@click.argument("name", metavar="USER")
@click.option("--name", "program", help="What to call it, such as laptop.")
@click.option("--path", "paths", multiple=True, help="A path it is for, as in rules; repeatable.")
@click.option("--expires", help="How long it is good for, such as 90d; for ever by default.")
@click.option("--list", "listing", is_flag=True, help="List this person's.")
@click.option("--revoke", help="Revoke the one of this name.")
@click.pass_obj
@plainly
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
        click.echo(users_editor.add_app_password(path, name, program, paths=paths, expires=end))
        _say(f"Rules take it where credentials name app-password. {_NOTICED}")
    elif revoke is not None:
        _revoke(_path(loaded), name, revoke)
    else:
        for one in entry.app_passwords:
            click.echo(_program_as_line(_program_shown(one)))


def _revoke(path: Path, name: str, program: str) -> None:
    if not users_editor.remove_app_password(path, name, program):
        raise UsersFileError(f"{name} has no app password of this name: see --list")
    _say(f"Revoked. {_NOTICED}")


def _path(loaded: LoadedConfig) -> Path:
    return loaded.path(loaded.settings.auth.users)


def _entry(loaded: LoadedConfig, typed: str) -> tuple[str, UserEntry]:
    """The entry that was meant, and its name as the file has it."""
    users = load_users(_path(loaded))
    name = find_name(users, typed)
    if name is None:
        raise UsersFileError(users_editor.unknown_user(_path(loaded)))
    return name, users[name]


def _new_password(
    loaded: LoadedConfig, about: tuple[str, ...], from_stdin: bool, generate: bool
) -> str:
    least = loaded.settings.auth.passwords.min_length
    if from_stdin and generate:
        raise click.UsageError("give one of --password-stdin and --generate")
    if generate:
        return _generated(least)
    text = _line_of_stdin() if from_stdin else _asked()
    passwords.check_new(text, min_length=least, about=about)
    return text


def _generated(least: int) -> str:
    count = max(_WORDS, -(-(least + 1) // (_WORD + 1)))
    letters = [secrets.choice(string.ascii_lowercase) for _ in range(count * _WORD)]
    return "-".join("".join(letters[at : at + _WORD]) for at in range(0, len(letters), _WORD))


def _line_of_stdin() -> str:
    line = sys.stdin.buffer.readline(_MOST_LINE)
    try:
        return line.decode("utf-8").rstrip("\r\n")
    except UnicodeDecodeError:
        raise passwords.WeakPasswordError("The password is not UTF-8 text.") from None


def _asked() -> str:
    if not sys.stdin.isatty():
        raise click.UsageError("there is no terminal: use --password-stdin or --generate")
    asked: str = click.prompt("Password", hide_input=True, confirmation_prompt="Once more")
    return asked


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
    drawn = io.StringIO()
    segno.make(uri, micro=False).terminal(drawn, compact=True)
    return drawn.getvalue()


def _shown(entry: UserEntry) -> dict[str, Any]:
    return {
        "groups": list(entry.groups),
        "email": entry.email,
        "name": entry.name,
        "disabled": entry.disabled,
        "totp": entry.totp is not None,
        "app_passwords": [_program_shown(one) for one in entry.app_passwords],
    }


def _program_shown(one: AppPasswordEntry) -> dict[str, Any]:
    end = one.expires and one.expires.astimezone(UTC).isoformat().replace("+00:00", "Z")
    return {"name": one.name, "paths": list(one.paths), "expires": end}


def _as_line(name: str, shown: dict[str, Any]) -> str:
    programs = "; ".join(map(_program_as_line, shown["app_passwords"]))
    said = [
        f"{name}:",
        f"groups {', '.join(shown['groups'])}" if shown["groups"] else "no groups",
        *(["second factor"] if shown["totp"] else []),
        *(["disabled"] if shown["disabled"] else []),
        *([f"app passwords {programs}"] if programs else []),
    ]
    return " ".join([said[0], ", ".join(said[1:])])


def _program_as_line(shown: dict[str, Any]) -> str:
    where = f"for {' '.join(shown['paths'])}" if shown["paths"] else "for every path"
    until = f"until {shown['expires']}" if shown["expires"] else "for ever"
    return f"{shown['name']} ({where}, {until})"


def _say_generated(chosen: str, generate: bool) -> None:
    if generate:
        click.echo(chosen)


def _say(text: str) -> None:
    click.echo(text, err=True)
