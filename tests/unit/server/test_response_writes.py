"""Responses of a turn of the event loop are written together, in order, and all of them."""

import asyncio
from typing import cast

import pytest

from authgw.core.limits import MAX_HELD_RESPONSE_BYTES
from authgw.server.response_writes import ResponseWrites


class RecordingLink:
    """A transport that records what is written."""

    def __init__(self) -> None:
        self.written: list[bytes] = []
        self.is_closed = False

    def is_closing(self) -> bool:
        return self.is_closed

    def write(self, data: bytes) -> None:
        assert not self.is_closed
        self.written.append(data)

    @property
    def transport(self) -> asyncio.Transport:
        return cast(asyncio.Transport, self)


@pytest.fixture
async def writes() -> ResponseWrites:
    return ResponseWrites()


async def test_responses_are_written_after_the_turn_in_their_order(writes: ResponseWrites) -> None:
    first, second = RecordingLink(), RecordingLink()
    for link, response in ((first, b"1"), (second, b"2"), (first, b"3")):
        writes.add(link.transport, response)
    assert first.written == second.written == []
    await asyncio.sleep(0)
    assert (first.written, second.written) == ([b"1", b"3"], [b"2"])
    writes.add(second.transport, b"4")
    await asyncio.sleep(0)
    assert second.written == [b"2", b"4"]


async def test_a_flush_writes_all_responses_once(writes: ResponseWrites) -> None:
    link = RecordingLink()
    writes.add(link.transport, b"1")
    writes.flush()
    writes.add(link.transport, b"2")
    assert link.written == [b"1"]
    await asyncio.sleep(0)
    assert link.written == [b"1", b"2"]


async def test_only_so_many_bytes_wait(writes: ResponseWrites) -> None:
    link, half = RecordingLink(), bytes(MAX_HELD_RESPONSE_BYTES // 2)
    writes.add(link.transport, half)
    writes.add(link.transport, half)
    assert link.written == []
    writes.add(link.transport, b"1")
    assert link.written == [half, half, b"1"]
    writes.add(link.transport, half)
    assert len(link.written) == 3


async def test_a_connection_that_was_closed_takes_no_other_response(
    writes: ResponseWrites,
) -> None:
    closed, other = RecordingLink(), RecordingLink()
    writes.add(closed.transport, b"1")
    writes.add(other.transport, b"2")
    closed.is_closed = True
    await asyncio.sleep(0)
    assert (closed.written, other.written) == ([], [b"2"])
