"""What Prometheus is told, on a port of its own."""

from prometheus_client import Gauge, start_http_server

USERS_FILE_BROKEN = Gauge(
    "authgw_users_file_broken", "1 while the users file cannot be read and older users stay"
)


def expose(host: str, port: int) -> None:
    """Answer `/metrics` at this address, on a thread of its own.

    Raises:
        OSError: the port is taken, or is not ours.
    """
    start_http_server(port, host)
