"""Audit events of commands, in the format of the service's log, at the place of `logging.commands`.

A command runs outside of the service, so the collector of the service's log does not read its
output. `syslog` reaches the journal or the syslog daemon of this machine, a path a file that the
collector reads, or the log of a container: `/proc/1/fd/2`.
"""

import getpass
import os
import socket
import stat
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from authgw.config.loader import LoadedConfig
from authgw.core.audit import Event, Fields, account_fields
from authgw.core.errors import OperatorError
from authgw.files.atomic import copy_owner
from authgw.observability.logging import command_line

_SYSLOG_SOCKET = "/dev/log"
# Facility authpriv, severity informational (RFC 3164 section 4.1.1), and the name of the service.
_SYSLOG_HEAD = b"<86>authgw: "
_PERMISSIONS = 0o640
# Without blocking, so that a pipe without a reader is an error.
_FLAGS = os.O_WRONLY | os.O_APPEND | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


class CommandLogError(OperatorError):
    """Raised before a command changes anything if its event could not be logged."""


class CommandLog:
    """The place of the events of a command, opened before the command changes anything."""

    def __init__(self, loaded: LoadedConfig, command: str) -> None:
        """Open the place for the events of this command, such as `user add`.

        Raises:
            CommandLogError: nothing can be written there.
        """
        self._mode = loaded.settings.logging.mode
        self._command = command
        self._place = loaded.settings.logging.commands
        self._write = _opened(loaded, self._place)

    def change(
        self,
        *,
        user: str = "",
        client: str = "",
        kid: str = "",
        provider: str = "",
        account: str = "",
    ) -> None:
        """Log that the command has changed this user, trusted backend or signing key.

        `provider` and `account` name the account that was linked, unlinked, bound or blocked.
        """
        named = tuple((k, v) for k, v in (("authgw.client", client), ("authgw.kid", kid)) if v)
        subject = user or client or kid
        self._record("change", user, "", subject, (*named, *account_fields(provider, account)))

    def revoked(self, sub: str, sid: str) -> None:
        """Log that the command has ended a session."""
        self._record("revoke", sub, sid, "", ())

    def _record(self, name: str, sub: str, sid: str, subject: str, named: Fields) -> None:
        owner = _owner()
        operator = os.environ.get("SUDO_USER") or owner
        sentence = f"{self._command}{f' {subject}' if subject else ''}, by operator {operator}"
        more = (
            *named,
            ("authgw.command", self._command),
            ("authgw.operator", operator),
            ("process.owner", owner),
        )
        line = command_line(Event(name, sub=sub, sid=sid, sentence=sentence, more=more), self._mode)
        try:
            self._write(line)
        except OSError as error:
            # The change is made: the event must not be lost while somebody reads stderr.
            with suppress(OSError):
                sys.stderr.write(f"{line}\nwarning: logging.commands: {self._place}: {error}\n")


def _opened(loaded: LoadedConfig, place: str) -> Callable[[str], None]:
    try:
        if place == "stderr":
            return _write_to_stderr
        return _syslog() if place == "syslog" else _file(loaded.path(place))
    except OSError as error:
        raise CommandLogError(
            f"logging.commands: {place}: {error.strerror}. Nothing was changed: the event of this "
            "command could not be logged"
        ) from None


def _write_to_stderr(line: str) -> None:
    sys.stderr.write(f"{line}\n")


def _syslog() -> Callable[[str], None]:
    daemon = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    daemon.connect(_SYSLOG_SOCKET)
    return lambda line: daemon.sendall(_SYSLOG_HEAD + line.encode())


def _file(path: Path) -> Callable[[str], None]:
    descriptor = _created(path) if not path.exists() else os.open(path, _FLAGS)

    def write(line: str) -> None:
        # A single write at the end of the file, so that lines of several processes do not mix.
        os.write(descriptor, f"{line}\n".encode())

    return write


def _created(path: Path) -> int:
    descriptor = os.open(path, _FLAGS | os.O_CREAT, _PERMISSIONS)
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        copy_owner(descriptor, like=path.parent)
    return descriptor


def _owner() -> str:
    with suppress(KeyError, OSError):
        return getpass.getuser()
    return str(os.geteuid())
