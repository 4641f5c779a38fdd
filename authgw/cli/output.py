"""Output of commands: lines, tables and JSON on stdout, notes on stderr.

Every command writes through this module, so that a reader that closes the pipe early (`| head -1`)
ends the command without an error message.
"""

import json
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NoReturn

import click

Row = Mapping[str, Any]


def line(text: str, *, status: int = 0) -> None:
    """Print a line; exit with `status` if the reader of stdout has gone away."""
    _write(f"{text}\n", status=status)


def note(text: str, *, status: int = 0) -> None:
    """Print a line to stderr; exit with `status` if its reader has gone away."""
    _write(f"{text}\n", status=status, err=True)


def json_object(value: Row) -> None:
    """Print the result of a command as a JSON object."""
    line(json.dumps(value))


def json_array(rows: Iterable[Row], *, status: int = 0) -> None:
    """Print rows as a JSON array, as `JsonArray` does; exit with `status` as in `line`."""
    array = JsonArray(status)
    for row in rows:
        array.add(row)
    array.end()


class JsonArray:
    """Writer of a JSON array with an object in each line, for rows that arrive one after another.

    Without `end` the text is not valid JSON, so that a list that broke off is not read as complete.
    `status` is the exit status if the reader of stdout has gone away.
    """

    def __init__(self, status: int = 0) -> None:
        self._status = status
        self._is_empty = True

    def add(self, row: Row) -> None:
        """Print a row."""
        before = "[" if self._is_empty else ",\n "
        _write(f"{before}{json.dumps(row)}", status=self._status)
        self._is_empty = False

    def end(self) -> None:
        """Print the end of the array."""
        _write("[]\n" if self._is_empty else "]\n", status=self._status)


def table(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table with columns as wide as their contents."""
    cells = [titles, *([printable(cell) for cell in row] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for row in cells:
        padded = (f"{cell:{width}}" for cell, width in zip(row, widths, strict=True))
        line("  ".join(padded).rstrip())


def printable(text: str) -> str:
    """Return the text, as a JSON string if a terminal could interpret some of its characters."""
    return text if text.isprintable() else json.dumps(text)


def rfc3339(at: float) -> str:
    """Return Unix seconds as a time in UTC, such as 2027-02-20T10:00:00Z."""
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%dT%H:%M:%SZ}"


def utc_minute(at: float) -> str:
    """Return Unix seconds as a time in UTC for a table, such as 2027-02-20 10:00."""
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M}"


def _write(text: str, *, status: int = 0, err: bool = False) -> None:
    try:
        click.echo(text, nl=False, err=err)
    except BrokenPipeError:
        _exit_quietly(status)


def _exit_quietly(status: int) -> NoReturn:
    # The interpreter flushes both streams at its end, and would report the closed pipe then.
    null = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        os.dup2(null, stream.fileno())
    raise click.exceptions.Exit(status)
