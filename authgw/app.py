"""Composition root: builds a gateway from its configuration, starts it and shuts it down."""

import ctypes
import gc
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

from loguru import logger
from prometheus_client import REGISTRY, CollectorRegistry

from authgw.config.loader import ConfigError, LoadedConfig
from authgw.config.schema import AuthSettings, Settings
from authgw.core.audit import AuditRecorder, Event
from authgw.core.limits import MAX_MIRRORED_SESSIONS
from authgw.core.networks import TrustedProxies
from authgw.core.ports import Store
from authgw.core.rules import NO_RULES
from authgw.core.tokens import Issuer
from authgw.core.users import UserDirectory
from authgw.files.key_files import secret_file_warnings
from authgw.forward_auth.allowed_checks import AllowedChecks
from authgw.forward_auth.context import CheckContext, Policy
from authgw.forward_auth.endpoint import CheckEndpoint
from authgw.identity.hash_pool import HashPool
from authgw.observability import logging, metrics, metrics_server
from authgw.observability.instrumentation import MeasuredStore
from authgw.server.front_door import FrontDoor
from authgw.server.http_server import HttpServer
from authgw.server.reload import EntryFiles, ReloadableState, read, read_entries, secret_files
from authgw.server.replica import Parts, Readiness, Replica
from authgw.server.shutdown import SignalFlags, close
from authgw.server.store_factory import open_store
from authgw.server.summary import summary
from authgw.services.login import LoginService
from authgw.services.rescue import RescueLinks
from authgw.services.sessions import Sessions
from authgw.storage.mirror import Mirror
from authgw.web.aiohttp_internals import parses_in_python
from authgw.web.context import Gateway, LoginContext, Services
from authgw.web.html import refusal_page
from authgw.web.login_methods import LoginMethod
from authgw.web.password_login import PasswordLogin
from authgw.web.rescue_login import RescueLogin
from authgw.web.routes import application
from authgw.web.templating import PageRenderer, PageTheme
from authgw.web.totp_login import TotpFactor

if TYPE_CHECKING:
    from authgw.server.providers import ProviderNetwork, ProviderServices

_M_MMAP_THRESHOLD = -3  # malloc.h of glibc
_LARGE_BLOCK = 1 << 20  # bytes


def _record(event: Event) -> None:
    metrics.count(event)
    logging.record(event)


async def serve(load: Callable[[], LoadedConfig], loaded: LoadedConfig) -> None:
    """Run a replica until SIGTERM (drains) or SIGINT (ends immediately).

    `load` reads the configuration again, for SIGHUP.

    Raises:
        ConfigError, SigningKeyError, BackendsFileError, StoreSetupError: it must not start; they
            say why.
    """
    _refuse_slow_parser()
    _return_large_blocks()
    signals, drain_timeout = SignalFlags(), loaded.settings.server.drain
    signals.listen()
    entries = read_entries(loaded)
    _log_summary(loaded, entries)
    async with open_store(loaded) as store:
        replica = build(read(loaded, entries), store)
        server = await http_server(replica, REGISTRY)
        try:
            # Before listening: a proxy that does not use /readyz sends requests at once.
            await replica.join()
            await _start(loaded, server)
            _tune_garbage_collection()
            async with replica.background_tasks(load, signals.reload):
                await signals.end.wait()
                replica.serving.draining = True
                await close(server, drain_timeout, signals.at_once)
        finally:
            await server.close()
            await replica.close()


def build(
    state: ReloadableState,
    store: Store,
    *,
    clock: Callable[[], float] = time.time,
    record: AuditRecorder = _record,
) -> Replica:
    """Build a replica from its configuration and files, on this store."""
    parts = _parts(state, store, clock)
    return Replica(state, parts, partial(_gateway, parts, clock, record))


async def http_server(replica: Replica, registry: CollectorRegistry) -> HttpServer:
    """Set up the HTTP server of a replica, without a listening socket.

    The metrics of the replica are registered in `registry`.
    """
    routes = application(replica.serving)
    requests = replica.measure(routes, registry)
    server = HttpServer(routes, FrontDoor(replica.serving, requests.record))
    await server.set_up()
    return server


def _parts(state: ReloadableState, store: Store, clock: Callable[[], float]) -> Parts:
    settings, measured = state.loaded.settings, MeasuredStore(store)
    mirror = Mirror(
        measured,
        # A session that is checked continuously is read, and so used, before its idle timeout.
        max_staleness=min(settings.cache.max_staleness, settings.auth.auto_logout / 2),
        deadline=store.deadline,
        capacity=MAX_MIRRORED_SESSIONS,
    )
    return Parts(
        store,
        measured,
        mirror,
        HashPool(),
        PageRenderer(PageTheme(settings.login.product, settings.login.color)),
        store.revocation_feed(mirror.mark_ended),
        store.key_registry(state.keys),
        _network(clock) if state.providers else None,
    )


def _network(clock: Callable[[], float]) -> "ProviderNetwork":
    # Loaded with the first provider only, as its modules take memory in each replica.
    from authgw.server.providers import ProviderNetwork

    return ProviderNetwork(clock)


def _provider_methods(state: ReloadableState) -> tuple[LoginMethod, ...]:
    if not state.providers:
        return ()
    from authgw.web.provider_login import ProviderLogin

    return (ProviderLogin(),)


def _providers(
    parts: Parts,
    state: ReloadableState,
    issuer: Issuer,
    service: LoginService,
    record: AuditRecorder,
) -> "ProviderServices | None":
    if parts.network is None:
        return None
    from authgw.server.providers import ProviderServices

    return ProviderServices(
        parts.network, state, parts.mirror, parts.measured_store, issuer, service, record
    )


def _gateway(
    parts: Parts,
    clock: Callable[[], float],
    record: AuditRecorder,
    state: ReloadableState,
    ready: Readiness,
) -> Gateway:
    """Return the context of the handlers; only `parts` are shared with earlier states."""
    settings = state.loaded.settings
    auth = settings.auth
    audience = auth.audience or auth.issuer
    issuer = Issuer(
        auth.issuer,
        audience,
        state.keys,
        auth.previous_issuers,
        uses_derived_keys=lambda: parts.store.compact,
    )
    # Decisions know users by this directory alone: another source than the file joins it here.
    users: UserDirectory = state.users
    service = _login(parts, clock, state, issuer)
    providers = _providers(parts, state, issuer, service, record)
    services = Services(
        sessions=_sessions(parts, clock, auth, issuer, users, providers),
        identifiers=issuer.identifiers,
        backends=state.clients,
        counters=parts.measured_store,
        keys=state.keys,
        record=record,
        clock=clock,
        ready=ready,
        check_keys=parts.key_registry.check if parts.key_registry else _accept_keys,
        strangers=parts.strangers,
    )
    if settings.login.sites.all or settings.server.docs:
        parts.pages.compile()
    policy, allowed_checks = _policy(state), AllowedChecks()
    rescue = RescueLogin(
        RescueLinks(users, parts.measured_store, issuer, clock=clock),
        is_enabled=not settings.login.passwords,
    )
    login = LoginContext(
        users,
        service,
        auth.refresh_lifetime,
        parts.pages,
        methods=(
            PasswordLogin(service, is_enabled=settings.login.passwords),
            *_provider_methods(state),
            rescue,
        ),
        factors=(TotpFactor(service),),
        allowed_checks=allowed_checks,
        providers=providers.parts if providers else None,
    )
    checks = CheckContext(
        policy,
        services.identification,
        issuer.identifiers,
        users,
        record,
        clock,
        allowed_checks,
        refusal_page=partial(
            refusal_page, parts.pages, policy.sites, show_groups=settings.login.show_groups
        ),
    )
    return Gateway(policy, login, services, CheckEndpoint(checks))


def _policy(state: ReloadableState) -> Policy:
    settings, rules = state.loaded.settings, state.loaded.rules
    sites = settings.login.sites
    return Policy(
        rules=NO_RULES if rules is None else rules,
        sites=sites,
        cookies=sites.session_cookies,
        trusted=TrustedProxies.parse(settings.server.trusted_proxies),
        identity=settings.headers.identity,
        settings=settings,
    )


def _login(
    parts: Parts, clock: Callable[[], float], state: ReloadableState, issuer: Issuer
) -> LoginService:
    settings = state.loaded.settings
    return LoginService(
        state.users,
        parts.hash_pool,
        parts.measured_store,
        issuer,
        policy=settings.login.totp,
        passwords=settings.login.passwords,
        device_lifetime=settings.auth.refresh_lifetime,
        clock=clock,
        rehash=settings.auth.passwords.rehash,
        budget=parts.strangers,
    )


def _sessions(
    parts: Parts,
    clock: Callable[[], float],
    auth: AuthSettings,
    issuer: Issuer,
    users: UserDirectory,
    providers: "ProviderServices | None",
) -> Sessions:
    return Sessions(
        parts.mirror,
        issuer,
        auth.lifetimes,
        idle=auth.auto_logout,
        max_sessions=auth.max_sessions,
        clock=clock,
        users=users,
        refreshed=parts.refreshes,
        bounds=providers.bounds if providers else None,
        on_due=providers.on_due if providers else None,
        reseal=providers.reseal if providers else None,
        index=providers.index if providers else None,
    )


def _accept_keys() -> None:
    """Accept the keys of a replica that runs alone."""


def _log_summary(loaded: LoadedConfig, entries: EntryFiles) -> None:
    """Log a summary of the files first, so that a start in a wrong directory is noticed."""
    first = summary(loaded, users=entries.users.count, clients=len(entries.clients.ids))
    logger.bind(event="start").info(first)
    for note in loaded.notes:
        logger.bind(event="configuration_note").info(note)


def _return_large_blocks() -> None:
    """Return each large block of memory to the system when it is freed.

    By default glibc keeps such blocks once it has freed one (mallopt(3)): the former tables of a
    growing dict would stay resident, as large as the present table.
    """
    with suppress(AttributeError):  # of another C library
        ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, _LARGE_BLOCK)


def _tune_garbage_collection() -> None:
    """Collect cyclic garbage less often, and never examine objects that live until the end.

    By default a gateway that mirrors many sessions spends a tenth of its time on examining them
    repeatedly; requests leave no cycles.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


async def _start(loaded: LoadedConfig, server: HttpServer) -> None:
    auth = loaded.settings.auth
    addresses = await server.listen(loaded.settings.server, loaded.directory)
    for warning in (
        *loaded.warnings,
        *loaded.rule_warnings,
        *secret_file_warnings(secret_files(loaded)),
    ):
        logger.bind(event="configuration_warning").warning(warning)
    if loaded.rules is None:
        logger.bind(event="no_access_rules").warning(
            "No access rules: any valid session may access every protected host."
        )
    if auth.open_login:
        logger.bind(event="open_login_enabled").warning(
            "auth.open_login is true, so that any client can log in as any user_id: set it to "
            "false outside of tests."
        )
    _expose_metrics(loaded.settings)
    logger.bind(event="listening").info(f"Listening on {' and '.join(addresses)}")


def _expose_metrics(settings: Settings) -> None:
    address = settings.metrics
    try:
        metrics_server.expose(address.host, address.port)
    except OSError as error:
        # A second replica on this machine, or Prometheus itself: requests are served anyway.
        logger.bind(event="metrics_unavailable").warning(
            f"metrics.port: cannot listen on {address.host}:{address.port} ({error.strerror}), so "
            "that no metrics are served: set another port."
        )


def _refuse_slow_parser() -> None:
    if parses_in_python():
        raise ConfigError(
            [
                "AIOHTTP_NO_EXTENSIONS makes aiohttp parse requests in Python, which is slow: "
                "unset it"
            ]
        )
