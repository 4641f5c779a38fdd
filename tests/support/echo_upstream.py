"""A protected app for tests: it returns each request exactly as received."""

import sys

from aiohttp import web


async def echo(request: web.Request) -> web.StreamResponse:
    if request.headers.get("Upgrade") == "websocket":
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        async for message in socket:
            await socket.send_str(f"echo {message.data}")
        return socket
    headers = [[name.decode(), value.decode("latin-1")] for name, value in request.raw_headers]
    size = len(await request.read())
    return web.json_response(
        {"method": request.method, "path": request.raw_path, "headers": headers, "bytes": size}
    )


app = web.Application(client_max_size=0)
app.router.add_route("*", "/{path:.*}", echo)
LIMIT = 65536
web.run_app(
    app,
    host="127.0.0.1",
    port=int(sys.argv[1]),
    print=None,
    access_log=None,
    max_line_size=LIMIT,
    max_field_size=LIMIT,
)
