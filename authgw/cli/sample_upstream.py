"""`authgw sample-upstream`: an app to try a gateway with."""

import os

import click
from aiohttp import web

from authgw import app, sample_upstream


@click.command()
@click.option("--port", default=8081, show_default=True)
def command(port: int) -> None:
    """Run an app to protect, which shows who it was told you are."""
    host = os.environ.get("AUTHGW_SERVER__HOST", "127.0.0.1")
    web.run_app(
        sample_upstream.application(),
        host=host,
        port=port,
        print=None,
        access_log=None,
        max_field_size=app.LINE_BYTES,
        max_line_size=app.LINE_BYTES,
    )
