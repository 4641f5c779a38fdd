"""One running replica: its parts, what answers by them, and a reload of what it has read."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from aiohttp import web
from loguru import logger
from prometheus_client import CollectorRegistry

from authgw.config.loader import LoadedConfig
from authgw.core.errors import StoreUnavailableError
from authgw.identity.hash_pool import HashPool
from authgw.identity.users_watcher import WatchedUsersFile, watch
from authgw.observability import metrics
from authgw.observability.instrumentation import MeasuredStore, measured_check, metrics_middleware
from authgw.server.reload import REFUSALS, ReloadableState, read_again
from authgw.server.store_factory import Store
from authgw.storage.mirror import Mirror
from authgw.storage.redis.key_registry import KeyRegistry
from authgw.storage.redis.revocation_feed import RevocationFeed
from authgw.storage.redis.store import RedisStore
from authgw.web.context import Gateway
from authgw.web.dispatcher import Dispatcher
from authgw.web.templating import PageRenderer

# Reports why this replica is not ready, or nothing.
Readiness = Callable[[], Awaitable[str]]


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts of a replica that a reload leaves in place; `push` and `membership` need Redis."""

    store: Store
    measured: MeasuredStore
    mirror: Mirror
    hashing: HashPool
    pages: PageRenderer
    push: RevocationFeed | None
    membership: KeyRegistry | None


class Replica:
    """One running gateway; `build` makes the handlers' parts from each reading of the files."""

    def __init__(
        self,
        reading: ReloadableState,
        parts: Parts,
        build: Callable[[ReloadableState, Readiness], Gateway],
    ) -> None:
        self._reading = reading
        self._parts = parts
        self._build = build
        self.serving = Dispatcher(build(reading, self._why_not_ready))

    def measure(self, surface: web.Application, registry: CollectorRegistry) -> None:
        """Measure what this application answers; register it and the numbers of this replica."""
        answers = metrics.RequestMetrics()
        surface.middlewares.insert(0, metrics_middleware(answers))
        self.serving.check = measured_check(answers, self.serving.check)
        store = self._parts.store
        collector = metrics.ReplicaCollector(
            answers=answers,
            serving=self.serving,
            mirror=self._parts.mirror,
            hashing=self._parts.hashing,
            draining=lambda: self.serving.draining,
            push=self._parts.push,
            redis=store if isinstance(store, RedisStore) else None,
            membership=self._parts.membership,
        )
        registry.register(collector)

    async def join(self) -> None:
        """Announce this replica to the others on its Redis, if they can be reached."""
        if self._parts.membership:
            await self._parts.membership.announce()

    @asynccontextmanager
    async def kept_up(
        self, load: Callable[[], LoadedConfig], told: asyncio.Event
    ) -> AsyncIterator[None]:
        """Follow the users file, what other replicas say, and each time that it is told, `load`."""
        loop = asyncio.get_running_loop()
        _warn_of(self._reading.users)
        helpers = [
            loop.create_task(watch(lambda: self._reading.users, alarm=self._say_of_users)),
            loop.create_task(self._reload_when(told, load)),
        ]
        if self._parts.membership:
            helpers.append(loop.create_task(self._parts.membership.run()))
        if self._parts.push:
            helpers.append(loop.create_task(self._parts.push.run()))
        try:
            yield
        finally:
            for helper in helpers:
                helper.cancel()

    async def close(self) -> None:
        """Finish the small writes, leave the other replicas, and stop reading."""
        self._parts.hashing.close()
        await self.serving.gateway.services.sessions.settle()
        if self._parts.membership:
            await self._parts.membership.leave()
        self._parts.mirror.close()

    async def _reload_when(self, told: asyncio.Event, load: Callable[[], LoadedConfig]) -> None:
        while True:
            await told.wait()
            told.clear()
            try:
                await self._reload(load)
            except REFUSALS as error:
                _say_not_reloaded(str(error))
            except Exception as error:
                # Whatever it is, what there was goes on.
                _say_not_reloaded(f"{type(error).__name__} while the files were read")

    async def _reload(self, load: Callable[[], LoadedConfig]) -> None:
        reading = await asyncio.to_thread(read_again, self._reading, load)
        gateway = self._build(reading, self._why_not_ready)
        if self._parts.membership:
            await self._parts.membership.adopt(reading.keys)
        before, self._reading = self.serving.gateway, reading
        self.serving.use(gateway)
        _say_reloaded(reading)
        await before.services.sessions.settle()

    def _say_of_users(self, problem: str) -> None:
        """Raise or end the alarm about the users file, in log and metrics."""
        metrics.USERS_FILE_BROKEN.set(1 if problem else 0)
        if problem:
            said = "; ".join(problem.splitlines())
            logger.error(f"{said}. The users from before stay.")
        else:
            logger.info("The users file was read.")
            _warn_of(self._reading.users)

    async def _why_not_ready(self) -> str:
        if self.serving.draining:
            return "draining"
        try:
            await self._parts.store.ping()
        except StoreUnavailableError as error:
            return error.detail
        return self._parts.membership.refusal if self._parts.membership else ""


def _warn_of(users: WatchedUsersFile) -> None:
    for warning in users.warnings:
        logger.warning(warning)


def _say_not_reloaded(problem: str) -> None:
    metrics.RELOAD_FAILED.set(1)
    said = "; ".join(problem.splitlines())
    logger.error(f"Not reloaded: {said}. All of it stays as it was; mend it and send SIGHUP again.")


def _say_reloaded(reading: ReloadableState) -> None:
    metrics.RELOAD_FAILED.set(0)
    metrics.USERS_FILE_BROKEN.set(0)
    loaded, kids = reading.loaded, ", ".join(reading.keys.kids(time.time()))
    rules = len(loaded.settings.rules or ())
    logger.info(f"Reloaded: {rules} rules, users, {len(reading.clients.ids)} clients, keys {kids}")
    for warning in (*loaded.warnings, *loaded.rule_warnings, *reading.users.warnings):
        logger.warning(warning)
    if reading.left:
        logger.warning(f"Changed, but needs a restart: {', '.join(reading.left)}")
