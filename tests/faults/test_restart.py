"""Replicas end, intentionally or not, under load: no request fails, no session is lost."""

import signal
import socket
import time
from collections.abc import Iterator

import pytest

from tests.faults.fleet import RedisFleet, running_fleet
from tests.faults.load import load
from tests.support.counts import count
from tests.support.processes import GatewayProcess, ask, wait_until_ready

DRAIN = 2.0  # seconds
CONFIG = f"""
server: {{drain: {DRAIN}s}}
rules:
  - {{allow: authenticated}}
"""
RATE = 500.0  # pages per second
PEOPLE = 25


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisFleet]:
    with running_fleet(tmp_path_factory.mktemp("fleet"), 3, CONFIG) as running:
        yield running


def test_a_rolling_restart_fails_no_request(fleet: RedisFleet) -> None:
    people = fleet.people(PEOPLE, refreshes_every=20)
    before = fleet.redis.sessions().keys()
    with load(fleet.port, people, rate=RATE) as tally:
        for _ in range(count(2, 10)):
            for replica in fleet.replicas:
                assert replica.stop(signal.SIGTERM) == 0
                replica.start()
                wait_until_ready(replica)
    print(tally)
    assert tally.wrong == []
    assert set(tally.pages) == set(tally.refreshes) == {200}
    assert fleet.redis.sessions().keys() == before
    assert fleet.statuses(people) == [{200}] * 3


def test_a_replica_that_is_killed_fails_no_page_and_loses_no_session(fleet: RedisFleet) -> None:
    people = fleet.people(PEOPLE, refreshes_every=20)
    before = fleet.redis.sessions().keys()
    with load(fleet.port, people, rate=RATE) as tally:
        for number in range(count(5, 50)):
            replica = fleet.replicas[number % 3]
            replica.kill()
            replica.start()
            wait_until_ready(replica)
    print(tally)
    # A refresh may fail on the ended replica; the same token is valid on the other.
    assert tally.wrong == []
    assert set(tally.pages) == {200}
    assert set(tally.refreshes) <= {200, 503}
    assert fleet.redis.sessions().keys() == before
    assert fleet.statuses(people) == [{200}] * 3


def test_idle_and_unfinished_connections_do_not_delay_the_shutdown(fleet: RedisFleet) -> None:
    replica = fleet.replicas[0]
    links = [socket.create_connection(("127.0.0.1", replica.port)) for _ in range(2)]
    links[1].sendall(b"GET /page HTTP/1.1\r\nHost: loc")
    assert ask(replica.port, "GET", "/readyz").status == 200
    began = time.monotonic()
    assert replica.stop(signal.SIGTERM) == 0
    # Half of it is for load balancers; idle connections do not prolong the other half.
    assert DRAIN / 2 <= time.monotonic() - began < DRAIN
    for link in links:
        link.close()
    replica.start()


def half_a_login(replica: GatewayProcess) -> socket.socket:
    """Open a connection with a login request whose body is still missing."""
    link = socket.create_connection(("127.0.0.1", replica.port))
    headers = "Host: localhost\r\nContent-Type: application/json\r\nContent-Length: 9\r\n"
    basic = f"Authorization: {replica.basic['Authorization']}\r\n"
    link.sendall(f"POST /login HTTP/1.1\r\n{headers}{basic}\r\n{{".encode())
    return link


@pytest.mark.sample
def test_unfinished_requests_are_closed_at_the_end_of_the_drain(fleet: RedisFleet) -> None:
    replica = fleet.replicas[0]
    with half_a_login(replica):
        assert ask(replica.port, "GET", "/readyz").status == 200
        began = time.monotonic()
        assert replica.stop(signal.SIGTERM) == 0
        assert DRAIN <= time.monotonic() - began < DRAIN + 1
    assert "Requests were cut off: they took longer than 2 s (server.drain)" in replica.log
    replica.start()


@pytest.mark.parametrize("second", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_ends_at_once(fleet: RedisFleet, second: signal.Signals) -> None:
    replica = fleet.replicas[1]
    assert replica.process is not None
    link = half_a_login(replica)
    replica.process.send_signal(signal.SIGTERM)
    while ask(replica.port, "GET", "/readyz").status == 200:
        time.sleep(0.01)
    began = time.monotonic()
    assert replica.stop(second) == 0
    assert time.monotonic() - began < DRAIN / 2
    link.close()
    replica.start()
