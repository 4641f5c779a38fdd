"""The port of metrics: prometheus_client's server, which names no version and repeats no input."""

import contextlib
from collections.abc import Callable, Iterable
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler

from prometheus_client import disable_created_metrics, make_wsgi_app, start_http_server

from authgw.web.prepared_response import SERVER

_REQUEST_TIMEOUT = 5.0  # seconds


class _Requests(WSGIRequestHandler):
    """Reads one request of a connection, which has a thread of its own."""

    timeout = _REQUEST_TIMEOUT

    def handle(self) -> None:
        # A client that left or sent nothing in time is not worth a traceback.
        with contextlib.suppress(OSError):
            super().handle()

    def version_string(self) -> str:
        return SERVER

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Refuse in the words of the status alone: `message` may repeat the request line."""
        # Of a line that it could not read it keeps HTTP/0.9, whose answers have no head.
        self.request_version = "HTTP/1.0"
        super().send_error(code)

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing."""


def expose(host: str, port: int) -> None:
    """Answer `/metrics` at this address, on a thread of its own.

    Raises:
        OSError: the port is taken, or is not ours.
    """
    # The time at which each series began is of use to no rule of ours.
    disable_created_metrics()  # type: ignore[no-untyped-call]  # it has no annotations
    server, _ = start_http_server(port, host)
    server.set_app(_named(make_wsgi_app()))
    server.RequestHandlerClass = _Requests


def _named(app: Callable[..., Any]) -> Callable[..., Iterable[bytes]]:
    """The same application, which says who answers: wsgiref would name itself and Python."""

    def named(environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        def started(status: str, headers: list[tuple[str, str]], *more: Any) -> Any:
            return start(status, [*headers, ("Server", SERVER)], *more)

        answer: Iterable[bytes] = app(environ, started)
        return answer

    return named
