"""How commands refuse: with a sentence and status 1, never with a traceback."""

import functools
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import click

from authgw.core.errors import Refused, StoreUnavailable

F = TypeVar("F", bound=Callable[..., Any])
_REFUSALS = (Refused, OSError)


def plainly(command: F) -> Callable[..., Any]:
    """Say a refusal as a sentence and end with status 1."""

    @functools.wraps(command)
    def wrapped(*args: Any, **options: Any) -> None:
        try:
            command(*args, **options)
        except _REFUSALS as error:
            raise click.ClickException(str(error)) from None
        except StoreUnavailable as error:
            said = f"the session store cannot be asked now ({error.detail}): see cache.url"
            raise click.ClickException(said) from None

    return wrapped


def refusals(*looks: Callable[[], object]) -> Iterator[str]:
    """What each of these looks is refused for, so that one refusal hides no other."""
    for look in looks:
        try:
            look()
        except _REFUSALS as error:
            yield str(error)
