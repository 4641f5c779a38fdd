"""Instrumentation wrappers, around a store that fails on demand and a small application."""

from collections.abc import Sequence

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from prometheus_client import REGISTRY

from authgw.core.audit import Event
from authgw.core.errors import StoreUnavailableError
from authgw.core.reasons import CAUSES
from authgw.core.sessions import Snapshot
from authgw.observability.instrumentation import MeasuredStore, metrics_middleware
from authgw.observability.metrics import RequestMetrics, count, verdict
from authgw.storage.sqlite.store import EmbeddedStore
from authgw.web.problems import Handler
from tests.support.builders import NOW, a_session


def metric(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


class FailingStore(EmbeddedStore):
    """A store whose operations fail, with the exceptions of a real store."""

    async def revoke(self, sid: str) -> bool:
        try:
            raise ConnectionResetError
        except OSError:
            raise StoreUnavailableError("Redis: ConnectionResetError") from None

    async def read_many(self, sids: Sequence[str]) -> Sequence[Snapshot | StoreUnavailableError]:
        return [StoreUnavailableError("Redis: ReadOnlyError") for _ in sids]


async def test_store_operations_are_timed() -> None:
    before = metric("authgw_store_operation_seconds_count", operation="revoke")
    store = await EmbeddedStore.open(None, idle=60)
    assert not await MeasuredStore(store).revoke("x" * 44)
    assert metric("authgw_store_operation_seconds_count", operation="revoke") == before + 1
    await store.close()


async def test_store_errors_are_counted_by_the_original_exception() -> None:
    store = await FailingStore.open(None, idle=60)
    wrapper = MeasuredStore(store)
    before = metric("authgw_store_errors_total", operation="revoke", kind="ConnectionResetError")
    with pytest.raises(StoreUnavailableError):
        await wrapper.revoke("x" * 44)
    after = metric("authgw_store_errors_total", operation="revoke", kind="ConnectionResetError")
    assert after == before + 1
    before = metric("authgw_store_errors_total", operation="read", kind="refused")
    assert len(await wrapper.read_many(["a", "b"])) == 2
    assert metric("authgw_store_errors_total", operation="read", kind="refused") == before + 2
    await store.close()


async def test_records_are_passed_on_and_timed() -> None:
    store = await EmbeddedStore.open(None, idle=60)
    wrapper = MeasuredStore(store)
    before = metric("authgw_store_operation_seconds_count", operation="record")
    await wrapper.put("a", "1", 60)
    assert await wrapper.get("a") == "1"
    assert await wrapper.take("a") == "1"
    await wrapper.add_member("a", "2", 60)
    assert await wrapper.members("a") == ("2",)
    assert metric("authgw_store_operation_seconds_count", operation="record") == before + 5
    await store.close()


def opened_and_ended() -> tuple[float, float]:
    return metric("authgw_sessions_opened_total"), metric("authgw_sessions_ended_total")


async def test_opened_and_ended_sessions_are_counted() -> None:
    store = await EmbeddedStore.open(None, idle=60, clock=lambda: NOW)
    wrapper = MeasuredStore(store)
    opened, ended = opened_and_ended()
    sessions = [a_session(number=number) for number in range(4)]
    for session in sessions:
        await wrapper.add(session, 3)
    assert opened_and_ended() == (opened + 4, ended + 1)
    assert await wrapper.revoke(sessions[1].sid)
    assert not await wrapper.revoke(sessions[1].sid)
    assert opened_and_ended() == (opened + 4, ended + 2)
    assert len(await wrapper.revoke_all("1")) == 2
    assert opened_and_ended() == (opened + 4, ended + 4)
    await store.close()


@pytest.mark.parametrize(
    ("status", "reason", "expected"),
    [
        (200, "", "allow"),
        (401, "token_missing", "login"),
        (302, "session_ended", "login"),
        (403, "not_permitted", "deny"),
        (503, "store_unavailable", "deny"),
        (500, "internal_error", "deny"),
    ],
)
def test_verdict_of_a_response(status: int, reason: str, expected: str) -> None:
    assert verdict(status, reason) == expected


async def test_unknown_paths_share_a_label() -> None:
    async def answer(request: web.Request) -> web.Response:
        return web.Response(status=403, headers={"X-Authgw-Reason": "no_rule"})

    @web.middleware
    async def refuse(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            return await handler(request)
        except web.HTTPException as error:
            return web.Response(status=error.status)

    answers = RequestMetrics()
    app = web.Application(middlewares=[metrics_middleware(answers), refuse])
    app.add_routes([web.get("/authenticate/envoy{path:(/.*)?}", answer), web.get("/x", answer)])
    async with TestClient(TestServer(app)) as client:
        for path in ("/authenticate/envoy/a", "/authenticate/envoy/b", "/x", "/x/"):
            await client.get(path)
        await client.post("/x")
    assert answers.requests == {
        ("/authenticate/envoy", "403"): 2,
        ("/x", "403"): 1,
        ("other", "404"): 1,
        ("other", "405"): 1,
    }
    assert answers.decisions == {("deny", "no_rule"): 2}


def test_logins_are_counted_by_outcome() -> None:
    before = [metric("authgw_logins_total", outcome=name) for name in ("ok", "login_failed")]
    count(Event("login", "r", "a"))
    count(Event("login_failure", "r", "a", reason="login_failed"))
    count(Event("logout", "r", "a"))
    assert [metric("authgw_logins_total", outcome=name) for name in ("ok", "login_failed")] == [
        number + 1 for number in before
    ]


def test_refused_logins_are_counted_by_cause_from_zero() -> None:
    for cause in CAUSES:
        assert metric("authgw_login_failures_total", cause=cause) >= 0
    before = metric("authgw_login_failures_total", cause="code_late")
    count(Event("login_failure", reason="login_failed", cause="code_late"))
    count(Event("deny", reason="token_missing"))
    assert metric("authgw_login_failures_total", cause="code_late") == before + 1
