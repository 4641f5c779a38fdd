"""The Go service that this project descends from, for comparison.

It takes part in a benchmark if the variable AUTHGW_BENCH_GO is the path of its binary. The binary
reads `config.yml` from the working directory and the HS256 key from /run/secrets/jwt_key.
"""

import json
import os
import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import yaml

from bench.asking import bodies_of
from bench.gateways import Lab
from bench.measure import Sample, ratio
from bench.outcome import NotMeasured
from bench.processes import find, free_port, listens, running
from bench.wrk import request

_BINARY = "AUTHGW_BENCH_GO"
_GO = ", Go"  # the end of a variant's name
_SECRETS = Path("/run/secrets")
# A /run of its own, as the path of the secrets is fixed: mount(8) in a new namespace, no more.
_PRIVATE_RUN = (
    "mount -t tmpfs tmpfs /run && mkdir /run/secrets && cp jwt_key /run/secrets && exec $0"
)


@dataclass(frozen=True, slots=True)
class GoService:
    """A running Go service; `parts` are the pids of the service and of its Redis."""

    port: int
    parts: Mapping[str, Sequence[int]]

    def login(self, count: int, first: int = 1) -> list[dict[str, str]]:
        """Log in `count` users, from the user `first` on, and return their pairs of tokens.

        Raises:
            NotMeasured: a login was refused.
        """
        return [json.loads(body) for body in bodies_of(self.port, logins(count, first))]


def go_service(made: Lab) -> GoService | None:
    """Start the Go service on a separate Redis; None without its binary.

    Raises:
        NotMeasured: it does not start.
    """
    given = os.environ.get(_BINARY)
    if not given:
        return None
    binary = Path(given).absolute()
    if not os.access(binary, os.X_OK):
        raise NotMeasured(f"{_BINARY}={given} is not an executable file")
    directory, redis, port = made.directory("go"), made.redis(), free_port()
    (directory / "config.yml").write_text(yaml.safe_dump(_config(port, redis.port)))
    (directory / "jwt_key").write_text(secrets.token_hex(32))
    started = running(_command(binary), directory, partial(listens, port))
    pid = made.stack.enter_context(started)
    return GoService(port, {"go": [pid], "redis": [redis.pid]})


def logins(count: int, first: int = 1, headers: Mapping[str, str] | None = None) -> Iterator[bytes]:
    """Generate login requests of `count` users, from the user `first` on."""
    for number in range(first, first + count):
        yield request("POST", "/login", headers or {}, json.dumps({"user_id": number}).encode())


def go_name(name: str) -> str:
    """Return the name of the variant that compares the Go service with the variant `name`."""
    return f"{name}{_GO}"


def x_go(samples: Mapping[str, Sequence[Sample]], name: str) -> float | None:
    """Return the ratio of a variant to the same work of the Go service; None without its binary."""
    rounds = samples.get(go_name(name))
    return None if rounds is None else ratio(samples[name], rounds)


def parts_of(samples: Mapping[str, Sequence[Sample]]) -> tuple[str, ...]:
    """Return the columns of a table of these samples; the Go service's only if it took part."""
    return ("gateway", "redis", "server", *(("go",) if any(map(_is_go, samples)) else ()))


def _is_go(name: str) -> bool:
    return name.endswith(_GO)


def _config(port: int, redis: int) -> dict[str, dict[str, object]]:
    """Return the service's own `config.yml`, with other addresses and the log level `info`."""
    return {
        "server": {"port": port, "max_processors": 2},
        "logging": {"mode": "text", "level": "info"},
        "cache": {"host": "127.0.0.1", "port": redis},
        "auth": {
            "issuer": "jwt-microservice",
            "access_lifetime": "15m",
            "refresh_lifetime": "720h",
            "auto_logout": "24h",
            "passwords": {"min_length": 8},
        },
    }


def _command(binary: Path) -> list[str]:
    if _SECRETS.is_dir():
        return [str(binary)]
    namespaces = [find("unshare"), "--map-root-user", "--mount"]
    return [*namespaces, "sh", "-c", _PRIVATE_RUN, str(binary)]
