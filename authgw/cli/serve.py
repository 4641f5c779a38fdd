"""`authgw serve`: run a replica."""

import asyncio
from collections.abc import Callable

import click

from authgw import app
from authgw.cli.errors import report_errors
from authgw.cli.options import examples
from authgw.config.loader import LoadedConfig
from authgw.observability import logging


@click.command(epilog=examples("authgw serve", "authgw --config /etc/authgw/config.yml serve"))
@click.pass_obj
@report_errors
def command(read: Callable[[], LoadedConfig]) -> None:
    """Run a replica of the gateway.

    The log goes to stderr. SIGHUP reads the rules, users, clients and keys again; SIGTERM ends the
    replica after it has answered its requests.
    """
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
