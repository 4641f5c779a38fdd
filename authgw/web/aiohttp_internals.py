"""Every use of aiohttp that its documentation does not cover, as of aiohttp 3.14.

Any release may change what is used here, so pyproject.toml limits the version, and
tests/unit/web/test_aiohttp_internals.py has a test for each use. All other modules import only
documented modules and names of aiohttp.
"""

from aiohttp import http_parser, web


def fail_body(request: web.BaseRequest) -> None:
    """End a body with an error for its reader; aiohttp lets readers of refused bodies wait."""
    request.content.set_exception(web.RequestPayloadError())
    request.content.feed_eof()


def parses_in_python() -> bool:
    """Return whether aiohttp uses its parser in Python, which is laxer than llhttp."""
    return http_parser.HttpRequestParser is http_parser.HttpRequestParserPy
