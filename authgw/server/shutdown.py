"""How a replica ends: answering to the last, so that no request fails because it does."""

import asyncio
import signal
from dataclasses import dataclass, field

from aiohttp import web
from loguru import logger

_SETTLE = 5.0  # seconds in which load balancers learn that this replica is going
_ARRIVAL = 0.25  # seconds in which a request arrives on a connection that was just taken in
_SHORT = 0.01  # seconds


@dataclass(frozen=True, slots=True)
class SignalFlags:
    """What signals have told this process: to end, to end at once, to read its files again."""

    end: asyncio.Event = field(default_factory=asyncio.Event)
    at_once: asyncio.Event = field(default_factory=asyncio.Event)
    reload: asyncio.Event = field(default_factory=asyncio.Event)

    def listen(self) -> None:
        """Hear SIGTERM, SIGINT and SIGHUP from now on."""
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


async def close(runner: web.AppRunner, patience: float, at_once: asyncio.Event) -> None:
    """Go on answering for 5 s, stop listening, and finish what is under way.

    Returns after `patience` seconds at most, or when told `at_once`; then what is still under way
    is cut off. An idle connection holds nothing up.
    """
    ending = asyncio.create_task(_settle_and_finish(runner, min(_SETTLE, patience / 2)))
    hurry = asyncio.create_task(at_once.wait())
    await asyncio.wait((ending, hurry), timeout=patience, return_when=asyncio.FIRST_COMPLETED)
    hurry.cancel()
    if ending.done():
        return ending.result()
    ending.cancel()
    await asyncio.wait((ending,))
    if patience and not at_once.is_set():
        logger.warning(f"Not every request was answered within {patience:g} s (server.drain)")
    await _cut_off(runner)


async def _settle_and_finish(runner: web.AppRunner, settle: float) -> None:
    logger.info(f"Draining: not ready, still answering for {settle:g} s")
    await asyncio.sleep(settle)
    await _stop_listening(runner)
    await asyncio.sleep(min(_ARRIVAL, settle))
    await runner.cleanup()


async def _stop_listening(runner: web.AppRunner) -> None:
    for site in runner.sites:
        await site.stop()


async def _cut_off(runner: web.AppRunner) -> None:
    await _stop_listening(runner)
    if runner.server is not None:
        # aiohttp would wait for ever for nothing.
        await runner.server.shutdown(_SHORT)
    await runner.cleanup()
