"""The log's buffer: one write in a turn, every line once and in order, no failure for a request."""

import asyncio
import errno
import io
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from itertools import pairwise
from logging import getLogger

import pytest
from loguru import logger

from authgw.core.audit import Event
from authgw.core.limits import MAX_LOG_WRITE_LENGTH
from authgw.observability import logging
from authgw.observability.line_buffer import LineBuffer


class RecordedStream(io.StringIO):
    """A stream that keeps each write apart, and fails while it has an `error`."""

    def __init__(self) -> None:
        super().__init__()
        self.writes: list[str] = []
        self.error: Exception | None = None

    def write(self, text: str) -> int:
        if self.error is not None:
            raise self.error
        self.writes.append(text)
        return len(text)


class YieldingStream(RecordedStream):
    """A stream that lets other threads run before each write."""

    def write(self, text: str) -> int:
        time.sleep(0)
        return super().write(text)


@pytest.fixture
def stream() -> RecordedStream:
    return RecordedStream()


@pytest.fixture(name="log")
def _log(stream: RecordedStream) -> Iterator[RecordedStream]:
    root = getLogger()
    handlers = root.handlers[:]
    logging.set_up("text", "info", stream)
    yield stream
    logger.remove()
    root.handlers[:] = handlers


def test_without_a_loop_a_line_is_written_at_once(stream: RecordedStream) -> None:
    lines = LineBuffer(stream)
    lines.add("a")
    lines.add("b")
    assert stream.writes == ["a\n", "b\n"]


async def test_lines_of_a_turn_share_a_write(stream: RecordedStream) -> None:
    lines = LineBuffer(stream)
    for turn in range(3):
        lines.add(f"a{turn}")
        lines.add(f"b{turn}")
        assert len(stream.writes) == turn
        await asyncio.sleep(0)
    assert stream.writes == ["a0\nb0\n", "a1\nb1\n", "a2\nb2\n"]


async def test_a_write_is_no_longer_than_a_pipe_takes_in_one_piece(stream: RecordedStream) -> None:
    lines, added = LineBuffer(stream), ["x" * (number % 97) for number in range(2000)]
    longest = "y" * 2 * MAX_LOG_WRITE_LENGTH
    for line in (*added, longest, *added):
        lines.add(line)
    lines.flush()
    assert "".join(stream.writes).splitlines() == [*added, longest, *added]
    short = [write for write in stream.writes if longest not in write]
    assert max(map(len, short)) <= MAX_LOG_WRITE_LENGTH
    # A line is not written before it must be.
    assert all(len(a) + len(b) > MAX_LOG_WRITE_LENGTH for a, b in pairwise(short[:-1]))


def test_a_loop_that_ended_too_early_does_not_keep_lines(stream: RecordedStream) -> None:
    lines = LineBuffer(stream)
    loop = asyncio.new_event_loop()
    loop.call_soon(lines.add, "a")
    loop.call_soon(loop.stop)
    loop.run_forever()
    loop.close()
    assert stream.writes == []

    async def later() -> None:
        lines.add("b")
        await asyncio.sleep(0)

    asyncio.run(later())
    assert stream.writes == ["a\nb\n"]


@pytest.mark.parametrize(
    "error",
    [
        BrokenPipeError(),
        BlockingIOError(errno.EAGAIN, "again"),
        OSError(errno.ENOSPC, "full"),
        ValueError("closed file"),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_a_stream_that_fails_fails_nothing_else(
    log: RecordedStream, error: Exception
) -> None:
    log.error = error
    logging.record(Event("login", "lost", ""))
    logging.record(Event("failure", "lost", ""))
    logger.info("lost")
    await asyncio.sleep(0)
    log.error = None
    logging.record(Event("login", "kept", ""))
    await asyncio.sleep(0)
    (written,) = log.writes
    assert "kept" in written
    assert "lost" not in written


async def test_errors_and_other_lines_are_written_at_once_and_in_order(log: RecordedStream) -> None:
    logging.record(Event("login", "1", ""))
    logger.info("2")
    logging.record(Event("login", "3", ""))
    logging.record(Event("failure", "4", ""))
    first, second = log.writes
    login, other = first.splitlines()
    assert login.endswith("=1")
    assert other.endswith("INFO    2")
    assert [line.rpartition("=")[2] for line in second.splitlines()] == ["3", "4"]


async def test_threads_add_lines_while_the_loop_writes() -> None:
    stream, count = YieldingStream(), 2000
    lines, interval = LineBuffer(stream), sys.getswitchinterval()
    sys.setswitchinterval(1e-6)

    def add_many(name: str) -> None:
        for number in range(count):
            lines.add(f"{name} {number}")

    threads = [threading.Thread(target=add_many, args=(name,)) for name in "abc"]
    for thread in threads:
        thread.start()
    for number in range(count):
        lines.add(f"loop {number}")
        if number % 10 == 0:
            await asyncio.sleep(0)
    for thread in threads:
        thread.join()
    sys.setswitchinterval(interval)
    lines.flush()
    written = "".join(stream.writes).splitlines()
    for name in ("a", "b", "c", "loop"):
        own = [line for line in written if line.startswith(f"{name} ")]
        assert own == [f"{name} {number}" for number in range(count)]


def test_a_line_that_a_write_causes_is_written_once(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = RecordedStream()
    lines = LineBuffer(stream)
    write = stream.write

    def warn(text: str) -> int:
        if text == "a\n":
            lines.add("warning")
        return write(text)

    monkeypatch.setattr(stream, "write", warn)
    lines.add("a")
    lines.add("b")
    assert sorted("".join(stream.writes).split()) == ["a", "b", "warning"]


def test_the_last_lines_are_written_at_the_end_of_the_process() -> None:
    program = """
import asyncio
from authgw.core.audit import Event
from authgw.observability import logging

logging.set_up("text", "info")
loop = asyncio.new_event_loop()
loop.call_soon(logging.record, Event("login", "last", ""))
loop.call_soon(loop.stop)
loop.run_forever()
raise SystemExit(3)
"""
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 3
    assert ended.stderr.endswith("Logged in event=login http.request.id=last\n")
    assert ended.stderr.count("\n") == 1
