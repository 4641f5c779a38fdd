"""`authgw sample-upstream`: a sample protected app, which shows the identity headers."""

import os
from html import escape

import click
from aiohttp import web

from authgw.cli.options import examples
from authgw.config.schema import HeaderSettings
from authgw.core.limits import MAX_HEADER_LINE_BYTES

_PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Protected page</title>
<style>
:root {{ color-scheme: light dark }}
body {{ font: 1rem/1.5 system-ui, sans-serif }}
body {{ max-width: 34rem; margin: 4rem auto; padding: 0 1rem }}
dt {{ font-weight: 600 }} dd {{ margin: 0 0 .5rem; overflow-wrap: anywhere }}
button {{ font: inherit; padding: .4rem 1rem }}
</style>
<main>
<h1>Protected page</h1>
<p>This app has no login of its own. The gateway sent these identity headers:</p>
<dl>{rows}</dl>
<form method="post" action="/logout"><button>Log out</button></form>
</main>
</html>
"""


@click.command(epilog=examples("authgw sample-upstream --port 8081"))
@click.option("--port", default=8081, show_default=True, help="The port to listen on.")
def command(port: int) -> None:
    """Run a sample app that shows its identity headers.

    Protect it with the gateway to try out a proxy configuration. It listens on 127.0.0.1, or on
    the address in AUTHGW_SERVER__HOST.
    """
    host = os.environ.get("AUTHGW_SERVER__HOST", "127.0.0.1")
    web.run_app(
        application(),
        host=host,
        port=port,
        print=None,
        access_log=None,
        max_field_size=MAX_HEADER_LINE_BYTES,
        max_line_size=MAX_HEADER_LINE_BYTES,
    )


def application() -> web.Application:
    """Return an app with the same response for all paths and methods; bodies may have any size."""
    app = web.Application(client_max_size=0)
    app.router.add_route("*", "/{path:.*}", _show)
    return app


async def _show(request: web.Request) -> web.Response:
    identity = {
        claim: request.headers.get(header, "")
        for claim, header in HeaderSettings().identity.by_claim.items()
    }
    shown = {**identity, "method": request.method, "path": request.path_qs}
    # A cache must not return a user's page after the logout.
    headers = {"Cache-Control": "no-store"}
    if "text/html" in request.headers.get("Accept", ""):
        rows = "".join(
            f"<dt>{name}</dt><dd>{escape(value) or '(none)'}</dd>" for name, value in shown.items()
        )
        text = _PAGE.format(rows=rows)
        return web.Response(text=text, content_type="text/html", headers=headers)
    received = len(await request.read())
    return web.json_response({**shown, "bytes": received}, headers=headers)
