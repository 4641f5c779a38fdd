"""The servers that a Redis URL names; no connection to them repeats a command by itself."""

import ssl
from functools import partial
from pathlib import Path

from authgw.files.file_errors import file_error
from authgw.storage import StoreSetupError
from authgw.storage.redis.cluster import Cluster
from authgw.storage.redis.commands import Servers, SingleMaster
from authgw.storage.redis.link import Login
from authgw.storage.redis.locations import FixedLocation
from authgw.storage.redis.node import RedisNode
from authgw.storage.redis.url import RedisAddress, parse_redis


def connect(url: str, *, password: str | None = None, ca_file: Path | None = None) -> Servers:
    """Return the servers of a URL, without connecting to them yet.

    `password` replaces the URL's. `ca_file` contains the certificates of the authorities, in PEM,
    that are trusted instead of the system's.

    Raises:
        ValueError: as `parse_redis`.
        StoreSetupError: `ca_file` cannot be read or contains no certificate.
    """
    address = parse_redis(url)
    tls = _tls(ca_file) if address.tls else None
    login = Login(address.username, password or address.password, address.database, tls)
    if address.topology == "sentinel":
        return _behind_sentinels(address, login)
    if address.topology == "cluster":
        return Cluster(address.hosts, partial(_node, login))
    return SingleMaster(_node(login, *address.hosts[0]))


def _node(login: Login, host: str, port: int) -> RedisNode:
    return RedisNode(FixedLocation(host, port), login, f"Redis {host}:{port}")


def _behind_sentinels(address: RedisAddress, login: Login) -> SingleMaster:
    # Loaded for Sentinels only, as redis-py takes memory in each replica.
    from authgw.storage.redis.sentinels import location_behind

    location = location_behind(address.hosts, address.master, login.tls)
    server = RedisNode(location, login, f"Redis {address.master}")
    return SingleMaster(server, replicated=True)


def _tls(ca_file: Path | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca_file)
    except ssl.SSLError:
        raise StoreSetupError(
            f"cache.ca_file: {ca_file} contains no certificate in PEM: name such a file"
        ) from None
    except OSError as error:
        raise StoreSetupError(f"cache.ca_file: {file_error(ca_file or Path(), error)}") from None
