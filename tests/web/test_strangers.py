"""Requests without valid credentials: no write to the store beyond the budget of their address."""

from typing import Any

import pytest

from authgw.core.budget import AddressBudget
from authgw.core.limits import ThrottleLimit
from tests.support.gateway import PASSWORD, MakeGateway, RunningGateway, basic
from tests.support.login_scene import APP, RULES, Jar, page_of
from tests.support.provider_browser import START, MakeSite

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


async def test_wrong_passwords_in_the_form_stop_writing(
    make_gateway: MakeGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    jar = Jar(await make_gateway(login=page_of(), rules=RULES))
    service = jar.running.serving.gateway.login.service
    monkeypatch.setattr(service, "_budget", AddressBudget(LIMIT, lambda: 1000.0))
    writes = Writes(jar.running, monkeypatch)
    statuses = [(await jar.log_in(f"nobody{number}", "x")).status for number in range(5)]
    assert statuses == [401] * 3 + [429] * 2
    assert len({name for name in writes.names if "nobody" in name}) == 6, "a pair and a user each"


async def test_pages_and_starts_write_nothing(
    make_site: MakeSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a credential a request reaches the store in no way, however often it comes."""
    site = await make_site()
    store, jar = site.running.store, site.jar
    written = []
    for name in ("increment_all", "increment", "claim", "put", "add_member", "add", "replace"):
        monkeypatch.setattr(store, name, lambda *found, name=name: written.append((name, found)))
    token = site.provider.logout_token(sub="u1", iss="https://evil.example.com")
    for _ in range(30):
        jar.cookies.clear()
        assert (await jar.check(APP)).status == 401
        assert (await jar.get("/login")).status == 200
        assert (await site.start()).status == 303
        query = f"code=C1&state={'s' * 43}"
        assert (await jar.get(f"{START}/callback?{query}")).status == 400
        headers = {"Content-Type": "application/x-www-form-urlencoded", "Host": "auth.example.com"}
        report = f"logout_token={token}"
        response = await site.running.client.post(
            f"{START}/backchannel", data=report, headers=headers
        )
        assert response.status == 400
    assert written == []


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
