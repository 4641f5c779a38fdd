"""Delivery of an application's responses to a connection that serves one request at a time."""

import asyncio
from abc import abstractmethod

from aiohttp import hdrs, web

from authgw.forward_auth.response_bytes import SERVER
from authgw.web.context import PEER
from authgw.web.dispatcher import DISPATCHER
from authgw.web.problems import Handler, failure


class ApplicationTransport(asyncio.Transport):
    """The transport of a connection as an application sees it.

    Attributes:
        peer: the address of the peer, or `unix`.
        closes: the response is the last of the connection.
    """

    peer: str
    closes: bool

    @abstractmethod
    def claim(self, request: web.BaseRequest) -> None:
        """Note that the application handles the request that was received last."""

    @abstractmethod
    def response_written(self, *, keeps_alive: bool) -> None:
        """Note that the response to this request is written."""


@web.middleware
async def deliver(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Write a response and notify its connection; must be the outermost middleware."""
    link, dispatcher = request.transport, request.app[DISPATCHER]
    if not isinstance(link, ApplicationTransport):
        # The client is gone already.
        return web.Response()
    request[PEER] = link.peer
    link.claim(request)
    dispatcher.bind(request)
    response = await _response(request, handler)
    # aiohttp would name itself and Python with their versions.
    response.headers[hdrs.SERVER] = SERVER
    if dispatcher.draining or link.closes:
        # RFC 9112 section 9.6.
        response.force_close()
    try:
        await response.prepare(request)
        await response.write_eof()
    except ConnectionError:
        # aiohttp ends the connection when it tries the same.
        return response
    link.response_written(keeps_alive=bool(response.keep_alive))
    return response


async def _response(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except Exception as error:
        response = failure(request, error)
        response.force_close()
        return response
