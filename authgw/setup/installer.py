"""Writes an installation: configuration, first user, signing keys, files of proxy and service."""

import os
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from authgw.config.loader import LoadedConfig, load
from authgw.files import key_files
from authgw.files.staging import FilesExistError, staged_names, staging
from authgw.identity import users_editor
from authgw.identity.passwords import hash_password
from authgw.identity.users_file import find_name, load_users
from authgw.setup.answers import Answers
from authgw.setup.certificate import make_placeholder
from authgw.setup.config_file import CONFIG_FILE, STORE_PASSWORD_FILE, render_config
from authgw.setup.services import Machine, render_service
from authgw.setup.sites import certificate_path, needs_certificate, render_site

_USERS_FILE = "users.yml"


@dataclass(frozen=True, slots=True)
class FirstUser:
    """The first user, with the password from which the hash is made."""

    name: str
    password: str = field(repr=False)


def check_is_new(directory: Path) -> None:
    """Check that a directory has no installation yet.

    Raises:
        FilesExistError: It has a configuration or users.
    """
    existing = [name for name in (CONFIG_FILE, _USERS_FILE) if os.path.lexists(directory / name)]
    if existing:
        raise FilesExistError(existing)


def has_user(directory: Path, name: str) -> bool:
    """Return True if an installation has a user of this or a similar name.

    Raises:
        UsersFileError: The users file cannot be used.
    """
    return find_name(load_users(directory / _USERS_FILE), name) is not None


def write_installation(
    answers: Answers, user: FirstUser | None, machine: Machine, *, force: bool
) -> list[str]:
    """Write all files below the directory of `machine`, or none; return their paths there.

    Users and keys that exist stay. `user` is added to the users file; None adds no user.

    Raises:
        FilesExistError: Files exist with other content, and `force` is not set.
        OperatorError: A value or a file must not be used.
        OSError: A file cannot be written.
    """
    target = Path(machine.directory)
    if not force:
        check_is_new(target)
    with staging(target, replace=force) as new:
        _write(new / CONFIG_FILE, render_config(answers))
        _write_secrets(new, target, answers)
        loaded = load(new / CONFIG_FILE, {})
        texts = {
            **render_site(answers, loaded.settings, machine.directory),
            **render_service(answers, loaded.settings, machine),
        }
        for name, text in texts.items():
            _write(new / name, text)
        _make_key(new, target, loaded)
        if user is not None:
            users = target if (target / _USERS_FILE).exists() else new
            users_editor.add(users / _USERS_FILE, user.name, hash_password(user.password))
        return staged_names(new)


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def _write_secrets(new: Path, target: Path, answers: Answers) -> None:
    """Write the password of the store, and a placeholder for a certificate that does not exist."""
    if answers.store.password:
        key_files.write_private(new / STORE_PASSWORD_FILE, f"{answers.store.password}\n".encode())
    if not needs_certificate(answers):
        return
    path = certificate_path(answers, "")[1:]
    if any((target / f"{path}{end}").exists() for end in (".crt", ".key", ".pem")):
        return
    made = make_placeholder(answers.hosts, datetime.now(UTC))
    texts = {".crt": made.certificate, ".key": made.key}
    if answers.proxy == "haproxy":
        texts = {".pem": made.certificate + made.key}
    for end, text in texts.items():
        key_files.write_private(new / f"{path}{end}", text.encode())


def _make_key(new: Path, target: Path, loaded: LoadedConfig) -> None:
    auth = loaded.settings.auth
    if not key_files.load_keys(target / auth.keys):
        key_files.make_key(new / auth.keys, auth.algorithm)
