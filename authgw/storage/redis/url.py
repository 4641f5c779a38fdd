"""What the URL of a store says: which servers, and how they are spoken to."""

from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import unquote

Topology = Literal["one", "sentinel", "cluster"]
_PORTS: dict[Topology, int] = {"one": 6379, "sentinel": 26379, "cluster": 6379}
_WRITTEN: dict[Topology, str] = {
    "one": "redis://HOST:6379/0",
    "sentinel": "redis+sentinel://HOST1:26379,HOST2:26379,HOST3:26379/MASTER",
    "cluster": "redis+cluster://HOST1:6379,HOST2:6379",
}


@dataclass(frozen=True, slots=True)
class RedisAddress:
    """The servers of a Redis: the one, the Sentinels of `master`, or some of a Cluster."""

    topology: Topology
    hosts: tuple[tuple[str, int], ...]
    tls: bool = False
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    master: str = ""
    database: int = 0


def is_redis(url: str) -> bool:
    """Whether this URL is one that `parse_redis` reads, or was meant to be."""
    return url.partition("://")[0].partition("+")[0] in ("redis", "rediss")


def parse_redis(url: str) -> RedisAddress:
    """What `redis://`, `redis+sentinel://` and `redis+cluster://` name; `rediss` means TLS.

    User, password and MASTER are percent-decoded.

    Raises:
        ValueError: what is wrong with it, beginning with a verb; the password is not in it.
    """
    scheme, _, rest = url.partition("://")
    family, _, kind = scheme.partition("+")
    topology = _topology(family, kind)
    if "?" in rest or "#" in rest:
        raise ValueError("has options after `?` or `#`, which mean nothing here: remove them")
    login, _, place = rest.rpartition("@")
    username, _, password = login.partition(":")
    hosts, _, path = place.partition("/")
    master, database = _path(topology, path)
    named = tuple(_host(text, _PORTS[topology]) for text in hosts.split(","))
    if topology == "one" and len(named) > 1:
        raise ValueError("names several servers: use redis+sentinel:// or redis+cluster://")
    return RedisAddress(
        topology,
        named,
        tls=family == "rediss",
        username=unquote(username) or None,
        password=unquote(password) or None,
        master=master,
        database=database,
    )


def _topology(family: str, kind: str) -> Topology:
    kinds: dict[str, Topology] = {"": "one", "sentinel": "sentinel", "cluster": "cluster"}
    if family not in ("redis", "rediss") or kind not in kinds:
        raise ValueError(f"is no Redis: use {', '.join(_WRITTEN.values())}")
    return kinds[kind]


def _path(topology: Topology, path: str) -> tuple[str, int]:
    """The master's name and the number of the database."""
    master, database = "", path
    if topology == "sentinel":
        master, _, database = path.partition("/")
        if not master:
            raise ValueError(f"names no master: use {_WRITTEN['sentinel']}")
    if topology == "cluster" and database not in ("", "0"):
        raise ValueError("names a database, and a Cluster has none: remove what follows the hosts")
    if database and not (database.isascii() and database.isdigit()):
        raise ValueError(f"names no database by its number: use {_WRITTEN[topology]}")
    return unquote(master), int(database or 0)


def _host(text: str, default: int) -> tuple[str, int]:
    bracketed = text.startswith("[")
    host, closed, after = text[1:].partition("]") if bracketed else (text, "", "")
    if not bracketed:
        host, colon, port = text.partition(":")
        after = colon + port
    port = after.removeprefix(":")
    if not host or bracketed != bool(closed) or (after and not after.startswith(":")):
        raise ValueError("names a server without a host")
    if after and not (port.isascii() and port.isdigit() and 0 < int(port) < 65536):
        raise ValueError(f"names no port from 1 to 65535 for {host}")
    return unquote(host), int(port or default)
