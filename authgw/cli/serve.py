"""`authgw serve`: run a replica."""

import asyncio
from collections.abc import Callable

import click

from authgw import app
from authgw.cli.errors import report_errors
from authgw.config.loader import LoadedConfig
from authgw.observability import logging


@click.command()
@click.pass_obj
@report_errors
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
        # uvloop is available for some platforms only and affects nothing but speed.
        return asyncio.new_event_loop
    return uvloop.new_event_loop
