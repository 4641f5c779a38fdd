"""Signals and draining: a replica serves requests until its end, so that none fails."""

import asyncio
import signal
from dataclasses import dataclass, field

from loguru import logger

from authgw.server.http_server import HttpServer

_SETTLE_TIME = 5.0  # seconds in which load balancers notice that this replica is not ready
_ARRIVAL_TIME = 0.25  # seconds in which the first request of an accepted connection arrives


@dataclass(frozen=True, slots=True)
class SignalFlags:
    """Flags set by signals: end, end immediately, reload."""

    end: asyncio.Event = field(default_factory=asyncio.Event)
    at_once: asyncio.Event = field(default_factory=asyncio.Event)
    reload: asyncio.Event = field(default_factory=asyncio.Event)

    def listen(self) -> None:
        """Register handlers for SIGTERM, SIGINT and SIGHUP."""
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self._terminate)
        loop.add_signal_handler(signal.SIGINT, self._interrupt)
        loop.add_signal_handler(signal.SIGHUP, self.reload.set)

    def _terminate(self) -> None:
        if self.end.is_set():
            self.at_once.set()
        self.end.set()

    def _interrupt(self) -> None:
        self.end.set()
        self.at_once.set()


async def close(server: HttpServer, drain_timeout: float, at_once: asyncio.Event) -> None:
    """Serve requests for 5 s more, stop listening, and finish the requests in progress.

    Return after at most `drain_timeout` seconds, or when `at_once` is set; requests that are still
    in progress are cut off then. Idle connections delay nothing.
    """
    ending = asyncio.create_task(_settle_and_finish(server, min(_SETTLE_TIME, drain_timeout / 2)))
    hurry = asyncio.create_task(at_once.wait())
    await asyncio.wait((ending, hurry), timeout=drain_timeout, return_when=asyncio.FIRST_COMPLETED)
    hurry.cancel()
    if ending.done():
        return ending.result()
    ending.cancel()
    await asyncio.wait((ending,))
    if drain_timeout and not at_once.is_set():
        logger.bind(event="drain_timeout").warning(
            f"Requests were cut off: they took longer than {drain_timeout:g} s (server.drain)."
        )
    await server.close()


async def _settle_and_finish(server: HttpServer, settle: float) -> None:
    logger.bind(event="draining").info(
        f"Shutting down: /readyz is 503, other requests are accepted for {settle:g} s."
    )
    await asyncio.sleep(settle)
    await server.stop_listening()
    await asyncio.sleep(min(_ARRIVAL_TIME, settle))
    await server.finish()
