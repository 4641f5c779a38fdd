"""With cache.conf NGINX repeats an answer only where everything it rests on is the same."""

import http.server
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from tests.support.nginx import raw, run_nginx
from tests.support.nginx_versions import NGINXES
from tests.support.processes import free_port, wait_for

SITE = """\
server {
    listen 4000;
    include authgw/protect.conf;
    include authgw/gateway.conf;
    location / {
        include authgw/identity.conf;
        proxy_pass http://authgw/app;
    }
}
"""


@dataclass
class CountedProxy:
    port: int
    questions: list[int] = field(default_factory=list)

    def send(self, line: str, *headers: str) -> int:
        """Send a request; return how many questions the gateway got for it."""
        before = len(self.questions)
        lines = [line, *headers, "Connection: close", "", ""]
        raw(self.port, "\r\n".join(lines).encode("latin-1"))
        return len(self.questions) - before


@pytest.fixture(scope="module", params=NGINXES)
def asked(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[CountedProxy]:
    seen: list[int] = []

    class CountingGateway(http.server.BaseHTTPRequestHandler):
        def handle_one_request(self) -> None:
            self.close_connection = True
            self.raw_requestline = self.rfile.readline(65537)
            if not self.raw_requestline or not self.parse_request():
                return
            if self.path == "/authenticate":
                seen.append(1)
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), CountingGateway)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    process, port = run_nginx(
        tmp_path_factory.mktemp("kept"),
        gateway=server.server_address[1],
        sample=free_port(),
        program=NGINXES[request.param](),
        site=SITE,
        front="    include authgw/cache.conf;\n",
    )
    try:
        wait_for(port, "/ping")
        # What the NGINX before kept in the same folder has expired then.
        time.sleep(1.1)
        yield CountedProxy(port, seen)
    finally:
        process.terminate()
        process.wait(10)
        server.shutdown()


def test_an_answer_is_kept(asked: CountedProxy) -> None:
    def thrice(number: int) -> list[int]:
        same = (f"GET /kept/{number} HTTP/1.1", "Host: app.test", "Cookie: authgw=x")
        return [asked.send(*same) for _ in range(3)]

    # A busy machine may take longer than the second for which it is kept.
    assert any(thrice(number) == [1, 0, 0] for number in range(5))


@pytest.mark.parametrize(
    ("line", "headers"),
    [
        ("GET /other HTTP/1.1", ()),
        ("GET /x?a=b HTTP/1.1", ()),
        ("GET /%78 HTTP/1.1", ()),
        ("POST /x HTTP/1.1", ()),
        ("HEAD /x HTTP/1.1", ()),
        ("GET /x HTTP/1.1", ("Host: other.test",)),
        ("GET /x HTTP/1.1", ("Host: app.test:8443",)),
        ("GET http://app.test/x HTTP/1.1", ("Host: evil.test",)),
        ("GET /x HTTP/1.1", ("Authorization: Bearer y",)),
        ("GET /x HTTP/1.1", ("Cookie: authgw=other",)),
        ("GET /x HTTP/1.1", ("Cookie: authgw=x", "Cookie: authgw=y")),
        ("GET /x HTTP/1.1", ("Origin: https://a.test",)),
        ("OPTIONS /x HTTP/1.1", ("Access-Control-Request-Method: PUT", "Origin: https://a.test")),
        ("MOVE /x HTTP/1.1", ("Destination: http://app.test/y",)),
        ("GET /x HTTP/1.1", ("X-HTTP-Method-Override: DELETE",)),
        ("GET /x HTTP/1.1", ("X-HTTP-Method: DELETE",)),
        ("GET /x HTTP/1.1", ("X-Method-Override: DELETE",)),
        ("GET /x HTTP/1.1", ("Remote-User: admin",)),
        ("GET /x HTTP/1.1", ("Remote-Groups: 0",)),
    ],
)
def test_what_matters_is_asked_about(
    asked: CountedProxy, line: str, headers: tuple[str, ...]
) -> None:
    host = () if any(one.startswith("Host:") for one in headers) else ("Host: app.test",)
    known = () if any(one.startswith("Cookie:") for one in headers) else ("Cookie: authgw=x",)
    asked.send("GET /x HTTP/1.1", "Host: app.test", "Cookie: authgw=x")
    assert asked.send(line, *host, *known, *headers) == 1


@pytest.mark.parametrize(
    ("name", "first", "second"),
    [
        ("Destination", "http://app.test/mine", "http://app.test/theirs"),
        ("X-HTTP-Method-Override", "GET", "DELETE"),
        ("X-HTTP-Method", "GET", "DELETE"),
        ("X-Method-Override", "GET", "DELETE"),
    ],
)
def test_a_second_line_hides_behind_no_first(
    asked: CountedProxy, name: str, first: str, second: str
) -> None:
    line = (f"MOVE /{name} HTTP/1.1", "Host: app.test", f"{name}: {first}")
    asked.send(*line)
    assert asked.send(*line, f"{name}: {second}") == 1


def test_a_second_authorization_hides_behind_no_first(asked: CountedProxy) -> None:
    line = ("GET /twice HTTP/1.1", "Host: app.test", "Authorization: Bearer a")
    asked.send(*line)
    both = "\r\n".join([*line, "Authorization: Bearer b", "Connection: close", "", ""]).encode()
    before = len(asked.questions)
    refused = raw(asked.port, both).split(b" ")[1] == b"400"
    assert refused or len(asked.questions) == before + 1
