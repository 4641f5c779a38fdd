"""Wires the parts together; owns start-up and shutdown."""

import gc
import time
from collections.abc import Callable
from functools import partial

from aiohttp import web
from loguru import logger
from prometheus_client import REGISTRY, CollectorRegistry

from authgw.config.loader import ConfigError, LoadedConfig
from authgw.config.schema import Settings
from authgw.core.audit import Event, Record
from authgw.core.networks import TrustedProxies
from authgw.core.rules import NO_RULES
from authgw.core.sessions import Lifetimes
from authgw.core.tokens import Issuer
from authgw.files.key_files import secret_file_warnings
from authgw.identity.hash_pool import HashPool
from authgw.observability import logging, metrics, metrics_server
from authgw.observability.instrumentation import MeasuredStore
from authgw.server.http_protocol import Connections, most_connections
from authgw.server.listeners import listen
from authgw.server.reload import EntryFiles, ReloadableState, read, read_entries, secret_files
from authgw.server.replica import Parts, Readiness, Replica
from authgw.server.shutdown import SignalFlags, close
from authgw.server.store_factory import Store, opened_store
from authgw.server.summary import summary
from authgw.services.login import LoginService
from authgw.services.sessions import Sessions
from authgw.storage.mirror import Mirror
from authgw.storage.redis import commands
from authgw.storage.redis.key_registry import KeyRegistry
from authgw.storage.redis.revocation_feed import RevocationFeed
from authgw.storage.redis.store import RedisStore
from authgw.storage.sqlite import database
from authgw.web.aiohttp_internals import parses_in_python
from authgw.web.context import Gateway, LoginContext, Policy, Services
from authgw.web.dispatcher import bypass_router
from authgw.web.routes import application
from authgw.web.templating import PageRenderer, PageTheme

LINE_BYTES = 32 * 1024  # as large_client_header_buffers in nginx/http.conf
# Longer than NGINX's 60, or NGINX would write into a connection that is being closed.
_KEEP_ALIVE = 75.0  # seconds
_LINGER = 2.0  # seconds in which a refused body is read on, so that its sender hears why
# Sessions that are asked about within one interval of cache.max_staleness; each takes about 2 KB.
_MOST_MIRRORED = 2**17


def _record(event: Event) -> None:
    metrics.count(event)
    logging.record(event)


async def serve(load: Callable[[], LoadedConfig], loaded: LoadedConfig) -> None:
    """Run one replica until SIGTERM (drains) or SIGINT (ends at once).

    `load` reads the configuration again, for SIGHUP.

    Raises:
        ConfigError, SigningKeyError, BackendsFileError, StoreSetupError: it must not start; they say why.
    """
    _refuse_slow_parser()
    told, patience = SignalFlags(), loaded.settings.server.drain
    told.listen()
    entries = read_entries(loaded)
    _introduce(loaded, entries)
    async with opened_store(loaded) as store:
        replica = build(read(loaded, entries), store)
        runner, connections = await http_server(replica, REGISTRY, patience)
        try:
            # A proxy that knows nothing of /readyz asks as soon as something listens.
            await replica.join()
            await _start(loaded, runner, connections)
            _collect_seldom()
            async with replica.kept_up(load, told.reload):
                await told.end.wait()
                replica.serving.draining = True
                await close(runner, patience, told.at_once)
        finally:
            await runner.cleanup()
            await replica.close()


def build(
    reading: ReloadableState,
    store: Store,
    *,
    clock: Callable[[], float] = time.time,
    record: Record = _record,
) -> Replica:
    """Build a replica that answers by this reading of its configuration, on this store."""
    parts = _parts(reading, store)
    return Replica(reading, parts, partial(_gateway, parts, clock, record))


async def http_server(
    replica: Replica, registry: CollectorRegistry, patience: float
) -> tuple[web.AppRunner, Connections]:
    """Set up the HTTP server of a replica; it listens nowhere yet.

    The metrics of the replica go to `registry`; `patience` is how many seconds requests under way
    may take at the end.
    """
    surface = application(replica.serving)
    replica.measure(surface, registry)
    runner = web.AppRunner(surface, shutdown_timeout=patience)
    await runner.setup()
    assert runner.server is not None  # noqa: S101  it has been set up
    bypass_router(runner.server, replica.serving)
    connections = Connections(
        runner.server,
        most_connections(),
        replica.serving.cached_response,
        replica.serving.refuse,
        access_log=None,
        keepalive_timeout=_KEEP_ALIVE,
        max_line_size=LINE_BYTES,
        max_field_size=LINE_BYTES,
        lingering_time=_LINGER,
        # No body may be compressed, and what is refused must not be inflated to be thrown away.
        auto_decompress=False,
    )
    return runner, connections


def _parts(reading: ReloadableState, store: Store) -> Parts:
    settings, measured = reading.loaded.settings, MeasuredStore(store)
    shared = store if isinstance(store, RedisStore) else None
    mirror = Mirror(
        measured,
        # A session that is asked about all the time is read, and so used, before it idles away.
        max_staleness=min(settings.cache.max_staleness, settings.auth.auto_logout / 2),
        deadline=(commands if shared else database).OPERATION_TIMEOUT,
        capacity=_MOST_MIRRORED,
    )
    return Parts(
        store,
        measured,
        mirror,
        HashPool(),
        # It compiles its templates once.
        PageRenderer(PageTheme(settings.login.product, settings.login.color)),
        RevocationFeed(shared.pubsub, mirror.mark_ended) if shared else None,
        KeyRegistry(shared, reading.keys) if shared else None,
    )


def _gateway(
    parts: Parts,
    clock: Callable[[], float],
    record: Record,
    reading: ReloadableState,
    ready: Readiness,
) -> Gateway:
    """Return what answers by this reading; only `parts` are shared with readings before it."""
    settings = reading.loaded.settings
    auth = settings.auth
    audience = auth.audience or auth.issuer
    issuer = Issuer(auth.issuer, audience, reading.keys, auth.previous_issuers)
    services = Services(
        sessions=_sessions(parts, clock, reading, issuer),
        marks=issuer.marks,
        backends=reading.clients,
        counters=parts.measured,
        keys=reading.keys,
        record=record,
        clock=clock,
        ready=ready,
        check_keys=parts.membership.check if parts.membership else _always,
    )
    return Gateway(_policy(reading), _login(parts, clock, reading, issuer), services)


def _policy(reading: ReloadableState) -> Policy:
    settings = reading.loaded.settings
    auth, server = settings.auth, settings.server
    sites = settings.login.sites
    return Policy(
        rules=reading.loaded.rules or NO_RULES,
        sites=sites,
        cookies=sites.session_cookies,
        trusted=TrustedProxies.parse(server.trusted_proxies),
        identity=settings.headers.identity,
        direct_check=auth.direct_check or reading.loaded.rules is None,
        open_login=auth.open_login,
        record_allowed=settings.logging.decisions == "all",
        docs=server.docs,
    )


def _login(
    parts: Parts, clock: Callable[[], float], reading: ReloadableState, issuer: Issuer
) -> LoginContext:
    settings = reading.loaded.settings
    service = LoginService(
        reading.users,
        parts.hashing,
        parts.measured,
        issuer,
        policy=settings.login.totp,
        device_life=settings.auth.refresh_lifetime,
        clock=clock,
        rehash=settings.auth.passwords.rehash,
    )
    return LoginContext(reading.users, service, settings.auth.refresh_lifetime, parts.pages)


def _sessions(
    parts: Parts, clock: Callable[[], float], reading: ReloadableState, issuer: Issuer
) -> Sessions:
    auth = reading.loaded.settings.auth
    return Sessions(
        parts.mirror,
        issuer,
        Lifetimes(
            access=auth.access_lifetime,
            refresh=auth.refresh_lifetime,
            session_max=auth.session_max,
            refresh_grace=auth.refresh_grace,
        ),
        idle=auth.auto_logout,
        max_sessions=auth.max_sessions,
        clock=clock,
        users=reading.users,
    )


def _always() -> None:
    """Accept the keys of a replica that shares none."""


def _introduce(loaded: LoadedConfig, entries: EntryFiles) -> None:
    """Log what was read before anything else, so that a start in a wrong folder is seen."""
    logger.info(summary(loaded, users=entries.users.count, clients=len(entries.clients.ids)))
    for note in loaded.notes:
        logger.info(note)


def _collect_seldom() -> None:
    """Look for cycles of garbage less often, and never in what lives as long as the process.

    By default a gateway that mirrors many sessions spends a tenth of its time on looking through
    them again and again; requests leave no cycles.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


async def _start(loaded: LoadedConfig, runner: web.AppRunner, connections: Connections) -> None:
    server, auth = loaded.settings.server, loaded.settings.auth
    addresses = await listen(runner, connections, server, loaded.directory)
    for warning in (
        *loaded.warnings,
        *loaded.rule_warnings,
        *secret_file_warnings(secret_files(loaded)),
    ):
        logger.warning(warning)
    if loaded.rules is None:
        logger.warning("No access rules: any valid session may access every protected host.")
    if auth.open_login:
        logger.warning("auth.open_login: whoever reaches /login becomes any user_id.")
    _expose_metrics(loaded.settings)
    logger.info(f"Listening on {' and '.join(addresses)}")


def _expose_metrics(settings: Settings) -> None:
    where = settings.metrics
    try:
        metrics_server.expose(where.host, where.port)
    except OSError as error:
        # A second replica on this machine, or Prometheus itself: no reason not to answer.
        logger.warning(
            f"No metrics: {where.host}:{where.port}: {error.strerror}. Set metrics.port."
        )


def _refuse_slow_parser() -> None:
    if parses_in_python():
        raise ConfigError(["aiohttp runs its pure-Python parser: unset AIOHTTP_NO_EXTENSIONS"])
