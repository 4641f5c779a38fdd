"""docker-compose.yml with three replicas: confinement, health, log-ins, a replica that restarts."""

import json
import re
import time
from base64 import b64encode

import pytest

from tests.containers.podman import Podman
from tests.faults.load import PageResponse, PageVisitor, load
from tests.support.processes import ask

PORT = 4000
REPLICAS = [f"authgw_authgw_{number}" for number in (1, 2, 3)]
SERVICES = [*REPLICAS, "authgw_sample_1", "authgw_redis_1", "authgw_nginx_1"]
RATE = 100  # pages per second
_METRICS = (
    "exec 3<>/dev/tcp/127.0.0.1/9090; "
    "printf 'GET /metrics HTTP/1.0\\r\\nHost: localhost\\r\\n\\r\\n' >&3; cat <&3"
)


def decisions(composed: Podman, replica: str) -> float:
    """Return the number of checks that a replica has answered."""
    text = composed.shell(replica, _METRICS)
    counts = re.findall(r"^authgw_decisions_total\{.*\} (\S+)$", text, re.MULTILINE)
    return sum(map(float, counts))


def visitors(client: str, number: int) -> list[PageVisitor]:
    basic = {"Authorization": f"Basic {b64encode(client.encode()).decode()}"}
    people = []
    for user_id in range(1, number + 1):
        login = ask(PORT, "POST", "/login", basic, {"user_id": user_id})
        assert login.status == 200, login.body
        people.append(PageVisitor(user_id, login.json(), refreshes_every=20))
    return people


def mismatch(person: PageVisitor, reply: PageResponse) -> str:
    """Return the mismatch of a page of the sample app, or ""."""
    if reply.status != 200:
        return f"{reply.status} {reply.body[:100]!r}"
    user = json.loads(reply.body)["user"]
    return "" if user == str(person.user_id) else f"is {user!r}"


@pytest.mark.parametrize("name", SERVICES)
def test_every_service_is_confined_inside(composed: Podman, name: str) -> None:
    status = composed.shell(name, "cat /proc/1/status; touch /x")
    assert "touch: cannot touch '/x': Read-only file system" in status
    assert "\nNoNewPrivs:\t1\n" in status
    for kind in ("Prm", "Eff", "Bnd", "Amb"):
        assert f"\nCap{kind}:\t{'0' * 16}\n" in status
    assert "\nUid:\t0\t" not in status


def test_a_program_and_a_person_log_in(
    composed: Podman, demo_client: str, demo_password: str
) -> None:
    (program,) = visitors(demo_client, 1)
    assert ask(PORT, "GET", "/").status == 401
    person = ask(PORT, "POST", "/login", body={"username": "demo", "password": demo_password})
    assert person.status == 200, person.body
    for pair, user in ((program.pair, "1"), (person.json(), "demo")):
        page = ask(PORT, "GET", "/page", {"Authorization": f"Bearer {pair['access']}"})
        assert (page.status, page.json()["user"]) == (200, user)


def test_health_follows_the_gateway(composed: Podman) -> None:
    name = REPLICAS[0]
    assert composed.attempt("healthcheck", "run", name).returncode == 0
    assert composed.inspect(name)["State"]["Health"]["Status"] == "healthy"
    composed.run("kill", "--signal=STOP", name)
    try:
        assert composed.attempt("healthcheck", "run", name, timeout=20).returncode != 0
    finally:
        composed.run("kill", "--signal=CONT", name)
    assert composed.attempt("healthcheck", "run", name).returncode == 0


def test_no_request_fails_while_a_replica_restarts(composed: Podman, demo_client: str) -> None:
    people = visitors(demo_client, 20)
    replica = REPLICAS[1]
    with load(PORT, people, rate=RATE, judge=mismatch) as tally:
        time.sleep(2)
        assert min(decisions(composed, name) for name in REPLICAS) > 0
        composed.run("stop", "--time=25", replica)
        assert composed.inspect(replica)["State"]["ExitCode"] == 0
        time.sleep(4)
        composed.run("start", replica)
        time.sleep(6)
        # It counts from its start, so NGINX has found it again.
        assert decisions(composed, replica) > 0
    assert tally.wrong == []
    assert set(tally.pages) == {200}
    assert set(tally.refreshes) == {200}
    assert tally.pages[200] > RATE * 10
