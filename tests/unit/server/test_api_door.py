"""ApiDoor: which requests it takes from aiohttp."""

from unittest.mock import Mock

import pytest

from authgw.core.limits import MAX_JSON_BYTES
from authgw.server.api_door import ApiDoor
from authgw.server.http_reader import HeadReader


def length(line: str, *fields: str) -> int | None:
    reader = HeadReader()
    assert reader.feed("\r\n".join([line, "Host: a", *fields, "", ""]).encode())
    return ApiDoor(Mock(), Mock()).body_length(reader.take())


@pytest.mark.parametrize("path", ["/login", "/refresh", "/logout", "/revoke"])
def test_posts_of_programs_are_taken(path: str) -> None:
    line = f"POST {path} HTTP/1.1"
    assert length(line) == 0
    assert length(line, "Content-Length: 7") == 7
    for kind in ("", "application/json", "Application/JSON; charset=UTF-8"):
        assert length(line, f"content-type: {kind}", "content-length: 7", "Accept: */*") == 7
    assert length(line, f"Content-Length: {MAX_JSON_BYTES}") == MAX_JSON_BYTES


@pytest.mark.parametrize(
    "line",
    [
        "GET /login HTTP/1.1",
        "PUT /refresh HTTP/1.1",
        "POST /refresh HTTP/1.0",
        "POST /refresh?a=b HTTP/1.1",
        "POST /refresh/ HTTP/1.1",
        "POST http://a/refresh HTTP/1.1",
        "POST /sessions HTTP/1.1",
        "POST /login/totp HTTP/1.1",
    ],
)
def test_other_requests_are_for_the_application(line: str) -> None:
    assert length(line) is None


@pytest.mark.parametrize(
    "field",
    [
        f"Content-Length: {MAX_JSON_BYTES + 1}",
        "Transfer-Encoding: chunked",
        "Content-Encoding: identity",
        "Content-Type: application/x-www-form-urlencoded",
        "Content-Type: text/plain",
        "Expect: 100-continue",
        "Upgrade: h2c",
        "HTTP2-Settings: x",
        "Cookie: a=b",
        "Origin: null",
        "Sec-Fetch-Site: none",
        "Sec-Fetch-Mode: navigate",
        "Accept: application/json, TEXT/HTML;q=0.5",
    ],
)
def test_unusual_requests_are_for_the_application(field: str) -> None:
    assert length("POST /login HTTP/1.1", field) is None
