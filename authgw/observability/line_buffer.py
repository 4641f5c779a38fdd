"""Log lines that are written together, once in a turn of the event loop."""

import asyncio
import threading
from contextlib import suppress
from typing import TextIO

from authgw.core.limits import MAX_LOG_WRITE_LENGTH


class LineBuffer:
    """Lines for a stream, written in the order in which any thread added them.

    A line without an event loop around it is written immediately. What the stream refuses is lost:
    no request fails because of a full disk or a closed pipe.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._lines: list[str] = []
        self._length = 0
        self._loop: asyncio.AbstractEventLoop | None = None  # the loop that will call `flush`
        # Reentrant: the garbage collector may cause a warning, and so a line, at any moment.
        self._lock = threading.RLock()

    def add(self, line: str) -> None:
        """Write a line after this turn of the event loop, or before if the buffer is full."""
        with self._lock:
            if self._length + len(line) >= MAX_LOG_WRITE_LENGTH:
                self._write()
            self._lines.append(line)
            self._length += len(line) + 1
            if not self._is_scheduled():
                self._write()

    def write(self, line: str) -> None:
        """Write a line now, after all that were added before it."""
        with self._lock:
            self._lines.append(line)
            self._write()

    def flush(self) -> None:
        """Write all lines that were added."""
        with self._lock:
            self._loop = None
            if self._lines:
                self._write()

    def _is_scheduled(self) -> bool:
        """Let the running event loop call `flush`; return False without a loop."""
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return False
        if loop is not self._loop:
            self._loop = loop
            loop.call_soon(self.flush)
        return True

    def _write(self) -> None:
        lines = [*self._lines, ""]
        # Before the write, which may fail or add a line.
        self._lines.clear()
        self._length = 0
        # A closed stream raises a ValueError.
        with suppress(OSError, ValueError):
            self._stream.write("\n".join(lines))
            self._stream.flush()
