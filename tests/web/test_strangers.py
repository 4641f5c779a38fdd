"""Requests without valid credentials: no write to the store beyond the budget of their address."""

from typing import Any

import pytest

from authgw.core.budget import AddressBudget
from authgw.core.limits import ThrottleLimit
from tests.support.gateway import PASSWORD, MakeGateway, RunningGateway, basic

LIMIT = ThrottleLimit(3, 60.0)


@pytest.fixture
async def running(make_gateway: MakeGateway, monkeypatch: pytest.MonkeyPatch) -> RunningGateway:
    gateway = await make_gateway()
    budget = AddressBudget(LIMIT, lambda: 1000.0)
    services, login = gateway.serving.gateway.services, gateway.serving.gateway.login.service
    object.__setattr__(services, "strangers", budget)
    monkeypatch.setattr(login, "_budget", budget)
    return gateway


class Writes:
    """The counters that a gateway writes."""

    def __init__(self, running: RunningGateway, monkeypatch: pytest.MonkeyPatch) -> None:
        self.names: list[str] = []
        real = running.store.increment_all

        async def increment_all(counted: Any) -> Any:
            self.names += [name for name, _ in counted]
            return await real(counted)

        monkeypatch.setattr(running.store, "increment_all", increment_all)


async def test_wrong_passwords_of_many_names_stop_writing(
    running: RunningGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    writes = Writes(running, monkeypatch)
    codes = []
    for number in range(5):
        body = {"username": f"nobody{number}", "password": "x"}
        codes.append((await (await running.post("/login", body)).json())["code"])
    assert codes == ["login_failed"] * 3 + ["too_many_failures"] * 2
    assert len({name for name in writes.names if "nobody" in name}) == 6, "a pair and a user each"
    refused = await running.post("/login", {"username": "nobody", "password": "x"})
    assert refused.headers["Retry-After"] == "60"
    assert running.events[-1].cause == "throttled_address"


async def test_correct_passwords_use_up_nothing(running: RunningGateway) -> None:
    for _ in range(5):
        body = {"username": "bob", "password": PASSWORD}
        assert (await running.post("/login", body)).status == 200


async def test_wrong_ids_of_backends_stop_writing_and_lock_no_backend_out(
    running: RunningGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    writes = Writes(running, monkeypatch)
    statuses = [
        (await running.post("/login", {"user_id": 1}, headers=basic(f"no{number}", "x"))).status
        for number in range(5)
    ]
    assert statuses == [401] * 3 + [429] * 2
    # An invented id chooses no name of a counter.
    assert set(writes.names) == {"client::127.0.0.1"}
    assert len(writes.names) == 3
    accepted = await running.post("/login", {"user_id": 1}, headers=running.shop)
    assert accepted.status == 200


@pytest.mark.parametrize("sub", ["service:ci", "client:shop", "Service:x"])
async def test_a_backend_opens_no_session_in_the_name_space_of_another_source(
    running: RunningGateway, sub: str
) -> None:
    response = await running.post("/login", {"subject": sub}, headers=running.shop)
    assert (response.status, running.events[-1].cause) == (403, "subject_reserved")


async def test_a_backend_opens_no_session_of_a_name_that_is_bound(
    running: RunningGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    binding = ("https://idp.test", "7")
    monkeypatch.setattr(
        type(running.users), "binding", lambda _, name: binding if name == "carol" else None
    )
    for sub, status in (("carol", 403), ("dave", 200)):
        response = await running.post("/login", {"subject": sub}, headers=running.shop)
        assert response.status == status
