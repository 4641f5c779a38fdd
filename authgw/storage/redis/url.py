"""Parser for the URL of a Redis: its servers, topology and credentials."""

from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import unquote

Topology = Literal["one", "sentinel", "cluster"]
_DEFAULT_PORTS: dict[Topology, int] = {"one": 6379, "sentinel": 26379, "cluster": 6379}
_EXAMPLES: dict[Topology, str] = {
    "one": "redis://HOST:6379/0",
    "sentinel": "redis+sentinel://HOST1:26379,HOST2:26379,HOST3:26379/MASTER",
    "cluster": "redis+cluster://HOST1:6379,HOST2:6379",
}


@dataclass(frozen=True, slots=True)
class RedisAddress:
    """The hosts of a Redis: a single server, the Sentinels of `master`, or nodes of a Cluster."""

    topology: Topology
    hosts: tuple[tuple[str, int], ...]
    tls: bool = False
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    master: str = ""
    database: int = 0


def is_redis(url: str) -> bool:
    """Return True if the scheme starts with `redis` or `rediss`, even if it is not valid."""
    return url.partition("://")[0].partition("+")[0] in ("redis", "rediss")


def parse_redis(url: str) -> RedisAddress:
    """Parse a `redis://`, `redis+sentinel://` or `redis+cluster://` URL; `rediss` means TLS.

    User, password, host and MASTER are percent-decoded.

    Raises:
        ValueError: the URL is not valid; the message starts with a verb and omits the password.
    """
    scheme, _, rest = url.partition("://")
    family, _, kind = scheme.partition("+")
    topology = _topology(family, kind)
    if "?" in rest or "#" in rest:
        raise ValueError("has options after `?` or `#`, which have no effect: remove them")
    userinfo, _, location = rest.rpartition("@")
    username, _, password = userinfo.partition(":")
    netloc, _, path = location.partition("/")
    master, database = _path(topology, path)
    hosts = tuple(_host(text, _DEFAULT_PORTS[topology]) for text in netloc.split(","))
    if topology == "one" and len(hosts) > 1:
        raise ValueError("names several servers: write redis+sentinel:// or redis+cluster://")
    return RedisAddress(
        topology,
        hosts,
        tls=family == "rediss",
        username=unquote(username) or None,
        password=unquote(password) or None,
        master=master,
        database=database,
    )


def _topology(family: str, kind: str) -> Topology:
    kinds: dict[str, Topology] = {"": "one", "sentinel": "sentinel", "cluster": "cluster"}
    if family not in ("redis", "rediss") or kind not in kinds:
        raise ValueError(f"is not the URL of a Redis: write {', '.join(_EXAMPLES.values())}")
    return kinds[kind]


def _path(topology: Topology, path: str) -> tuple[str, int]:
    """Return the master's name and the number of the database."""
    master, database = "", path
    if topology == "sentinel":
        master, _, database = path.partition("/")
        if not master:
            raise ValueError(f"has no name of a master: write {_EXAMPLES['sentinel']}")
    if topology == "cluster" and database not in ("", "0"):
        raise ValueError(
            "names a database, which a Cluster does not have: remove the text after the hosts"
        )
    if database and not (database.isascii() and database.isdigit()):
        raise ValueError(f"has a database that is not a number: write {_EXAMPLES[topology]}")
    return unquote(master), int(database or 0)


def _host(text: str, default_port: int) -> tuple[str, int]:
    bracketed = text.startswith("[")
    host, closing, suffix = text[1:].partition("]") if bracketed else (text, "", "")
    if not bracketed:
        host, colon, port = text.partition(":")
        suffix = colon + port
    port = suffix.removeprefix(":")
    if not host or bracketed != bool(closing) or (suffix and not suffix.startswith(":")):
        raise ValueError("has a server without a host: write HOST:PORT")
    if suffix and not (port.isascii() and port.isdigit() and 0 < int(port) < 65536):
        raise ValueError(f"has a port of {host} that is not from 1 to 65535: correct it")
    return unquote(host), int(port or default_port)
