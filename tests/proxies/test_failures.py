"""A gateway that hangs, is away or answers garbage opens nothing, behind each proxy."""

import signal
import socketserver
import threading

import pytest

from tests.support.proxies import BROWSER, Proxied, lower, running

GARBAGE = [
    b"",
    b"\x00\xff\x01garbage\r\n\r\n",
    b"HTTP/1.1 200\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Le",
    b"HTTP/1.1 999 Odd\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 429 No\r\nContent-Length: 0\r\n\r\n",
]


def test_a_failing_gateway_allows_nothing(
    proxied: Proxied, tmp_path_factory: pytest.TempPathFactory
) -> None:
    for own in running(proxied.name, tmp_path_factory.mktemp("failing")):
        token = own.login()
        assert own.send("/", token=token).status == 200
        process = own.gateway.process
        assert process is not None
        process.send_signal(signal.SIGSTOP)
        # Traefik has no setting for the timeout and waits for 30 s; the others have responded.
        hung = own.send("/", token=token, patience=3 if own.name == "traefik" else 12)
        assert hung.status in ((0,) if own.name == "traefik" else (403, 500, 502, 503, 504))
        process.send_signal(signal.SIGKILL)
        process.wait(10)
        _says_that_nobody_can_say(own, token)
        for response_headers in GARBAGE:
            with _Liar(own.gateway.port, response_headers):
                status = own.send("/", token=token).status
                assert not 200 <= status < 300, response_headers
        own.gateway.start()
        own.gateway.wait_until_ready()
        _does_not_blame_the_gateway(own)


def _says_that_nobody_can_say(own: Proxied, token: str) -> None:
    program, browser = own.send("/", token=token), own.send("/", *BROWSER, token=token)
    if own.name == "traefik":
        # Traefik cannot show a page of its own.
        assert [(one.status, one.body) for one in (program, browser)] == [(500, b"")] * 2
        return
    for one in (program, browser):
        assert one.status == 503
        assert (lower(one)["retry-after"], lower(one)["cache-control"]) == ("1", "no-store")
    assert lower(program)["content-type"].startswith("text/plain")
    assert program.body.startswith(b"503 the gateway cannot answer now")
    assert lower(browser)["content-type"].startswith("text/html")
    assert b"<h1>Not available right now</h1>" in browser.body


def _does_not_blame_the_gateway(own: Proxied) -> None:
    own.app.kill()
    answer = own.send("/", *BROWSER, ("Cookie", own.browser()))
    assert answer.status in (502, 503)
    assert b"Not available right now" not in answer.body


class _Liar:
    """A server on the gateway's port that sends the same bytes on every connection."""

    def __init__(self, port: int, response_headers: bytes) -> None:
        class Answering(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                self.request.settimeout(5)
                self.request.recv(65536)
                self.request.sendall(response_headers)

        class OneReplyServer(socketserver.ThreadingTCPServer):
            allow_reuse_address = True
            daemon_threads = True

        self._server = OneReplyServer(("127.0.0.1", port), Answering)

    def __enter__(self) -> None:
        # Closing the server takes up to this interval.
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
