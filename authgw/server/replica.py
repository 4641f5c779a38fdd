"""A running replica: its parts, the current handlers, background tasks and reloads."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from aiohttp import web
from loguru import logger
from prometheus_client import CollectorRegistry

from authgw.config.loader import LoadedConfig
from authgw.core.budget import AddressBudget
from authgw.core.errors import StoreUnavailableError
from authgw.core.limits import PER_STRANGER
from authgw.core.measurements import MeasuredPart
from authgw.core.ports import KeyRegistry, RevocationFeed, Store
from authgw.identity.hash_pool import HashPool
from authgw.identity.users_watcher import WatchedUsersFile, watch
from authgw.observability import metrics
from authgw.observability.instrumentation import MeasuredStore, metrics_middleware
from authgw.server.reload import REFUSALS, ReloadableState, read_again
from authgw.server.summary import entry_counts
from authgw.services.sessions import RefreshCounts
from authgw.storage.mirror import Mirror
from authgw.web.context import Gateway
from authgw.web.dispatcher import Dispatcher
from authgw.web.templating import PageRenderer

if TYPE_CHECKING:
    from authgw.server.providers import ProviderNetwork

# Returns the reason why this replica is not ready, or "".
Readiness = Callable[[], Awaitable[str]]


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts of a replica that a reload leaves in place.

    `feed` and `key_registry` are None if the store is not shared with other replicas, `network`
    without identity providers. `strangers` limits what requests without valid credentials write to
    the store.
    """

    store: Store
    measured_store: MeasuredStore
    mirror: Mirror
    hash_pool: HashPool
    pages: PageRenderer
    feed: RevocationFeed | None
    key_registry: KeyRegistry | None
    network: "ProviderNetwork | None" = None
    refreshes: RefreshCounts = field(default_factory=RefreshCounts)
    strangers: AddressBudget = field(
        default_factory=lambda: AddressBudget(PER_STRANGER, time.monotonic)
    )


class Replica:
    """A running gateway; `build` makes the parts of the handlers from a state of the files."""

    def __init__(
        self,
        state: ReloadableState,
        parts: Parts,
        build: Callable[[ReloadableState, Readiness], Gateway],
    ) -> None:
        self._state = state
        self._parts = parts
        self._build = build
        self.serving = Dispatcher(build(state, self._not_ready_reason))

    def measure(
        self, application: web.Application, registry: CollectorRegistry
    ) -> metrics.RequestMetrics:
        """Measure the responses of this application; register the metrics of all parts.

        Return those of responses, for the checks that do not reach the application.
        """
        dispatcher, parts = self.serving, self._parts
        requests = metrics.RequestMetrics(lambda: dispatcher.cached_responses)
        # Within the delivery, whose time depends on the client.
        application.middlewares.insert(1, metrics_middleware(requests))
        measured: list[MeasuredPart | None] = [
            *(requests, dispatcher, parts.refreshes, parts.hash_pool, parts.mirror),
            *(parts.store, parts.feed, parts.key_registry, parts.network),
        ]
        registry.register(metrics.ReplicaCollector([part for part in measured if part is not None]))
        return requests

    async def join(self) -> None:
        """Announce this replica to the others on its store, if the store can be reached."""
        if self._parts.key_registry:
            await self._parts.key_registry.announce()

    @asynccontextmanager
    async def background_tasks(
        self, load: Callable[[], LoadedConfig], reload_requested: asyncio.Event
    ) -> AsyncIterator[None]:
        """Watch the users file and other replicas; reload with `load` when that is requested."""
        loop = asyncio.get_running_loop()
        _warn_of(self._state.users)
        tasks = [
            loop.create_task(watch(lambda: self._state.users, alarm=self._report_users_file)),
            loop.create_task(self._reload_on_request(reload_requested, load)),
        ]
        if self._parts.key_registry:
            tasks.append(loop.create_task(self._parts.key_registry.run()))
        if self._parts.feed:
            tasks.append(loop.create_task(self._parts.feed.run()))
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()

    async def close(self) -> None:
        """Finish background writes, withdraw from the other replicas, and cancel reads."""
        self._parts.hash_pool.close()
        await self.serving.gateway.settle()
        if self._parts.network:
            await self._parts.network.close()
        if self._parts.key_registry:
            await self._parts.key_registry.leave()
        self._parts.mirror.close()

    async def _reload_on_request(
        self, requested: asyncio.Event, load: Callable[[], LoadedConfig]
    ) -> None:
        while True:
            await requested.wait()
            requested.clear()
            try:
                await self._reload(load)
            except REFUSALS as error:
                _report_failed_reload(str(error))
            except Exception as error:
                # After any exception the previous state stays in use.
                _report_failed_reload(f"the files cannot be read ({type(error).__name__})")

    async def _reload(self, load: Callable[[], LoadedConfig]) -> None:
        state = await asyncio.to_thread(read_again, self._state, load)
        gateway = self._build(state, self._not_ready_reason)
        if self._parts.key_registry:
            await self._parts.key_registry.adopt(state.keys)
        previous, self._state = self.serving.gateway, state
        self.serving.use(gateway)
        _report_reload(state)
        await previous.settle()

    def _report_users_file(self, problem: str) -> None:
        """Report a problem with users or bindings or, with "", its end, in log and metrics."""
        metrics.USERS_FILE_BROKEN.set(1 if problem else 0)
        if problem:
            logger.bind(event="users_file_broken").error(
                f"The users file was not reloaded: {_sentence(problem)} "
                "The previous users stay active."
            )
        else:
            logger.bind(event="users_file_read").info("The users file was reloaded.")
            _warn_of(self._state.users)

    async def _not_ready_reason(self) -> str:
        if self.serving.draining:
            return "draining"
        try:
            await self._parts.store.ping()
        except StoreUnavailableError as error:
            return error.detail
        return self._parts.key_registry.refusal if self._parts.key_registry else ""


def _warn_of(users: WatchedUsersFile) -> None:
    for warning in users.warnings:
        logger.bind(event="users_file_warning").warning(warning)


def _report_failed_reload(problem: str) -> None:
    metrics.RELOAD_FAILED.set(1)
    logger.bind(event="reload_failed").error(
        f"Reload failed: {_sentence(problem)} The previous configuration stays active; fix it and "
        "send SIGHUP again."
    )


def _sentence(problem: str) -> str:
    """Return the lines of a problem as a sentence with its full stop."""
    line = "; ".join(problem.splitlines())
    return line if line.endswith((".", "?")) else f"{line}."


def _report_reload(state: ReloadableState) -> None:
    metrics.RELOAD_FAILED.set(0)
    metrics.USERS_FILE_BROKEN.set(0)
    loaded, kids = state.loaded, state.keys.kids(time.time())
    counts = entry_counts(loaded, users=state.users.count, clients=len(state.clients.ids))
    logger.bind(event="reloaded").info(f"Reloaded: {counts}, keys {', '.join(kids)}.")
    for warning in (*loaded.warnings, *loaded.rule_warnings):
        logger.bind(event="configuration_warning").warning(warning)
    _warn_of(state.users)
    if state.left:
        logger.bind(event="restart_required").warning(
            f"Restart the gateway to apply {', '.join(state.left)}: a reload does not change them."
        )
