"""Messages of a subscription on a link: when they are passed on, and which replies are refused."""

import asyncio
from collections.abc import Callable

import pytest

from authgw.storage.redis.errors import ConnectionError
from authgw.storage.redis.link import Address, Login, RedisLink
from authgw.storage.redis.replies import Request, UnexpectedReplyError, is_subscribed
from tests.support.scripted_redis import ScriptedServer, bulk, until

SUBSCRIBED = b">3\r\n" + bulk(b"subscribe") + bulk(b"ended") + b":1\r\n"
SUBSCRIBE = Request(("SUBSCRIBE", "ended"), is_subscribed)


def message(text: bytes) -> bytes:
    return b">3\r\n" + bulk(b"message") + bulk(b"ended") + bulk(text)


def linked(server: ScriptedServer, on_message: Callable[[bytes], None] | None) -> RedisLink:
    async def find() -> Address:
        return "127.0.0.1", server.port

    return RedisLink(find, Login(), on_message)


async def subscribe(link: RedisLink) -> None:
    await link.send([SUBSCRIBE], asyncio.get_running_loop().time() + 5)


async def test_messages_are_passed_on_while_their_bytes_are_read(server: ScriptedServer) -> None:
    server.replies[b"SUBSCRIBE"] = SUBSCRIBED
    received: list[bytes] = []
    link = linked(server, received.append)
    await subscribe(link)
    link.data_received(message(b"a") + message(b"b")[:-3])
    assert received == [b"a"]
    link.data_received(message(b"b")[-3:])
    assert received == [b"a", b"b"]
    await link.send([], asyncio.get_running_loop().time() + 5)
    assert not link.is_closed
    link.close(ConnectionError("the test has ended"))
    assert link.closed.done()


@pytest.mark.parametrize(
    "pushed",
    [
        b">3\r\n" + bulk(b"message") + bulk(b"ended") + b":1\r\n",
        b">2\r\n" + bulk(b"message") + bulk(b"ended"),
        b">2\r\n" + bulk(b"invalidate") + b"*0\r\n",
        b"*3\r\n" + bulk(b"message") + bulk(b"ended") + bulk(b"a"),
    ],
)
async def test_other_pushed_data_closes_the_link(server: ScriptedServer, pushed: bytes) -> None:
    server.replies[b"SUBSCRIBE"] = SUBSCRIBED
    link = linked(server, lambda text: None)
    await subscribe(link)
    server.links[0].write(pushed)
    await until(lambda: link.closed.done())
    assert isinstance(link._error, UnexpectedReplyError)


@pytest.mark.parametrize(
    "reply", [b"+OK\r\n", SUBSCRIBED.replace(b":1", b":2"), message(b"a")[:-3]]
)
async def test_another_reply_to_subscribe_is_refused(server: ScriptedServer, reply: bytes) -> None:
    server.replies[b"SUBSCRIBE"] = reply
    link = linked(server, lambda text: None)
    with pytest.raises((UnexpectedReplyError, TimeoutError)):
        await link.send([SUBSCRIBE], asyncio.get_running_loop().time() + 0.3)


async def test_a_link_without_a_receiver_refuses_messages(server: ScriptedServer) -> None:
    link = linked(server, None)
    await link.send([], asyncio.get_running_loop().time() + 5)
    server.links[0].write(message(b"a"))
    await until(lambda: link.closed.done())
    assert isinstance(link._error, UnexpectedReplyError)
