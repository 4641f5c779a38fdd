"""Wires the parts together; owns start-up and shutdown."""

import asyncio
import gc
import signal
import time

from aiohttp import http_parser, web
from loguru import logger
from prometheus_client import REGISTRY

from authgw import keyfiles, log, metrics
from authgw.audit import Event
from authgw.config import ConfigError, Loaded
from authgw.connections import Connections, most_connections
from authgw.core.errors import StoreUnavailable
from authgw.core.keys import Key, KeyRefused, KeyRing
from authgw.core.model import IdentityHeaders
from authgw.core.peers import TrustedProxies
from authgw.core.sessions import Lifetimes
from authgw.core.tokens import Issuer
from authgw.identity.clients import load_clients
from authgw.identity.hashing import Hashing
from authgw.identity.watch import UsersFile, watch
from authgw.listening import listen
from authgw.measured import MeasuredStore, measured
from authgw.replica import Membership
from authgw.service import Sessions
from authgw.settings import Settings
from authgw.signin import SignIn
from authgw.storage import embedded, redis_calls
from authgw.storage.mirror import Mirror
from authgw.storage.push import Push
from authgw.storage.redis import RedisStore
from authgw.stores import Store, opened_store
from authgw.web.errors import silence_the_parser
from authgw.web.gateway import Gateway
from authgw.web.pages import Look, Pages
from authgw.web.routes import application
from authgw.web.serving import Serving, shorten

_SETTLE = 5.0  # seconds in which load balancers learn that this replica is going
LINE_BYTES = 32 * 1024  # as large_client_header_buffers in nginx/http.conf
# Longer than NGINX's 60, or NGINX would write into a connection that is being closed.
_KEEP_ALIVE = 75.0  # seconds
_LINGER = 2.0  # seconds in which a refused body is read on, so that its sender hears why
# Sessions that are asked about within one interval of cache.max_staleness; each takes about 2 KB.
_MOST_MIRRORED = 2**17


async def serve(loaded: Loaded) -> None:
    """Run one replica until SIGTERM (drains) or SIGINT (ends at once).

    Raises:
        ConfigError, KeyRefused, ClientsRefused, StoreRefused: it must not start; they say why.
        OSError: it cannot listen.
    """
    _refuse_slow_parser()
    silence_the_parser()
    async with opened_store(loaded) as store:
        replica = _Replica(loaded, store)
        serving = Serving(replica.gateway)
        surface = application(serving)
        replica.tell_prometheus_of(surface, serving)
        runner = web.AppRunner(
            surface,
            # What is left of the drain once load balancers have been given their time.
            shutdown_timeout=max(0.0, loaded.settings.server.drain - _SETTLE),
        )
        await runner.setup()
        assert runner.server is not None  # noqa: S101  it has been set up
        shorten(runner.server, serving)
        connections = Connections(
            runner.server,
            most_connections(),
            access_log=None,
            keepalive_timeout=_KEEP_ALIVE,
            max_line_size=LINE_BYTES,
            max_field_size=LINE_BYTES,
            lingering_time=_LINGER,
            # No body may be compressed, and what is refused must not be inflated to be thrown away.
            auto_decompress=False,
        )
        try:
            await _start(loaded, runner, connections)
            _collect_seldom()
            await replica.until_told_to_stop()
        finally:
            await runner.cleanup()
            await replica.close()


def _collect_seldom() -> None:
    """Look for cycles of garbage less often, and never in what lives as long as the process.

    By default a gateway that mirrors many sessions spends a tenth of its time on looking through
    them again and again; requests leave no cycles.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


def load_ring(loaded: Loaded) -> KeyRing:
    """The keys of this configuration; the embedded store makes a missing one.

    Raises:
        KeyRefused: a key must not be used, or is missing with Redis.
    """
    auth = loaded.settings.auth
    longest = max(auth.access_lifetime, auth.refresh_lifetime)
    return KeyRing(_load_keys(loaded), longest)


def _load_keys(loaded: Loaded) -> tuple[Key, ...]:
    auth, embedded = loaded.settings.auth, loaded.settings.cache.is_embedded
    if auth.algorithm == "HS256":
        path = loaded.path(auth.secret_file)
        if embedded and not path.exists():
            keyfiles.make_shared_secret(path)
        return (keyfiles.load_shared_secret(path),)
    folder = loaded.path(auth.keys)
    keys = keyfiles.load_keys(folder)
    if keys:
        return keys
    if not embedded:
        raise KeyRefused(
            f"no signing key in {folder}, and replicas that share a Redis must share keys: "
            "run `authgw key init` once"
        )
    keyfiles.make_key(folder, auth.algorithm)
    return keyfiles.load_keys(folder)


class _Replica:
    """One running gateway: its parts, and whether it should be asked."""

    def __init__(self, loaded: Loaded, store: Store) -> None:
        settings = loaded.settings
        auth, server, names = settings.auth, settings.server, settings.headers
        self._drain = server.drain
        self._loaded = loaded
        self._store = store
        measured = MeasuredStore(store)
        self._mirror = Mirror(
            measured,
            max_staleness=settings.cache.max_staleness,
            deadline=(redis_calls if isinstance(store, RedisStore) else embedded).DEADLINE,
            capacity=_MOST_MIRRORED,
        )
        self._push = (
            Push(store.pubsub, self._mirror.ended) if isinstance(store, RedisStore) else None
        )
        self._draining = False
        ring = load_ring(loaded)
        issuer = Issuer(auth.issuer, auth.audience or auth.issuer, ring)
        self._users = UsersFile(loaded.path(auth.users))
        self._hashing = Hashing()
        self._membership = Membership(store, ring) if isinstance(store, RedisStore) else None
        self.sessions = Sessions(
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
            people=self._users,
        )
        sites, login = settings.login.sites, settings.login
        self.gateway = Gateway(
            sessions=self.sessions,
            clients=load_clients(loaded.path(auth.clients)),
            counters=measured,
            keys=ring,
            trusted=TrustedProxies.parse(server.trusted_proxies),
            identity=IdentityHeaders(names.user, names.groups, names.email, names.name),
            open_login=auth.open_login,
            record=_record,
            clock=time.time,
            ready=self._why_not_ready,
            rules=loaded.rules,
            direct_check=auth.direct_check,
            sites=sites,
            cookies=sites.session_cookies,
            people=self._users,
            sign_in=SignIn(
                self._users,
                self._hashing,
                measured,
                issuer,
                policy=login.totp,
                device_life=auth.refresh_lifetime,
                clock=time.time,
            ),
            device_life=auth.refresh_lifetime,
            pages=Pages(Look(login.product, login.color)),
            docs=server.docs,
            record_allowed=settings.logging.decisions == "all",
            check_keys=self._membership.check if self._membership else _always,
        )

    def tell_prometheus_of(self, surface: web.Application, serving: Serving) -> None:
        """Measure what this surface answers, and show it with the numbers of this replica."""
        answers = metrics.Answers()
        surface.middlewares.insert(0, measured(answers))
        parts = metrics.Replica(
            answers=answers,
            serving=serving,
            mirror=self._mirror,
            hashing=self._hashing,
            draining=lambda: self._draining,
            push=self._push,
            redis=self._store if isinstance(self._store, RedisStore) else None,
            membership=self._membership,
        )
        REGISTRY.register(parts)

    async def until_told_to_stop(self) -> None:
        """Return when it is time to close: on SIGTERM some seconds after saying so."""
        told: asyncio.Queue[signal.Signals] = asyncio.Queue()
        loop = asyncio.get_running_loop()
        helpers = [loop.create_task(watch(self._users, alarm=_say_of_users))]
        if self._membership:
            helpers.append(loop.create_task(self._membership.keep()))
        if self._push:
            helpers.append(loop.create_task(self._push.keep()))
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, told.put_nowait, number)
        number = await told.get()
        self._draining = True
        if number == signal.SIGTERM and self._drain:
            logger.info("Draining: not ready, still answering")
            await asyncio.sleep(min(_SETTLE, self._drain))
        for helper in helpers:
            helper.cancel()
        self._hashing.close()

    async def close(self) -> None:
        """Finish the small writes, and stop reading."""
        await self.sessions.settle()
        self._mirror.close()

    async def _why_not_ready(self) -> str:
        if self._draining:
            return "draining"
        try:
            await self._store.ping()
        except StoreUnavailable as error:
            return error.detail
        return self._membership.why_not if self._membership else ""


def _record(event: Event) -> None:
    metrics.count(event)
    log.record(event)


def _say_of_users(problem: str) -> None:
    """Raise or end the alarm about the users file, in log and metrics."""
    metrics.USERS_FILE_BROKEN.set(1 if problem else 0)
    if problem:
        said = "; ".join(problem.splitlines())
        logger.error(f"{said}. The users from before stay.")
    else:
        logger.info("The users file was read.")


def _always() -> None:
    """A replica alone has nobody to share keys with."""


async def _start(loaded: Loaded, runner: web.AppRunner, connections: Connections) -> None:
    server, auth = loaded.settings.server, loaded.settings.auth
    addresses = await listen(runner, connections, server, loaded.folder)
    for warning in (*loaded.warnings, *loaded.doubts):
        logger.warning(warning)
    if loaded.rules is None:
        logger.warning("No rules: every live session may open everything that asks this gateway.")
    if auth.open_login:
        logger.warning("auth.open_login: whoever reaches /login becomes any user_id.")
    _expose_metrics(loaded.settings)
    logger.info(f"Listening on {' and '.join(addresses)}")


def _expose_metrics(settings: Settings) -> None:
    where = settings.metrics
    try:
        metrics.expose(where.host, where.port)
    except OSError as error:
        # A second replica on this machine, or Prometheus itself: no reason not to answer.
        logger.warning(
            f"No metrics: {where.host}:{where.port}: {error.strerror}. Set metrics.port."
        )


def _refuse_slow_parser() -> None:
    # The pure-Python parser is laxer than llhttp about what a request is.
    if http_parser.HttpRequestParser is http_parser.HttpRequestParserPy:
        raise ConfigError(["aiohttp runs its pure-Python parser: unset AIOHTTP_NO_EXTENSIONS"])
