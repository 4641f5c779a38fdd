"""Wires the parts together; owns start-up and shutdown."""

import gc
from collections.abc import Callable

from aiohttp import http_parser, web
from loguru import logger

from authgw.config.loader import ConfigError, LoadedConfig
from authgw.config.schema import Settings
from authgw.files.key_files import secret_file_warnings
from authgw.observability import metrics_server
from authgw.server.http_protocol import Connections, most_connections
from authgw.server.listeners import listen
from authgw.server.reload import EntryFiles, read, read_entries, secret_files
from authgw.server.replica import Replica
from authgw.server.shutdown import SignalFlags, close
from authgw.server.store_factory import opened_store
from authgw.server.summary import summary
from authgw.web.dispatcher import shorten
from authgw.web.routes import application

LINE_BYTES = 32 * 1024  # as large_client_header_buffers in nginx/http.conf
# Longer than NGINX's 60, or NGINX would write into a connection that is being closed.
_KEEP_ALIVE = 75.0  # seconds
_LINGER = 2.0  # seconds in which a refused body is read on, so that its sender hears why


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
        replica = Replica(read(loaded, entries), store)
        surface = application(replica.serving)
        replica.tell_prometheus_of(surface)
        runner = web.AppRunner(surface, shutdown_timeout=patience)
        await runner.setup()
        assert runner.server is not None  # noqa: S101  it has been set up
        shorten(runner.server, replica.serving)
        connections = Connections(
            runner.server,
            most_connections(),
            replica.serving.at_once,
            replica.serving.refuse,
            access_log=None,
            keepalive_timeout=_KEEP_ALIVE,
            max_line_size=LINE_BYTES,
            max_field_size=LINE_BYTES,
            lingering_time=_LINGER,
            # No body may be compressed, and what is refused must not be inflated to be thrown away.
            auto_decompress=False,
        )
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
    # The pure-Python parser is laxer than llhttp about what a request is.
    if http_parser.HttpRequestParser is http_parser.HttpRequestParserPy:
        raise ConfigError(["aiohttp runs its pure-Python parser: unset AIOHTTP_NO_EXTENSIONS"])
