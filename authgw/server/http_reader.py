"""Incremental parser of request heads, at least as strict as aiohttp's.

It reads each request of a connection, so that a single parser decides where a request ends. A body
of known length is not given to it; a chunked body is, to find its errors.
"""

from typing import NamedTuple

import httptools

from authgw.core.errors import RequestMalformedError
from authgw.core.limits import MAX_HEADER_LINE_BYTES, MAX_HEADERS

_VERSIONS = ("1.0", "1.1")
# aiohttp refuses a second header of these names; RFC 9110 defines them as singletons.
_SINGLETONS = frozenset(
    {
        *(b"content-length", b"content-location", b"content-range", b"content-type", b"etag"),
        *(b"host", b"max-forwards", b"server", b"transfer-encoding", b"user-agent"),
    }
)
_BLANKS = b" \t"
_OLD_WEBSOCKET = b"sec-websocket-key1"
# Other text of the line of a header or of a request: method, version, separators.
_LINE_REST = 64


class RequestHead(NamedTuple):
    """The head of a request.

    `values` have no blanks at their edges; `by_name` are those of each header, by its name in lower
    case. `keeps_alive`: the client expects to send another request. `upgrades`: another protocol
    may follow.
    """

    method: bytes
    target: bytes
    version: str
    names: list[bytes]
    values: list[bytes]
    by_name: dict[bytes, list[bytes]]
    keeps_alive: bool
    upgrades: bool

    def sent(self, name: bytes) -> list[bytes]:
        """Return all values of the header with this lower-case name."""
        return self.by_name.get(name, [])


class HeadReader:
    """Parser of the requests on a connection; `has_begun` after the first byte of a request."""

    __slots__ = (
        *("_is_complete", "_is_over", "_keeps_alive", "_parser", "_target", "_upgrades"),
        *("has_begun", "names", "values"),
    )

    def __init__(self) -> None:
        self.names: list[bytes] = []
        self.values: list[bytes] = []
        self._is_over = False
        self.next_request()

    def next_request(self) -> None:
        """Begin a request after a request whose body was not given to the parser."""
        self._parser = httptools.HttpRequestParser(self)
        self._keeps_alive = self._upgrades = False
        self.has_begun = False
        self.release()

    def feed(self, data: bytes) -> bool:
        """Parse bytes of a head; return True if it is complete.

        Raises:
            RequestMalformedError: neither this nor any later request can be read.
        """
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._upgrades = True
        except httptools.HttpParserError:
            raise RequestMalformedError from None
        return self._is_complete

    def feed_chunked(self, data: bytes) -> bool:
        """Parse bytes of a chunked body; return True if it is complete.

        Raises:
            RequestMalformedError: it cannot be read.
        """
        self._is_over = False
        try:
            self.feed(data)
        except RequestMalformedError:
            # The bytes after the last request of a connection may be anything.
            if not self._is_over:
                raise
        # Trailers are not used, and may be many.
        self.release()
        return self._is_over

    def take(self) -> RequestHead:
        """Return the head that is complete, and release it; an idle connection takes little memory.

        Raises:
            RequestMalformedError: aiohttp would refuse it, or its version is unknown.
        """
        parser, names = self._parser, self.names
        values = [value.strip(_BLANKS) for value in self.values]
        by_name = {name.lower(): [value] for name, value in zip(names, values, strict=True)}
        if len(by_name) != len(names):
            by_name = _collected(names, values)
        head = RequestHead(
            parser.get_method(),
            self._target,
            parser.get_http_version(),
            names,
            values,
            by_name,
            self._keeps_alive,
            self._upgrades or parser.should_upgrade(),
        )
        sent = self.values
        self.release()
        _refuse_malformed(head, sent)
        return head

    def release(self) -> None:
        """Release the head that is complete."""
        self.names, self.values, self._target = [], [], b""
        self._is_complete = False

    def close(self) -> None:
        """Release the parser: it refers to the reader, in a cycle that outlives the connection."""
        del self._parser

    def on_message_begin(self) -> None:
        """Called by the parser."""
        if self._is_complete:
            raise RequestMalformedError
        self.has_begun = True
        self._keeps_alive = self._upgrades = False

    def on_url(self, part: bytes) -> None:
        """Called by the parser, for each part of the target."""
        self._target += part

    def on_header(self, name: bytes, value: bytes) -> None:
        """Called by the parser, also for trailers of a chunked body."""
        self.names.append(name)
        self.values.append(value)

    def on_headers_complete(self) -> None:
        """Called by the parser."""
        self._is_complete = True
        self._keeps_alive = self._parser.should_keep_alive()

    def on_message_complete(self) -> None:
        """Called by the parser."""
        self.has_begun = False
        self._is_over = True


def _collected(names: list[bytes], values: list[bytes]) -> dict[bytes, list[bytes]]:
    """Return the values of headers by name in lower case, of which some are repeated."""
    by_name: dict[bytes, list[bytes]] = {}
    for name, value in zip(names, values, strict=True):
        by_name.setdefault(name.lower(), []).append(value)
    return by_name


_TOO_LONG = "a line of its head is too long"


def refuse_long_line(unfinished: bytes | bytearray) -> None:
    """Refuse a head whose last line exceeds the limit before its end.

    Raises:
        RequestMalformedError: it does.
    """
    length = len(unfinished) - unfinished.rfind(b"\r\n")
    if length > MAX_HEADER_LINE_BYTES + _LINE_REST:
        raise RequestMalformedError(_TOO_LONG)


def _refuse_malformed(head: RequestHead, sent: list[bytes]) -> None:
    """Refuse a head whose values, as they were `sent`, aiohttp would refuse."""
    names, by_name, together = head.names, head.by_name, b"".join(sent)
    if len(head.target) > MAX_HEADER_LINE_BYTES or _has_long_line(names, sent, len(together)):
        raise RequestMalformedError(_TOO_LONG)
    if len(names) > MAX_HEADERS or head.version not in _VERSIONS:
        raise RequestMalformedError
    if head.version == "1.1" and b"host" not in by_name:
        raise RequestMalformedError
    if len(names) != len(by_name):
        singletons = by_name.keys() & _SINGLETONS
        if any(len(by_name[name]) > 1 for name in singletons):
            raise RequestMalformedError
    if _OLD_WEBSOCKET in by_name or b"\0" in together:
        raise RequestMalformedError


def _has_long_line(names: list[bytes], values: list[bytes], length: int) -> bool:
    """Return True if a header exceeds the limit; `length` is that of all values together."""
    if length + sum(map(len, names)) <= MAX_HEADER_LINE_BYTES:
        return False
    sizes = map(len, names), map(len, values)
    return any(name + value > MAX_HEADER_LINE_BYTES for name, value in zip(*sizes, strict=True))
