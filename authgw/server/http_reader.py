"""Reading along on a connection: where each request ends, and which headers it brings.

aiohttp reads the same bytes and is who refuses and answers. What is read here tells that a request
came alone and whole, so that its answer, if it is known, can be written without asking aiohttp.
"""

import httptools

from authgw.core.limits import MAX_HEADERS


class UnreadableRequestError(Exception):
    """What came is no HTTP/1 request, or the beginning of another protocol."""


class HeadReader:
    """What came on one connection, of which `ended` requests came to their end."""

    __slots__ = ("_begun", "_names", "_parser", "_values", "ended")

    def __init__(self) -> None:
        self._parser = httptools.HttpRequestParser(self)
        self._begun = self.ended = 0
        self._names: list[bytes] = []
        self._values: list[bytes] = []

    def read(self, data: bytes) -> bool:
        """Read on; tell whether this was one request, from its first byte to its last.

        Raises:
            UnreadableRequestError: nothing that follows can be read either.
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
        """Names and values of the last request's headers, as far as they were just read.

        They are not kept: a connection that waits for its next request should cost little.
        """
        taken = self._names, self._values
        self._names, self._values = [], []
        return taken

    def on_message_begin(self) -> None:
        """Called by the parser."""
        self._begun += 1
        self._names, self._values = [], []

    def on_header(self, name: bytes, value: bytes) -> None:
        """Called by the parser, for what follows a chunked body too."""
        self._names.append(name)
        self._values.append(value)

    def on_message_complete(self) -> None:
        """Called by the parser."""
        self.ended += 1
