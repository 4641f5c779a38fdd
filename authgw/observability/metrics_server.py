"""The metrics port: prometheus_client's server, without version numbers and reflected input."""

import contextlib
from collections.abc import Callable, Iterable
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler

from prometheus_client import disable_created_metrics, make_wsgi_app, start_http_server

from authgw.forward_auth.response_bytes import SERVER

_REQUEST_TIMEOUT = 5.0  # seconds


class _Requests(WSGIRequestHandler):
    """Handler of a connection's only request; each connection has a thread of its own."""

    timeout = _REQUEST_TIMEOUT

    def handle(self) -> None:
        # No traceback for a client that disconnected or timed out.
        with contextlib.suppress(OSError):
            super().handle()

    def version_string(self) -> str:
        return SERVER

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Send the status with its standard text: `message` may contain the request line."""
        # After an unreadable request line this is HTTP/0.9, whose responses have no headers.
        self.request_version = "HTTP/1.0"
        super().send_error(code)

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing."""


def expose(host: str, port: int) -> None:
    """Serve the metrics at this address, on a thread of its own.

    Raises:
        OSError: the port is in use, or this process may not bind it.
    """
    # No alerting rule of ours uses the creation time of a series.
    disable_created_metrics()  # type: ignore[no-untyped-call]  # it has no annotations
    server, _ = start_http_server(port, host)
    server.set_app(_with_server_header(make_wsgi_app()))
    server.RequestHandlerClass = _Requests


def _with_server_header(app: Callable[..., Any]) -> Callable[..., Iterable[bytes]]:
    """Add a Server header, without which wsgiref would name itself and the version of Python."""

    def wrapper(environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        def start_response(status: str, headers: list[tuple[str, str]], *more: Any) -> Any:
            return start(status, [*headers, ("Server", SERVER)], *more)

        body: Iterable[bytes] = app(environ, start_response)
        return body

    return wrapper
