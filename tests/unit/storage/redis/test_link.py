"""A pipelined connection: order, deadlines, cancelled calls and replies that cannot be right."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import uvloop

from authgw.core.limits import MAX_WAITING_COMMANDS
from authgw.storage.redis.errors import (
    AuthenticationError,
    BusyLoadingError,
    ConnectionError,
    NoPermissionError,
    ReadOnlyError,
    ResponseError,
)
from authgw.storage.redis.link import (
    COMMUNICATION_ERRORS,
    Address,
    Login,
    RedisLink,
    StoreBusyError,
)
from authgw.storage.redis.replies import Request, UnexpectedReplyError, is_integer, is_value
from tests.support.scripted_redis import ScriptedServer, bulk, scripted_server, until


def linked(server: ScriptedServer, login: Login | None = None) -> RedisLink:
    async def find() -> Address:
        return "127.0.0.1", server.port

    return RedisLink(find, login or Login())


def sent(link: RedisLink, *texts: str, within: float = 5.0) -> asyncio.Future[list[Any]]:
    """Send an ECHO of each text together."""
    requests = [Request(("ECHO", text), is_value) for text in texts]
    return link.send(requests, asyncio.get_running_loop().time() + within)


async def settled(*calls: asyncio.Future[list[Any]]) -> list[Any]:
    results: list[Any] = await asyncio.gather(*calls, return_exceptions=True)
    return results


@pytest.fixture
async def link(server: ScriptedServer) -> AsyncIterator[RedisLink]:
    link = linked(server)
    await sent(link, "open")
    server.received.clear()
    yield link
    link.close(ConnectionError("the test has ended"))


async def test_calls_of_a_turn_are_sent_together_and_have_their_own_replies(
    server: ScriptedServer, link: RedisLink
) -> None:
    assert await settled(sent(link, "a", "b"), sent(link, "c")) == [[b"a", b"b"], [b"c"]]
    assert await sent(link, "d") == [b"d"]
    names = [[b" ".join(words) for words in together] for together in server.received]
    assert names == [[b"ECHO a", b"ECHO b", b"ECHO c", b"PING 1"], [b"ECHO d", b"PING 2"]]
    assert len(server.links) == 1


async def test_a_cancelled_call_keeps_its_place(server: ScriptedServer, link: RedisLink) -> None:
    first, cancelled, last = (sent(link, text) for text in "abc")
    cancelled.cancel()
    assert await settled(first, last) == [[b"a"], [b"c"]]
    cancelled = sent(link, "d")
    await until(lambda: server.count(b"ECHO") == 4)
    cancelled.cancel()
    assert await sent(link, "e") == [b"e"]
    assert len(server.links) == 1


async def test_a_link_logs_in_before_the_first_command(server: ScriptedServer) -> None:
    link = linked(server, Login("ann", "secret", 3))
    await sent(link, "a")
    first, second = server.received
    assert first == [[b"HELLO", b"3", b"AUTH", b"ann", b"secret"], [b"SELECT", b"3"]]
    assert second[0] == [b"ECHO", b"a"]
    link.close(ConnectionError())
    assert "secret" not in repr(Login("ann", "secret"))


@pytest.mark.parametrize(
    ("login", "words"),
    [
        (Login(), ("HELLO", 3)),
        (Login(None, "secret"), ("HELLO", 3, "AUTH", "default", "secret")),
        (Login("ann", None), ("HELLO", 3, "AUTH", "ann", "")),
    ],
)
def test_a_login_has_the_given_parts(login: Login, words: tuple[str | int, ...]) -> None:
    assert [request.words for request in login.requests()] == [words]


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (b"-WRONGPASS invalid username-password pair\r\n", AuthenticationError),
        (b"-NOPERM no permissions\r\n", NoPermissionError),
        (b"-LOADING Redis is loading\r\n", BusyLoadingError),
        (b"-ERR unknown command\r\n", ResponseError),
        (b"%1\r\n$5\r\nproto\r\n:2\r\n", UnexpectedReplyError),
        (b"+OK\r\n", UnexpectedReplyError),
    ],
)
async def test_a_refused_login_fails_all_calls_and_sends_none(
    server: ScriptedServer, reply: bytes, kind: type[Exception]
) -> None:
    server.replies[b"HELLO"] = reply
    link = linked(server)
    assert [type(error) for error in await settled(sent(link, "a"), sent(link, "b"))] == [kind] * 2
    assert link.is_closed
    assert server.count(b"ECHO") == 0
    with pytest.raises(kind):
        sent(link, "c")


async def test_a_server_that_cannot_be_reached_fails_all_calls() -> None:
    async def find() -> Address:
        return "no such host \u2603..", 1

    link = RedisLink(find, Login())
    errors = await settled(sent(link, "a"), sent(link, "b"))
    assert [type(error) for error in errors] == [ConnectionError] * 2


async def test_a_late_reply_fails_all_calls(server: ScriptedServer, link: RedisLink) -> None:
    server.replies[b"ECHO"] = None
    calls = sent(link, "a", within=99), sent(link, "b", within=0.05), sent(link, "c", within=99)
    calls[0].cancel()
    async with asyncio.timeout(3):
        errors = await settled(*calls[1:])
    assert [type(error) for error in errors] == [TimeoutError] * 2
    assert link.is_closed
    await until(lambda: server.links[0].transport.is_closing())


@pytest.mark.parametrize("silent", [b"HELLO", b"PING"])
async def test_the_time_to_log_in_and_to_end_a_batch_is_part_of_the_deadline(
    server: ScriptedServer, silent: bytes
) -> None:
    server.replies[silent] = None
    link = linked(server)
    with pytest.raises(TimeoutError):
        await sent(link, "a", within=0.05)
    assert link.is_closed


async def test_a_deadline_in_time_leaves_the_link_open(
    server: ScriptedServer, link: RedisLink
) -> None:
    for _ in range(3):
        assert await sent(link, "a", within=0.03) == [b"a"]
        await asyncio.sleep(0.05)
    assert not link.is_closed


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run])
def test_replies_that_arrived_in_a_busy_loop_are_in_time(run: Callable[..., None]) -> None:
    async def scene() -> None:
        async with scripted_server() as server:
            link = linked(server)
            await sent(link, "open")
            call = sent(link, "a", within=0.02)
            await until(lambda: server.count(b"ECHO") == 2)
            # The reply is in the socket while nothing reads it.
            loop = asyncio.get_running_loop()
            ended = loop.time() + 0.04
            while loop.time() < ended:
                pass
            assert await call == [b"a"]
            link.close(ConnectionError("the test has ended"))

    run(scene())


# Instead of the reply to the second of three calls.
WRONG = {
    "another type": b":1\r\n",
    "a list": b"*0\r\n",
    "an error within": b"*1\r\n-ERR x\r\n",
    "a push": b">2\r\n+message\r\n+x\r\n",
    "no RESP": b"HTTP/1.1 400\r\n\r\n",
    "too deep": b"*1\r\n" * 200 + b":1\r\n",
    "odd MOVED": b"-MOVED\r\n",
    "unhashable": b"%1\r\n*0\r\n:1\r\n",
    "doubled": bulk(b"b") * 2,
    "none": b"",
}


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG.keys())
async def test_a_wrong_reply_fails_all_calls(
    server: ScriptedServer, link: RedisLink, wrong: bytes
) -> None:
    server.replies[b"ECHO"] = lambda words: wrong if words[1] == b"b" else bulk(words[1])
    calls = [sent(link, text, within=0.5) for text in "abc"]
    errors = await settled(*calls)
    assert all(isinstance(error, COMMUNICATION_ERRORS) for error in errors), errors
    assert link.is_closed
    with pytest.raises(COMMUNICATION_ERRORS):
        sent(link, "d")


async def test_a_wrong_reply_names_its_command_alone(
    server: ScriptedServer, link: RedisLink
) -> None:
    server.replies[b"ECHO"] = b":1\r\n"
    with pytest.raises(UnexpectedReplyError, match="the reply to ECHO is not that of a Redis"):
        await sent(link, "secret")
    assert "secret" not in str(link._error)


async def test_a_reply_without_a_command_closes_the_link(
    server: ScriptedServer, link: RedisLink
) -> None:
    server.links[0].write(b"+OK\r\n")
    await until(lambda: link.is_closed)


async def test_a_refusal_concerns_its_command_alone(
    server: ScriptedServer, link: RedisLink
) -> None:
    server.replies[b"GET"] = b"-NOPERM no permissions\r\n"
    refused = link.send([Request(("GET", "x"), is_value)], asyncio.get_running_loop().time() + 5)
    (reply,), echoed = await asyncio.gather(refused, sent(link, "a"))
    assert isinstance(reply, NoPermissionError)
    assert echoed == [b"a"]
    # A server that cannot save to disk refuses PING.
    server.replies[b"PING"] = b"-MISCONF Errors writing to disk\r\n"
    assert await sent(link, "b") == [b"b"]
    assert not link.is_closed


async def test_a_server_that_is_loading_fails_all_calls(
    server: ScriptedServer, link: RedisLink
) -> None:
    server.replies[b"ECHO"] = b"-LOADING Redis is loading\r\n"
    errors = await settled(sent(link, "a"), sent(link, "b"))
    assert [type(error) for error in errors] == [BusyLoadingError] * 2


async def test_a_former_master_is_left(server: ScriptedServer, link: RedisLink) -> None:
    server.replies[b"SET"] = b"-READONLY You can't write against a read only replica.\r\n"
    request = Request(("SET", "x", "y"), is_value)
    (reply,) = await link.send([request], asyncio.get_running_loop().time() + 5)
    assert isinstance(reply, ReadOnlyError)
    assert link.is_closed


async def test_a_lost_connection_fails_all_calls(server: ScriptedServer, link: RedisLink) -> None:
    server.replies[b"ECHO"] = None
    calls = sent(link, "a"), sent(link, "b")
    await until(lambda: server.count(b"ECHO") == 2)
    server.reset()
    errors = await settled(*calls)
    assert [type(error) for error in errors] == [ConnectionError] * 2
    assert link.is_closed


async def test_a_link_that_is_closed_while_it_opens_leaves_no_connection(
    server: ScriptedServer,
) -> None:
    server.replies[b"HELLO"] = None
    link = linked(server)
    call = sent(link, "a")
    await until(lambda: server.count(b"HELLO") == 1)
    opening = link._task
    assert opening is not None
    link.close(ConnectionError("the test has ended"))
    link.close(TimeoutError())
    with pytest.raises(ConnectionError):
        await call
    await until(lambda: server.links[0].transport.is_closing())
    with pytest.raises(asyncio.CancelledError):
        await opening


async def test_too_many_waiting_commands_are_refused_at_once(
    server: ScriptedServer, link: RedisLink
) -> None:
    # A call of its own may be larger.
    many = [Request(("INCR", "x"), is_integer)] * MAX_WAITING_COMMANDS
    server.replies[b"INCR"] = b":1\r\n"
    deadline = asyncio.get_running_loop().time() + 20
    whole = link.send([*many, many[0]], deadline)
    with pytest.raises(StoreBusyError):
        sent(link, "a")
    assert len(await whole) == len(many) + 1
    for _ in range(3):
        assert await sent(link, "b") == [b"b"]
    most = link.send(many[1:], deadline)
    last = sent(link, "b")
    with pytest.raises(StoreBusyError):
        sent(link, "c")
    assert [len(replies) for replies in await asyncio.gather(most, last)] == [len(many) - 1, 1]
    assert await sent(link, "d") == [b"d"]
