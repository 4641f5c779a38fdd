"""SIGHUP under load: each verdict is by the old or the new rules, and no valid token is refused."""

import json
import signal
import time
from base64 import urlsafe_b64decode
from collections.abc import Iterator
from pathlib import Path

import pytest

from authgw.files import key_files
from tests.faults.fleet import RedisFleet, running_fleet
from tests.faults.load import PageResponse, PageVisitor, load, mismatch
from tests.support.counts import count
from tests.support.processes import GatewayProcess, ask, make_gateway

OPEN = "rules: [{allow: authenticated}]\n"
SHUT = "rules: [{path: /page, allow: [group:nobody]}, {allow: authenticated}]\n"
RATE = 500.0
BROKEN = [
    ("config.yml", "rules: [{alow: authenticated}]\n", "config.yml:1: rules[0].alow"),
    ("config.yml", "", "rules: the section is gone"),
    ("users.yml", "alice: {}\n", "users.yml:1: alice.password: is missing"),
    ("clients.yml", "demo: {}\n", "clients.yml:1: demo.secret_sha256: is not the SHA-256"),
    ("secrets/keys/broken.pem", "no key\n", "broken.pem: is not an unencrypted private key"),
]


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisFleet]:
    with running_fleet(tmp_path_factory.mktemp("reload"), 2, OPEN) as running:
        yield running


def reload(gateway: GatewayProcess, message: str) -> None:
    """Send SIGHUP and wait for a further occurrence of this text in the log."""
    assert gateway.process is not None
    before, until = gateway.log.count(message), time.monotonic() + 10
    gateway.process.send_signal(signal.SIGHUP)
    while gateway.log.count(message) == before:
        assert time.monotonic() < until, gateway.log
        time.sleep(0.02)


def mismatch_with_both(person: PageVisitor, reply: PageResponse) -> str:
    """Return the mismatch of a response with both the open and the closed rules, or ""."""
    shut = reply.status == 403 and b"X-Authgw-Reason: not_permitted\r\n" in reply.head
    return "" if shut else mismatch(person, reply)


def test_every_verdict_is_that_of_the_old_or_the_new_rules(fleet: RedisFleet) -> None:
    people = fleet.people(10, refreshes_every=0)
    config = fleet.folder / "config.yml"
    with load(fleet.port, people, rate=RATE, judge=mismatch_with_both) as tally:
        for number in range(count(20, 200)):
            rules, status = ((SHUT, 403), (OPEN, 200))[number % 2]
            config.write_text(rules)
            for replica in fleet.replicas:
                reload(replica, "Reloaded: ")
            assert fleet.statuses(people) == [{status}] * 2
            # Requests for which no rule has changed have the same responses as before.
            assert fleet.statuses(people, path="/other") == [{200}] * 2
    assert tally.wrong == []
    assert set(tally.pages) == {200, 403}


def test_a_broken_file_keeps_the_previous_state_and_is_reported(fleet: RedisFleet) -> None:
    people = fleet.people(10, refreshes_every=0)
    config = fleet.folder / "config.yml"
    with load(fleet.port, people, rate=RATE) as tally:
        for name, text, message in BROKEN:
            config.write_text(SHUT)
            broken = fleet.folder / name
            good = broken.read_text() if broken.exists() and broken != config else None
            broken.write_text(text)
            broken.chmod(0o600)
            for replica in fleet.replicas:
                reload(replica, "Reload failed: ")
                assert message in replica.log.rpartition("Reload failed: ")[2]
            assert fleet.statuses(people) == [{200}] * 2
            if good is None:
                broken.unlink()
            else:
                broken.write_text(good)
        config.write_text(OPEN)
        for replica in fleet.replicas:
            reload(replica, "Reloaded: ")
    assert tally.wrong == []
    assert set(tally.pages) == {200}


def test_keys_rotate_under_load_without_a_refusal(fleet: RedisFleet) -> None:
    people = fleet.people(10, refreshes_every=10)
    keys = fleet.folder / "secrets/keys"
    with load(fleet.port, people, rate=RATE) as tally:
        for _ in range(count(1, 10)):
            # As by `authgw key add`, which would wait for ten minutes.
            signs_from = time.time() + 3
            kid = key_files.make_key(keys, "ES256", signs_from)
            for replica in fleet.replicas:
                reload(replica, "Reloaded: ")
            while time.time() < signs_from + 2:
                time.sleep(0.1)
            assert {_kid(person.pair["access"]) for person in people} == {kid}
    assert tally.wrong == []
    assert set(tally.pages) == set(tally.refreshes) == {200}


def test_a_retired_key_expires_on_time(tmp_path: Path) -> None:
    longest = 60.0
    gateway = make_gateway(
        tmp_path / "gateway",
        AUTHGW_AUTH__ACCESS_LIFETIME=f"{longest}s",
        AUTHGW_AUTH__REFRESH_LIFETIME=f"{longest}s",
    )
    gateway.start()
    pair = gateway.login()
    bearer = {"Authorization": f"Bearer {pair['access']}"}
    retired_at = time.time() + 3
    key_files.make_key(gateway.folder / "secrets/keys", "ES256", retired_at - longest)
    reload(gateway, "Reloaded: ")
    sent_times: dict[int, list[float]] = {}
    # signs-from is in whole seconds.
    while time.time() < retired_at + 1.5:
        sent = time.time()
        status = ask(gateway.port, "GET", "/authenticate", bearer).status
        sent_times.setdefault(status, []).extend((sent, time.time()))
    assert set(sent_times) == {200, 401}
    # Each response was decided between these two times.
    assert max(sent_times[200][::2]) < retired_at + 1
    assert min(sent_times[401][1::2]) > retired_at - 1
    answer = ask(gateway.port, "POST", "/refresh", body={"refresh": pair["refresh"]})
    assert answer.status == 401
    gateway.stop()


def _kid(token: str) -> str:
    head = token.partition(".")[0]
    kid: str = json.loads(urlsafe_b64decode(head + "=" * (-len(head) % 4)))["kid"]
    return kid
