"""Real Redis processes on the loopback interface: a server, a Sentinel set, a Cluster."""

import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

_HIGHEST = 22_767  # a Cluster's bus listens 10,000 above, below the ports of connections
MASTER = "sessions"


def program(name: str, package: str = "redis-server") -> str:
    found = shutil.which(name)
    if found is None:
        pytest.fail(f"{name} is missing: apt-get install {package}")
    return found


def low_ports(number: int) -> list[int]:
    """Ports that nobody listens on, nor 10,000 above, each tried once in a process."""
    found: list[int] = []
    while len(found) < number:
        port = next(_CANDIDATES)
        if all(_is_free(one) for one in (port, port + 10_000)):
            found.append(port)
    return found


def _candidates() -> Iterator[int]:
    # From a place of its own for each process that runs tests at the same time.
    start = 12_000 + time.time_ns() // 1000 % 10_000
    while True:
        yield from range(start, _HIGHEST + 1)
        yield from range(12_000, start)


_CANDIDATES = _candidates()


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def wait_until(holds: Callable[[], object], what: str, seconds: float = 15) -> None:
    """Return once `holds()` is true; an error of Redis counts as not yet."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            if holds():
                return
        except (RedisError, OSError):
            pass
        time.sleep(0.02)
    pytest.fail(f"not within {seconds} s: {what}")


@dataclass
class Node:
    """A redis-server process in a folder of its own."""

    port: int
    folder: Path
    options: Sequence[str] = ()
    authority: Path | None = None  # of its certificate: it speaks TLS only
    process: "subprocess.Popen[bytes] | None" = None
    client: "Redis" = field(init=False, repr=False)

    def __post_init__(self) -> None:
        authority = None if self.authority is None else str(self.authority)
        self.client = Redis(
            host="127.0.0.1",
            port=self.port,
            socket_timeout=2,
            retry=Retry(NoBackoff(), 0),
            ssl=authority is not None,
            ssl_ca_certs=authority,
        )

    def start(self, *more: str) -> None:
        self.folder.mkdir(exist_ok=True)
        ports = ["--port", "0", "--tls-port"] if self.authority else ["--port"]
        place = [*ports, str(self.port), "--bind", "127.0.0.1", "--dir", str(self.folder)]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [program("redis-server"), *self.options, *place, *more], stdout=log, stderr=log
            )
        wait_until(self.client.ping, f"Redis on port {self.port}, see {self.folder}/log")

    def send(self, number: int) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def stop(self) -> None:
        self.client.close()
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.kill()
            self.process.wait(10)

    def kill(self) -> None:
        self.send(signal.SIGKILL)
        assert self.process is not None
        self.process.wait(10)


@dataclass
class Nodes:
    """Servers that belong together, and the URL of all of them."""

    url: str
    nodes: list[Node]
    sentinels: list[Node] = field(default_factory=list)

    @property
    def named(self) -> Node | None:
        """The running master that most Sentinels name."""
        asked: list[Any] = [_named_by(sentinel) for sentinel in self.sentinels]
        port = max(set(asked), key=asked.count)
        return next((one for one in self.masters if one.port == port), None)

    @property
    def is_settled(self) -> bool:
        """Return True if every Sentinel completed the last failover and sees all servers."""
        named = self.named
        return named is not None and all(_sees_all(one, named.port) for one in self.sentinels)

    @property
    def masters(self) -> list[Node]:
        """Those that are running and say that they are masters."""
        return [node for node in self.nodes if _role(node) == "master"]


def _sees_all(sentinel: Node, port: int) -> bool:
    client: Any = sentinel.client
    master, copies = client.sentinel_master(MASTER), client.sentinel_slaves(MASTER)
    flags = [master["flags"], *(copy["flags"] for copy in copies)]
    return master["port"] == port and flags == ["master", "slave", "slave"]


def _named_by(sentinel: Node) -> int | None:
    try:
        client: Any = sentinel.client
        return int(client.sentinel_get_master_addr_by_name(MASTER)[1])
    except (RedisError, OSError, TypeError):
        return None


def _role(node: Node) -> str:
    try:
        return str(node.client.role()[0].decode())
    except (RedisError, OSError):
        return ""


_IN_MEMORY = ("--save", "", "--repl-diskless-sync-delay", "0", "--maxmemory-policy", "noeviction")


@contextmanager
def sentinel_set(folder: Path) -> Iterator[Nodes]:
    """A master, two replicas and three Sentinels that fail over after a second."""
    ports = low_ports(6)
    nodes = [Node(port, folder / str(port), _IN_MEMORY) for port in ports[:3]]
    with ExitStack() as running:
        for node in nodes:
            running.callback(node.stop)
            node.start()
        for node in nodes[1:]:
            node.client.replicaof("127.0.0.1", str(ports[0]))
        wait_until(lambda: replicas_online(nodes[0]) == 2, "two replicas are connected")
        wait_until(lambda: confirms(nodes[0]), "a replica confirms")
        sentinels = [_sentinel(folder / str(port), port, ports[0]) for port in ports[3:]]
        for sentinel in sentinels:
            running.callback(sentinel.stop)
            sentinel.start()
        for sentinel in sentinels:
            wait_until(partial(_knows_all, sentinel), "the Sentinels know each other")
        hosts = ",".join(f"127.0.0.1:{port}" for port in ports[3:])
        yield Nodes(f"redis+sentinel://{hosts}/{MASTER}", nodes, sentinels)


def _sentinel(folder: Path, port: int, master: int) -> Node:
    folder.mkdir()
    (folder / "sentinel.conf").write_text(
        f"sentinel monitor {MASTER} 127.0.0.1 {master} 2\n"
        f"sentinel down-after-milliseconds {MASTER} 1000\n"
        f"sentinel failover-timeout {MASTER} 2000\n"
        f"sentinel parallel-syncs {MASTER} 2\n"
    )
    return Node(port, folder, [str(folder / "sentinel.conf"), "--sentinel"])


def replicas_online(node: Node) -> int:
    """Return the number of replicas of this node."""
    return sum(one["state"] == "online" for one in _replication(node))


def confirms(master: Node) -> bool:
    """Return True if a replica acknowledged the master's writes; a new replica takes a second."""
    with master.client.client() as link:  # type: ignore[no-untyped-call]  # redis-py has no types here
        link.set("authgw:probe", "")
        link.delete("authgw:probe")
        return bool(link.wait(1, 200))


def _replication(node: Node) -> list[dict[str, str]]:
    said = node.client.info("replication")
    return [said[f"slave{number}"] for number in range(said["connected_slaves"])]


def _knows_all(sentinel: Node) -> bool:
    master: Any = sentinel.client.sentinel_master(MASTER)
    return bool(master["num-slaves"] == 2 and master["num-other-sentinels"] == 2)


@contextmanager
def cluster(folder: Path, masters: int = 3) -> Iterator[Nodes]:
    """A Cluster with a replica of each master, which fails over after 1.5 s."""
    ports = low_ports(2 * masters)
    own = ("--cluster-enabled", "yes", "--cluster-node-timeout", "1500")
    nodes = [Node(port, folder / str(port), (*_IN_MEMORY, *own)) for port in ports]
    hosts = [f"127.0.0.1:{port}" for port in ports]
    with ExitStack() as running:
        for node in nodes:
            running.callback(node.stop)
            node.start()
        command = ["--cluster", "create", *hosts, "--cluster-replicas", "1", "--cluster-yes"]
        made = subprocess.run(
            [program("redis-cli", "redis-tools"), *command], capture_output=True, timeout=30
        )
        assert made.returncode == 0, made.stdout
        for node in nodes:
            wait_until(partial(_is_whole, node, len(nodes)), "the Cluster is whole")
        yield Nodes(f"redis+cluster://{','.join(hosts)}", nodes)


def _is_whole(node: Node, size: int) -> bool:
    client: Any = node.client
    state, shards = (client.execute_command(f"CLUSTER {word}") for word in ("INFO", "SLOTS"))
    linked = client.info("replication")
    if linked["role"] == "slave" and linked["master_link_status"] != "up":
        return False
    whole = state["cluster_state"] == "ok" and state["cluster_known_nodes"] == str(size)
    return whole and len(shards) == size // 2


@contextmanager
def tls_server(folder: Path) -> Iterator[Node]:
    """A server that speaks TLS only, by a certificate of an authority made for it."""
    authority, certificate, key = make_certificates(folder)
    own = ["--tls-cert-file", str(certificate), "--tls-key-file", str(key)]
    own += ["--tls-ca-cert-file", str(authority), "--tls-auth-clients", "no"]
    node = Node(low_ports(1)[0], folder / "server", [*_IN_MEMORY, *own], authority)
    try:
        node.start()
        yield node
    finally:
        node.stop()


def make_certificates(folder: Path) -> tuple[Path, Path, Path]:
    """Write an authority's certificate, a certificate of it for 127.0.0.1, and the latter's key."""
    authority_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    authority = _certificate(
        "a private authority", authority_key, "a private authority", authority_key
    )
    signed = _certificate("redis", key, "a private authority", authority_key)
    pem = serialization.Encoding.PEM
    contents = {
        "authority.pem": authority.public_bytes(pem),
        "server.pem": signed.public_bytes(pem),
        "server.key": key.private_bytes(
            pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ),
    }
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    first, second, third = (folder / name for name in contents)
    return first, second, third


def _certificate(
    subject: str,
    key: ec.EllipticCurvePrivateKey,
    issuer: str,
    issuer_key: ec.EllipticCurvePrivateKey,
) -> x509.Certificate:
    now = datetime.now(UTC)
    addresses = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=subject == issuer, path_length=None), critical=True)
        .add_extension(addresses, critical=False)
        .sign(issuer_key, hashes.SHA256())
    )
