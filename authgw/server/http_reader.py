"""Incremental parser: detects complete requests and collects their headers.

aiohttp reads the same bytes and creates all refusals. This parser only detects that a request
arrived alone and complete, so that a cached response can be written without aiohttp.
"""

import httptools

from authgw.core.limits import MAX_HEADERS


class UnreadableRequestError(Exception):
    """Raised when the bytes are not an HTTP/1 request, or begin another protocol."""


class HeadReader:
    """Parser of the requests on a connection; `ended` is the number of complete requests."""

    __slots__ = ("_begun", "_names", "_parser", "_values", "ended")

    def __init__(self) -> None:
        self._parser = httptools.HttpRequestParser(self)
        self._begun = self.ended = 0
        self._names: list[bytes] = []
        self._values: list[bytes] = []

    def read(self, data: bytes) -> bool:
        """Parse `data`; return True if it is exactly one request, from its first byte to its last.

        Raises:
            UnreadableRequestError: neither this nor any later request can be parsed.
        """
        ended = self.ended
        between = self._begun == ended
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            raise UnreadableRequestError from None
        if len(self._names) > MAX_HEADERS:
            raise UnreadableRequestError
        return between and self._begun == self.ended == ended + 1

    def taken(self) -> tuple[list[bytes], list[bytes]]:
        """Return the names and values of the last request's headers, and release them.

        An idle connection should use little memory.
        """
        taken = self._names, self._values
        self._names, self._values = [], []
        return taken

    def on_message_begin(self) -> None:
        """Called by the parser."""
        self._begun += 1
        self._names, self._values = [], []

    def on_header(self, name: bytes, value: bytes) -> None:
        """Called by the parser, also for trailers of a chunked body."""
        self._names.append(name)
        self._values.append(value)

    def on_message_complete(self) -> None:
        """Called by the parser."""
        self.ended += 1
