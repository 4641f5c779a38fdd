"""JSON requests have the same response with and without aiohttp, which serves late bodies."""

import asyncio
import json
import re

import pytest

from authgw.forward_auth.response_bytes import Response
from authgw.server import api_door
from authgw.server.http_reader import RequestHead
from tests.support.gateway import RunningGateway
from tests.support.raw_http import connected

# Tokens, ids, times and lengths of time differ each time.
_CHANGING = re.compile(rb'[\w-]{20,}(\.[\w-]+)*|(?<=_in": )\d+|[0-9a-f]{16}|(?<=Date: )[^\r]*')
_BODIES = (
    *(b"", b"{}", b"[]", b"{", b'{"user_id": 7}', b'{"user_id": 7, "groups": ["a"]}'),
    *(b'{"user_id": 0}', b'{"all": 1}', b'{"refresh": "none"}', b'{"subject": "a"}'),
    *(b'{"username": "a", "password": "b"}', b'{"user_id": 7, "user_id": 8}', b"\xff"),
)


async def sent(gateway: RunningGateway, head: bytes, body: bytes, *, late: bool) -> list[bytes]:
    """Return the lines of the response, without the parts that differ each time."""
    length = b"Content-Length: %d\r\n\r\n" % len(body)
    async with connected(gateway) as (reader, writer):
        writer.write(head + length + (b"" if late else body))
        if late:
            await asyncio.sleep(0.01)
            writer.write(body)
        answer = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)
        found = re.search(rb"Content-Length: (\d+)", answer)
        assert found
        answer += await reader.readexactly(int(found[1]))
    return sorted(_CHANGING.sub(b"", answer).split(b"\r\n"))


@pytest.mark.parametrize("body", _BODIES)
@pytest.mark.parametrize("path", ["/login", "/refresh", "/logout", "/revoke"])
async def test_a_late_body_changes_no_response(
    quick: RunningGateway, path: str, body: bytes
) -> None:
    basic = b"Authorization: " + quick.shop["Authorization"].encode() + b"\r\n"
    access = (await quick.login(1))["access"].encode()
    bearer = b"Authorization: Bearer " + access + b"\r\n"
    json_type = b"Content-Type: application/json\r\n"
    for fields in (b"", basic, json_type, basic + json_type, bearer, b"Authorization: x \r\n"):
        head = b"POST %s HTTP/1.1\r\nHost: x\r\n%s" % (path.encode(), fields)
        # An empty body is never late: this header passes the request to aiohttp.
        late_head = head if body else head + b"Cookie: a=b\r\n"
        assert await sent(quick, head, body, late=False) == await sent(
            quick, late_head, body, late=True
        )


async def test_pipelined_requests_are_served_without_aiohttp(
    quick: RunningGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    pair = await quick.login(1)
    served: list[bytes] = []
    respond = api_door.ApiDoor.respond

    async def count(
        door: api_door.ApiDoor, head: RequestHead, content: bytes, peer: str
    ) -> Response:
        served.append(head.target)
        return await respond(door, head, content, peer)

    monkeypatch.setattr(api_door.ApiDoor, "respond", count)
    body = json.dumps({"refresh": pair["refresh"]}).encode()
    head = b"POST /refresh HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body)
    bearer = f"Authorization: Bearer {pair['access']}\r\nConnection: close\r\n\r\n".encode()
    async with connected(quick) as (reader, writer):
        writer.write((head + body) * 3 + b"POST /logout HTTP/1.1\r\nHost: x\r\n" + bearer)
        answer = await asyncio.wait_for(reader.read(), 5)
    assert re.findall(rb"HTTP/1.1 (\d+)", answer) == [b"200"] * 4
    assert (answer.count(b"Connection: close"), len(served)) == (1, 4)


async def test_an_unexpected_error_has_a_response_and_an_event(
    quick: RunningGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(_: object) -> None:
        raise RuntimeError

    monkeypatch.setitem(api_door._ENDPOINTS, b"/refresh", fail)
    head = b"POST /refresh HTTP/1.1\r\nHost: x\r\n"
    lines = await sent(quick, head, b"{}", late=False)
    assert b"HTTP/1.1 500 Internal Server Error" in lines
    assert b"X-Authgw-Reason: internal_error" in lines
