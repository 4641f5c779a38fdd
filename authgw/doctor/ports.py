"""Checks of the gateway's ports: free, taken by a gateway, or by another program."""

import http.client
from collections.abc import Iterator

from authgw.config.loader import LoadedConfig
from authgw.doctor.findings import CheckResult, ok, problem, warning

_TIMEOUT = 2.0  # seconds
_LOOPBACK = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  connected to, not listened on


def examine(loaded: LoadedConfig) -> Iterator[CheckResult]:
    """Report which program listens on each port of this configuration."""
    server, metrics = loaded.settings.server, loaded.settings.metrics
    yield _gateway(server.host, server.port)
    yield _metrics(metrics.host, metrics.port)


def _gateway(host: str, port: int) -> CheckResult:
    part, ping = f"port {port}", _get(host, port, "/ping")
    if ping is None:
        return ok(part, "free (no gateway is running here)")
    if ping != (200, "pong"):
        return problem(
            part, "another program uses this port: stop that program, or set server.port"
        )
    status, reason = _get(host, port, "/readyz") or (503, "it has just stopped")
    if status == 200:
        return ok(part, "a gateway that is ready")
    return problem(part, f"a gateway that is not ready: {reason}")


def _metrics(host: str, port: int) -> CheckResult:
    part, response = f"port {port}", _get(host, port, "/metrics")
    if response is None:
        return ok(part, "free for metrics")
    if "authgw_" in response[1]:
        return ok(part, "a gateway's metrics")
    return warning(
        part, "another program uses this port, so that no metrics are served: set metrics.port"
    )


def _get(host: str, port: int, path: str) -> tuple[int, str] | None:
    """Return status and body of a GET; None if nothing listens, status 0 if it is not HTTP."""
    connection = http.client.HTTPConnection(_LOOPBACK.get(host, host), port, timeout=_TIMEOUT)
    try:
        connection.connect()
    except OSError:
        return None
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read().decode("utf-8", "replace")
    except (OSError, http.client.HTTPException):
        return 0, ""
    finally:
        connection.close()
