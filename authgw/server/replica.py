"""One running replica: its parts, what answers by them, and a reload of what it has read."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from aiohttp import web
from loguru import logger
from prometheus_client import REGISTRY

from authgw.config.loader import LoadedConfig
from authgw.core.audit import Event
from authgw.core.errors import StoreUnavailableError
from authgw.core.model import IdentityHeaders
from authgw.core.networks import TrustedProxies
from authgw.core.sessions import Lifetimes
from authgw.core.tokens import Issuer
from authgw.identity.hash_pool import HashPool
from authgw.identity.users_watcher import UsersFile, watch
from authgw.observability import logging, metrics
from authgw.observability.instrumentation import MeasuredStore, measured, measured_check
from authgw.server.reload import REFUSALS, ReloadableState, read_again
from authgw.server.store_factory import Store
from authgw.services.login import LoginService
from authgw.services.sessions import Sessions
from authgw.storage.mirror import Mirror
from authgw.storage.redis import commands
from authgw.storage.redis.key_registry import KeyRegistry
from authgw.storage.redis.revocation_feed import RevocationFeed
from authgw.storage.redis.store import RedisStore
from authgw.storage.sqlite import database
from authgw.web.context import Gateway
from authgw.web.dispatcher import Dispatcher
from authgw.web.templating import PageRenderer, PageTheme

# Sessions that are asked about within one interval of cache.max_staleness; each takes about 2 KB.
_MOST_MIRRORED = 2**17


class Replica:
    """One running gateway: its parts, and whether it should be asked."""

    def __init__(self, reading: ReloadableState, store: Store) -> None:
        self._reading = reading
        self._store = store
        self._measured = MeasuredStore(store)
        settings = reading.loaded.settings
        self._mirror = Mirror(
            self._measured,
            # A session that is asked about all the time is read, and so used, before it idles away.
            max_staleness=min(settings.cache.max_staleness, settings.auth.auto_logout / 2),
            deadline=commands.DEADLINE if isinstance(store, RedisStore) else database.DEADLINE,
            capacity=_MOST_MIRRORED,
        )
        self._push = (
            RevocationFeed(store.pubsub, self._mirror.ended)
            if isinstance(store, RedisStore)
            else None
        )
        self._hashing = HashPool()
        # It compiles its templates once.
        self._pages = PageRenderer(PageTheme(settings.login.product, settings.login.color))
        self._membership = (
            KeyRegistry(store, reading.keys) if isinstance(store, RedisStore) else None
        )
        self.serving = Dispatcher(self._gateway(reading))

    def tell_prometheus_of(self, surface: web.Application) -> None:
        """Measure what this surface answers, and show it with the numbers of this replica."""
        answers = metrics.RequestMetrics()
        surface.middlewares.insert(0, measured(answers))
        self.serving.check = measured_check(answers, self.serving.check)
        parts = metrics.ReplicaCollector(
            answers=answers,
            serving=self.serving,
            mirror=self._mirror,
            hashing=self._hashing,
            draining=lambda: self.serving.draining,
            push=self._push,
            redis=self._store if isinstance(self._store, RedisStore) else None,
            membership=self._membership,
        )
        REGISTRY.register(parts)

    async def join(self) -> None:
        """Announce this replica to the others on its Redis, if they can be reached."""
        if self._membership:
            await self._membership.announce()

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
        if self._membership:
            helpers.append(loop.create_task(self._membership.keep()))
        if self._push:
            helpers.append(loop.create_task(self._push.keep()))
        try:
            yield
        finally:
            for helper in helpers:
                helper.cancel()
            self._hashing.close()

    async def close(self) -> None:
        """Finish the small writes, leave the other replicas, and stop reading."""
        await self.serving.gateway.sessions.settle()
        if self._membership:
            await self._membership.leave()
        self._mirror.close()

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
        gateway = self._gateway(reading)
        if self._membership:
            await self._membership.adopt(reading.keys)
        before, self._reading = self.serving.gateway, reading
        self.serving.use(gateway)
        _say_reloaded(reading)
        await before.sessions.settle()

    def _say_of_users(self, problem: str) -> None:
        """Raise or end the alarm about the users file, in log and metrics."""
        metrics.USERS_FILE_BROKEN.set(1 if problem else 0)
        if problem:
            said = "; ".join(problem.splitlines())
            logger.error(f"{said}. The users from before stay.")
        else:
            logger.info("The users file was read.")
            _warn_of(self._reading.users)

    def _gateway(self, reading: ReloadableState) -> Gateway:
        """What answers by this reading: all of it is new, but for what sessions live in."""
        settings = reading.loaded.settings
        auth, server, names = settings.auth, settings.server, settings.headers
        audience = auth.audience or auth.issuer
        issuer = Issuer(auth.issuer, audience, reading.keys, auth.previous_issuers)
        sites = settings.login.sites
        return Gateway(
            sessions=self._sessions(reading, issuer),
            marks=issuer.marks,
            clients=reading.clients,
            counters=self._measured,
            keys=reading.keys,
            trusted=TrustedProxies.parse(server.trusted_proxies),
            identity=IdentityHeaders(names.user, names.groups, names.email, names.name),
            open_login=auth.open_login,
            record=_record,
            clock=time.time,
            ready=self._why_not_ready,
            rules=reading.loaded.rules,
            direct_check=auth.direct_check,
            sites=sites,
            cookies=sites.session_cookies,
            people=reading.users,
            sign_in=LoginService(
                reading.users,
                self._hashing,
                self._measured,
                issuer,
                policy=settings.login.totp,
                device_life=auth.refresh_lifetime,
                clock=time.time,
                rehash=auth.passwords.rehash,
            ),
            device_life=auth.refresh_lifetime,
            pages=self._pages,
            docs=server.docs,
            record_allowed=settings.logging.decisions == "all",
            check_keys=self._membership.check if self._membership else _always,
        )

    def _sessions(self, reading: ReloadableState, issuer: Issuer) -> Sessions:
        auth = reading.loaded.settings.auth
        return Sessions(
            self._mirror,
            issuer,
            Lifetimes(
                access=auth.access_lifetime,
                refresh=auth.refresh_lifetime,
                session_max=auth.session_max,
                refresh_grace=auth.refresh_grace,
            ),
            idle=auth.auto_logout,
            max_sessions=auth.max_sessions,
            clock=time.time,
            users=reading.users,
        )

    async def _why_not_ready(self) -> str:
        if self.serving.draining:
            return "draining"
        try:
            await self._store.ping()
        except StoreUnavailableError as error:
            return error.detail
        return self._membership.why_not if self._membership else ""


def _record(event: Event) -> None:
    metrics.count(event)
    logging.record(event)


def _warn_of(users: UsersFile) -> None:
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
    for warning in (*loaded.warnings, *loaded.doubts, *reading.users.warnings):
        logger.warning(warning)
    if reading.left:
        logger.warning(f"Changed, but needs a restart: {', '.join(reading.left)}")


def _always() -> None:
    """A replica alone has nobody to share keys with."""
