"""A proxy disturbs the replies of a real Redis at each byte: no reply reaches another call."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from authgw.core.errors import StoreUnavailableError
from authgw.core.sessions import Snapshot
from authgw.storage.redis.connect import connect
from authgw.storage.redis.link import COMMUNICATION_ERRORS, Address, Login, RedisLink
from authgw.storage.redis.replies import Request, is_time, is_value
from authgw.storage.redis.store import RedisStore
from tests.support.builders import numbered
from tests.support.faultproxy import (
    NONE,
    Fault,
    FaultProxy,
    altered_replies,
    cut_replies,
    stalled_replies,
)

# As Redis replies to the batch of `calls_of`, except for the values of TIME and PING.
_REPLIES = re.compile(
    rb"(\$\d+\r\n[^\r]*\r\n)(\*2\r\n\$\d+\r\n\d+\r\n\$\d+\r\n\d+\r\n)(\$\d+\r\n[^\r]*\r\n)(\$.*)",
    re.DOTALL,
)
_SIZE = 65  # bytes of these replies
_WITHIN = 0.04  # seconds, for replies that never arrive


@pytest.fixture
async def proxy(redis_url: str) -> AsyncIterator[FaultProxy]:
    with FaultProxy(int(redis_url.rpartition(":")[2].split("/")[0])) as made:
        yield made


async def opened(proxy: FaultProxy) -> RedisLink:
    async def find() -> Address:
        return "127.0.0.1", proxy.port

    link = RedisLink(find, Login())
    await echo(link, "open", 5.0)
    return link


def echo(link: RedisLink, text: str, within: float) -> asyncio.Future[list[Any]]:
    deadline = asyncio.get_running_loop().time() + within
    return link.send([Request(("ECHO", text), is_value)], deadline)


def calls_of(link: RedisLink, within: float) -> list[asyncio.Future[list[Any]]]:
    deadline = asyncio.get_running_loop().time() + within
    first = echo(link, "mine", within)
    cancelled = link.send([Request(("TIME",), is_time)], deadline)
    cancelled.cancel()
    return [first, echo(link, "another's", within)]


async def disturbed(proxy: FaultProxy, fault: Fault, within: float = 5.0) -> list[Any]:
    """Return the replies or errors of the calls, after which another link works again."""
    link = await opened(proxy)
    await asyncio.to_thread(proxy.set, fault)
    results = await asyncio.gather(*calls_of(link, within), return_exceptions=True)
    await asyncio.to_thread(proxy.set, NONE)
    if any(isinstance(result, Exception) for result in results):
        assert link.is_closed
        with pytest.raises(COMMUNICATION_ERRORS):
            echo(link, "again", 5.0)
    link.close(ConnectionError("the test has ended"))
    await opened(proxy)
    return results


def check_failed(results: list[Any]) -> None:
    assert all(isinstance(result, COMMUNICATION_ERRORS) for result in results), results


async def test_the_replies_have_the_expected_size(proxy: FaultProxy) -> None:
    seen: list[bytes] = []

    def note(replies: bytes) -> bytes:
        seen.append(replies)
        return replies

    results = await disturbed(proxy, altered_replies("noted", note))
    assert results == [[b"mine"], [b"another's"]]
    assert _REPLIES.fullmatch(seen[0])
    # The microseconds of TIME have one to six digits.
    assert _SIZE - 5 <= len(b"".join(seen)) <= _SIZE


async def test_replies_that_are_cut_at_any_byte_fail_all_calls(proxy: FaultProxy) -> None:
    for size in range(_SIZE - 5):
        check_failed(await disturbed(proxy, cut_replies(size)))


async def test_replies_that_stall_at_any_byte_fail_all_calls(proxy: FaultProxy) -> None:
    for size in range(_SIZE - 5):
        check_failed(await disturbed(proxy, stalled_replies(size), _WITHIN))


async def test_a_changed_byte_gives_no_call_the_reply_of_another(proxy: FaultProxy) -> None:
    for place in range(_SIZE - 5):
        for other in b"$:*+-%_>7\r":
            fault = altered_replies("a byte", lambda text, p=place, o=other: _changed(text, p, o))  # type: ignore[misc]  # defaults bind the values
            mine, another = await disturbed(proxy, fault, _WITHIN)
            assert isinstance(mine, COMMUNICATION_ERRORS) or b"another's" not in mine
            assert isinstance(another, COMMUNICATION_ERRORS) or b"mine" not in another


def _changed(text: bytes, place: int, other: int) -> bytes:
    return text[:place] + bytes([other]) + text[place + 1 :]


def _rearranged(order: str) -> Callable[[bytes], bytes]:
    def alter(text: bytes) -> bytes:
        found = _REPLIES.fullmatch(text)
        assert found is not None
        return b"".join(found[int(number)] for number in order)

    return alter


# The numbers of the replies of ECHO, TIME, ECHO and PING.
@pytest.mark.parametrize(
    "order",
    [
        "11234", "12234", "12334", "112233",  # doubled
        "2341", "4123", "2134", "1324", "1243", "4321", "3241",  # in another order
        "234", "134", "124",  # lost
        "41234", "31234", "13234",  # of an earlier call
    ],
)  # fmt: skip  # rows of a table
async def test_replies_in_another_order_fail_all_calls(proxy: FaultProxy, order: str) -> None:
    check_failed(await disturbed(proxy, altered_replies(order, _rearranged(order)), _WITHIN))


async def test_a_reply_after_the_last_closes_the_link(proxy: FaultProxy) -> None:
    link = await opened(proxy)
    for order in ("12344", "12341"):
        fault = altered_replies(order, _rearranged(order))
        await asyncio.to_thread(proxy.set, fault)
        results = await asyncio.gather(*calls_of(link, 5.0))
        assert results == [[b"mine"], [b"another's"]]
        assert link.is_closed
        await asyncio.to_thread(proxy.set, NONE)
        link = await opened(proxy)


async def test_exchanged_records_are_found_by_their_session(
    proxy: FaultProxy, redis_url: str
) -> None:
    # Both replies are valid for both commands.
    store = RedisStore(connect(f"redis://127.0.0.1:{proxy.port}/0"), idle=60, session_max=60)
    first, second = numbered(1), numbered(2)
    for session in (first, second):
        await store.add(session, 10)
    await store.read(first.sid)

    def exchanged(text: bytes) -> bytes:
        found = re.fullmatch(rb"(\$\d+\r\n\{.*?\}\r\n)(\$\d+\r\n\{.*?\}\r\n)(.*)", text, re.DOTALL)
        return text if found is None else found[2] + found[1] + found[3]

    await asyncio.to_thread(proxy.set, altered_replies("exchanged", exchanged))
    outcomes = await store.read_many([first.sid, second.sid])
    assert all(isinstance(outcome, StoreUnavailableError) for outcome in outcomes)
    await asyncio.to_thread(proxy.set, NONE)
    outcomes = await store.read_many([first.sid, second.sid])
    assert [seen.session for seen in outcomes if isinstance(seen, Snapshot)] == [first, second]
    await store.close()
