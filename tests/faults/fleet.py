"""Replicas on the same Redis behind NGINX with the shipped files."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.faults.load import PageVisitor
from tests.faults.redisserver import RedisProcess
from tests.faults.stack import nginx
from tests.support.processes import GatewayProcess, ask, free_port, two_replicas, wait_until_ready


@dataclass
class RedisFleet:
    """Replicas with the same directory and Redis, and the port of NGINX in front of them."""

    redis: RedisProcess
    replicas: tuple[GatewayProcess, ...]
    port: int

    @property
    def folder(self) -> Path:
        """The directory of config.yml and the other files of all replicas."""
        return self.replicas[0].folder

    def people(self, number: int, *, refreshes_every: int) -> list[PageVisitor]:
        """Return clients that have just logged in."""
        pairs = [(user, self.replicas[0].login(user)) for user in range(1, number + 1)]
        return [PageVisitor(user, pair, refreshes_every) for user, pair in pairs]

    def statuses(self, people: list[PageVisitor], *, path: str = "/page") -> list[set[int]]:
        """Return each replica's status codes for these clients."""
        return [{_status(replica, person, path) for person in people} for replica in self.replicas]


def _status(replica: GatewayProcess, person: PageVisitor, path: str) -> int:
    headers = {
        "Authorization": f"Bearer {person.pair['access']}",
        "X-Original-URL": f"http://localhost{path}",
        "X-Original-Host": "localhost",
        "X-Original-Method": "GET",
    }
    return ask(replica.port, "GET", "/authenticate", headers).status


@contextmanager
def running_fleet(folder: Path, number: int, config: str) -> Iterator[RedisFleet]:
    """Start this number of replicas, at least two, with this config.yml, and their services."""
    with ExitStack() as ends:
        # Redis runs throughout, and a disk that is slow for 250 ms would cause an unrelated 503.
        redis = ends.enter_context(RedisProcess(folder / "redis", "--appendonly", "no"))
        first, second = two_replicas(folder / "gateway", redis.url)
        more = (
            GatewayProcess(first.folder, free_port(), dict(first.environ))
            for _ in range(number - 2)
        )
        replicas = (first, second, *more)
        (folder / "gateway" / "config.yml").write_text(config)
        for replica in replicas:
            replica.start()
            ends.callback(replica.kill)
        port = ends.enter_context(nginx(folder, [replica.port for replica in replicas]))
        for replica in replicas:
            wait_until_ready(replica)
        yield RedisFleet(redis, replicas, port)
