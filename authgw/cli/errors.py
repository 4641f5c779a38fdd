"""How commands refuse: with a sentence and status 1, never with a traceback."""

import functools
from collections.abc import Callable
from typing import Any, TypeVar

import click

from authgw.core.errors import StoreUnavailableError
from authgw.doctor.findings import REPORTED_ERRORS

F = TypeVar("F", bound=Callable[..., Any])


def plainly(command: F) -> Callable[..., Any]:
    """Say a refusal as a sentence and end with status 1."""

    @functools.wraps(command)
    def wrapped(*args: Any, **options: Any) -> None:
        try:
            command(*args, **options)
        except REPORTED_ERRORS as error:
            raise click.ClickException(str(error)) from None
        except StoreUnavailableError as error:
            said = f"the session store cannot be asked now ({error.detail}): see cache.url"
            raise click.ClickException(said) from None

    return wrapped
