"""With cache.conf, NGINX reuses a response only if all inputs of the decision are equal."""

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
class CachedSite:
    port: int
    questions: list[int] = field(default_factory=list)

    def send(self, line: str, *headers: str) -> int:
        """Send a request; return the number of checks that the gateway received for it."""
        before = len(self.questions)
        lines = [line, *headers, "Connection: close", "", ""]
        raw(self.port, "\r\n".join(lines).encode("latin-1"))
        return len(self.questions) - before


@pytest.fixture(scope="module", params=NGINXES)
def cached_site(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[CachedSite]:
    checks: list[int] = []

    class CountingGateway(http.server.BaseHTTPRequestHandler):
        def handle_one_request(self) -> None:
            self.close_connection = True
            self.raw_requestline = self.rfile.readline(65537)
            if not self.raw_requestline or not self.parse_request():
                return
            if self.path == "/authenticate":
                checks.append(1)
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
        # Responses that the previous NGINX cached in the same directory have expired by then.
        time.sleep(1.1)
        yield CachedSite(port, checks)
    finally:
        process.terminate()
        process.wait(10)
        server.shutdown()


def test_a_response_is_cached(cached_site: CachedSite) -> None:
    def repeat(number: int) -> list[int]:
        same = (f"GET /kept/{number} HTTP/1.1", "Host: app.test", "Cookie: authgw=x")
        return [cached_site.send(*same) for _ in range(3)]

    # A busy machine may take longer than the second for which a response is cached.
    assert any(repeat(number) == [1, 0, 0] for number in range(5))


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
def test_any_relevant_difference_is_checked_again(
    cached_site: CachedSite, line: str, headers: tuple[str, ...]
) -> None:
    host = () if any(header.startswith("Host:") for header in headers) else ("Host: app.test",)
    cookie = (
        () if any(header.startswith("Cookie:") for header in headers) else ("Cookie: authgw=x",)
    )
    cached_site.send("GET /x HTTP/1.1", "Host: app.test", "Cookie: authgw=x")
    assert cached_site.send(line, *host, *cookie, *headers) == 1


@pytest.mark.parametrize(
    ("name", "first", "second"),
    [
        ("Destination", "http://app.test/mine", "http://app.test/theirs"),
        ("X-HTTP-Method-Override", "GET", "DELETE"),
        ("X-HTTP-Method", "GET", "DELETE"),
        ("X-Method-Override", "GET", "DELETE"),
    ],
)
def test_a_second_header_line_is_part_of_the_cache_key(
    cached_site: CachedSite, name: str, first: str, second: str
) -> None:
    line = (f"MOVE /{name} HTTP/1.1", "Host: app.test", f"{name}: {first}")
    cached_site.send(*line)
    assert cached_site.send(*line, f"{name}: {second}") == 1


def test_a_second_authorization_line_is_part_of_the_cache_key(cached_site: CachedSite) -> None:
    line = ("GET /twice HTTP/1.1", "Host: app.test", "Authorization: Bearer a")
    cached_site.send(*line)
    both = "\r\n".join([*line, "Authorization: Bearer b", "Connection: close", "", ""]).encode()
    before = len(cached_site.questions)
    refused = raw(cached_site.port, both).split(b" ")[1] == b"400"
    assert refused or len(cached_site.questions) == before + 1
