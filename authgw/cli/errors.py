"""Error reports of commands: a message and status 1, never a traceback."""

import functools
from collections.abc import Callable
from typing import Any, TypeVar

import click

from authgw.core.errors import StoreUnavailableError
from authgw.doctor.findings import REPORTED_ERRORS, error_text

F = TypeVar("F", bound=Callable[..., Any])


def report_errors(command: F) -> Callable[..., Any]:
    """Decorate a command to report an expected error as a message and exit with status 1."""

    @functools.wraps(command)
    def wrapped(*args: Any, **options: Any) -> None:
        try:
            command(*args, **options)
        except REPORTED_ERRORS as error:
            raise click.ClickException(error_text(error)) from None
        except StoreUnavailableError as error:
            message = f"cannot reach the session store ({error.detail}): check cache.url"
            raise click.ClickException(message) from None

    return wrapped
