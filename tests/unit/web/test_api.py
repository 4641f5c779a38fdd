"""The response with a pair of tokens, and bodies that have or have not arrived."""

import asyncio
from unittest.mock import Mock

import pytest
from aiohttp import StreamReader, web
from aiohttp.base_protocol import BaseProtocol
from aiohttp.test_utils import make_mocked_request
from multidict import CIMultiDict

from authgw.core.errors import BodyTooSlowError
from authgw.core.tokens import TokenType
from authgw.services.results import TokenPair
from authgw.web import api, json_body
from tests.support.builders import NOW, a_session, an_issuer


def test_a_pair_is_written_as_by_the_json_module() -> None:
    session, issuer = a_session(), an_issuer()
    access, refresh = (
        issuer.mint(session, kind, now=NOW) for kind in (TokenType.ACCESS, TokenType.REFRESH)
    )
    pair = TokenPair(
        access=access, refresh=refresh, expires_in=900, refresh_expires_in=0, sid=session.sid
    )
    response = api._pair_response(pair)
    fields = {
        "access": access,
        "access_token": access,
        "refresh": refresh,
        "refresh_token": refresh,
        "token_type": "Bearer",
        "expires_in": 900,
        "refresh_expires_in": 0,
        "sid": session.sid,
    }
    expected = web.json_response(fields, headers={"Cache-Control": "no-store"})
    assert (response.body, response.status) == (expected.body, expected.status)
    assert CIMultiDict(response.headers) == expected.headers


def a_request(content: StreamReader) -> web.Request:
    return make_mocked_request("POST", "/login", payload=content)


def a_stream(*received: bytes) -> StreamReader:
    content = StreamReader(Mock(BaseProtocol), 2**16, loop=asyncio.get_running_loop())
    for data in received:
        content.feed_data(data)
    return content


async def test_a_body_that_has_arrived_needs_no_timer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_body, "BODY_TIMEOUT", None)
    monkeypatch.setattr(asyncio, "timeout", None)
    content = a_stream(b"{}", b" ")
    content.feed_eof()
    assert await json_body.read_bytes(a_request(content), 10) == b"{} "


async def test_a_body_that_does_not_arrive_is_too_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_body, "BODY_TIMEOUT", 0.0)
    with pytest.raises(BodyTooSlowError):
        await json_body.read_bytes(a_request(a_stream(b"{")), 10)


async def test_a_body_may_arrive_in_time() -> None:
    content = a_stream(b"{")
    reading = asyncio.create_task(json_body.read_bytes(a_request(content), 10))
    await asyncio.sleep(0)
    content.feed_data(b"}")
    content.feed_eof()
    assert await reading == b"{}"
