"""`authgw serve`: one replica."""

import asyncio
from collections.abc import Callable

import click

from authgw import app
from authgw.cli.errors import plainly
from authgw.config.loader import LoadedConfig
from authgw.observability import logging


@click.command()
@click.pass_obj
@plainly
def command(read: Callable[[], LoadedConfig]) -> None:
    """Run one replica of the gateway."""
    loaded = read()
    logging.set_up(loaded.settings.logging.mode, loaded.settings.logging.level)
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(app.serve(read, loaded))


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    try:
        import uvloop
    except ImportError:
        # It is built for some platforms only, and nothing but speed rests on it.
        return asyncio.new_event_loop
    return uvloop.new_event_loop
