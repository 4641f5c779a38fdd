"""Incremental parser: detects complete requests and collects their headers.

aiohttp reads the same bytes and creates all refusals. This parser only detects that a request
arrived alone and complete, so that a cached response can be written without aiohttp.
"""

import httptools

from authgw.core.limits import MAX_HEADERS


class UnreadableRequestError(Exception):
    """Raised when the bytes are not an HTTP/1 request, or begin another protocol."""


class HeadReader:
    """Parser of the requests on a connection; `completed` is the number of complete requests."""

    __slots__ = ("_names", "_parser", "_started", "_values", "completed")

    def __init__(self) -> None:
        self._parser = httptools.HttpRequestParser(self)
        self._started = self.completed = 0
        self._names: list[bytes] = []
        self._values: list[bytes] = []

    def read(self, data: bytes) -> bool:
        """Parse `data`; return True if it is exactly one request, from its first byte to its last.

        Raises:
            UnreadableRequestError: neither this nor any later request can be parsed.
        """
        completed = self.completed
        was_complete = self._started == completed
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            raise UnreadableRequestError from None
        if len(self._names) > MAX_HEADERS:
            raise UnreadableRequestError
        return was_complete and self._started == self.completed == completed + 1

    def taken(self) -> tuple[list[bytes], list[bytes]]:
        """Return the names and values of the last request's headers, and release them.

        An idle connection should use little memory.
        """
        taken = self._names, self._values
        self._names, self._values = [], []
        return taken

    def on_message_begin(self) -> None:
        """Called by the parser."""
        self._started += 1
        self._names, self._values = [], []

    def on_header(self, name: bytes, value: bytes) -> None:
        """Called by the parser, also for trailers of a chunked body."""
        self._names.append(name)
        self._values.append(value)

    def on_message_complete(self) -> None:
        """Called by the parser."""
        self.completed += 1
