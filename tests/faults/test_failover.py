"""A Redis master that fails or moves slots under load: no acknowledged write is lost."""

import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from tests.faults.failover_load import FailoverLoad, LoadClient
from tests.faults.stack import CONFIG
from tests.support.counts import count
from tests.support.processes import GatewayProcess, two_replicas, wait_until_ready
from tests.support.redis_sets import (
    Node,
    Nodes,
    cluster,
    confirms,
    program,
    replicas_online,
    sentinel_set,
    wait_until,
)

_MAX_RECOVERY = 2.0  # seconds from the election of a new master to the service


@contextmanager
def gateways_on(nodes: Nodes, folder: Path) -> Iterator[tuple[GatewayProcess, GatewayProcess]]:
    gateways = two_replicas(folder, nodes.url)
    (folder / "config.yml").write_text(CONFIG)
    try:
        for gateway in gateways:
            gateway.start()
        for gateway in gateways:
            wait_until_ready(gateway)
        yield gateways
    finally:
        for gateway in gateways:
            if gateway.process is not None and gateway.process.poll() is None:
                gateway.stop()


def seconds_until_served(load: FailoverLoad, client: LoadClient) -> float:
    """Return the time until each gateway refreshes this client's session."""
    since = time.monotonic()
    for gateway in load.gateways:
        while load.refresh(gateway, client) != 200:
            assert time.monotonic() - since < 10, "no refresh in 10 s"
            time.sleep(0.05)
    return time.monotonic() - since


def check_load(load: FailoverLoad) -> None:
    """Check that all results are correct, and that there was a load."""
    load.settle()
    assert not load.wrong, (
        f"{len(load.wrong)} wrong, such as {load.wrong[:5]}; {load.statuses_seen}"
    )
    for what, least in (("check", 50), ("refresh", 5), ("log-out", 2)):
        assert load.statuses_seen[what, 200] > least, load.statuses_seen


def test_a_master_behind_sentinels_is_killed_under_load(tmp_path: Path) -> None:
    with sentinel_set(tmp_path) as nodes, gateways_on(nodes, tmp_path / "gateway") as gateways:
        load = FailoverLoad(gateways, 60)
        probe = load.clients[1]
        with load.running(), probe.turn:
            time.sleep(1)
            master = nodes.named
            assert master is not None
            master.kill()
            wait_until(lambda: nodes.named, "the Sentinels name a new master")
            assert seconds_until_served(load, probe) < _MAX_RECOVERY
            time.sleep(1)
        check_load(load)
        for gateway in gateways:
            wait_until_ready(gateway)


def test_an_acknowledged_logout_survives_the_loss_of_the_master(tmp_path: Path) -> None:
    with sentinel_set(tmp_path) as nodes, gateways_on(nodes, tmp_path / "gateway") as gateways:
        load = FailoverLoad(gateways, count(3, 100))
        for number, client in enumerate(load.clients):
            master = nodes.named
            assert master is not None
            # A replica that was just restarted confirms a moment later: until then it is 503.
            for ask in (
                partial(load.refresh, gateways[0]),
                partial(load.log_out, gateways[number % 2]),
            ):
                wait_until(partial(_is_acknowledged, ask, client), "it is acknowledged")
            time.sleep(0.05)
            master.kill()
            wait_until(lambda: nodes.named, "the Sentinels name a new master")
            # A client that received a 503 repeats the request until it gets a definite result.
            for gateway in gateways:
                wait_until(partial(_is_refused, load, gateway, client), "the store is back")
            body = {"refresh": client.pair["refresh"]}
            assert load._ask("replay", gateways[0], "POST", "/refresh", {}, body).status == 401
            _bring_back(nodes, master)
        assert not load.wrong, load.wrong


def _is_acknowledged(ask: Callable[[LoadClient], int], client: LoadClient) -> bool:
    return ask(client) == 200


def _is_refused(load: FailoverLoad, gateway: GatewayProcess, client: LoadClient) -> bool:
    status = load.check(gateway, client)
    assert status != 200, f"{client.user_id} passed after its log-out"
    return status == 401


def _bring_back(nodes: Nodes, node: Node) -> None:
    master = nodes.named
    assert master is not None
    # As in its rewritten configuration file; otherwise it would be a master for some seconds.
    node.start("--replicaof", "127.0.0.1", str(master.port))
    wait_until(lambda: replicas_online(master) == 2, "it is a replica of the new master", 30)
    wait_until(lambda: confirms(master), "a replica confirms")
    # A master killed earlier has no failover until the Sentinels agree, which takes a while.
    wait_until(lambda: nodes.is_settled, "the Sentinels have done", 30)


def test_slots_of_a_cluster_are_moved_and_a_node_is_killed_under_load(tmp_path: Path) -> None:
    with cluster(tmp_path) as nodes, gateways_on(nodes, tmp_path / "gateway") as gateways:
        load = FailoverLoad(gateways, 90)
        first, second, _ = nodes.masters
        probe = next(one for one in load.clients if not one.user_id % 2 and _holds(first, one))
        with load.running(), probe.turn:
            time.sleep(0.5)
            _move_slots(first, second, count(1000, 4000))
            assert seconds_until_served(load, probe) < _MAX_RECOVERY
            killed = next(one for one in nodes.masters if _holds(one, probe))
            killed.kill()
            wait_until(lambda: len(nodes.masters) == 3, "a replica took its place")
            assert seconds_until_served(load, probe) < _MAX_RECOVERY
            time.sleep(1)
        check_load(load)


def _holds(node: Node, client: LoadClient) -> bool:
    return bool(node.client.keys(f"authgw:*:s:{client.sid}"))


def _move_slots(source: Node, target: Node, number: int) -> None:
    ids = [_id(node) for node in (source, target)]
    words = ["--cluster-from", ids[0], "--cluster-to", ids[1], "--cluster-slots", str(number)]
    moved = subprocess.run(
        [
            program("redis-cli", "redis-tools"),
            *("--cluster", "reshard", f"127.0.0.1:{source.port}", *words, "--cluster-yes"),
            *("--cluster-pipeline", "1"),
        ],
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert moved.returncode == 0, moved.stdout[-500:]


def _id(node: Node) -> str:
    return str(node.client.execute_command("CLUSTER MYID"), "ascii")  # type: ignore[no-untyped-call]  # redis-py has no types here
