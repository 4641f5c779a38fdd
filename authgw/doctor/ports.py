"""Whether the gateway's ports are free, or taken by a gateway."""

import http.client
from collections.abc import Iterator

from authgw.config.loader import LoadedConfig
from authgw.doctor.findings import CheckResult, ok, problem, warning

_PATIENCE = 2.0  # seconds
_EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  asked about, not listened on


def examine(loaded: LoadedConfig) -> Iterator[CheckResult]:
    """Who answers on the ports of this configuration."""
    server, metrics = loaded.settings.server, loaded.settings.metrics
    yield _gateway(server.host, server.port)
    yield _metrics(metrics.host, metrics.port)


def _gateway(host: str, port: int) -> CheckResult:
    part, pong = f"port {port}", _said(host, port, "/ping")
    if pong is None:
        return ok(part, "free: no gateway runs here now")
    if pong != (200, "pong"):
        return problem(part, "taken by another program: end that one, or set server.port")
    status, why = _said(host, port, "/readyz") or (503, "it has just ended")
    if status == 200:
        return ok(part, "a gateway that is ready")
    return problem(part, f"a gateway that is not ready: {why}")


def _metrics(host: str, port: int) -> CheckResult:
    part, found = f"port {port}", _said(host, port, "/metrics")
    if found is None:
        return ok(part, "free for metrics")
    if "authgw_" in found[1]:
        return ok(part, "a gateway's metrics")
    return warning(part, "taken by another program, so nobody can read metrics: set metrics.port")


def _said(host: str, port: int, path: str) -> tuple[int, str] | None:
    """Status and body that a program there answers with; 0 if it speaks no HTTP, None if none."""
    link = http.client.HTTPConnection(_EVERYWHERE.get(host, host), port, timeout=_PATIENCE)
    try:
        link.connect()
    except OSError:
        return None
    try:
        link.request("GET", path)
        answer = link.getresponse()
        return answer.status, answer.read().decode("utf-8", "replace")
    except (OSError, http.client.HTTPException):
        return 0, ""
    finally:
        link.close()
