"""CheckEndpoint without a server: a plain subrequest in, a plain response out."""

import gc
import json
from typing import Any

import pytest

from authgw.core.errors import StoreUnavailableError
from authgw.core.users import NoUsers
from authgw.dialects.forwarded import FORWARDED
from authgw.dialects.nginx import NGINX
from authgw.forward_auth.pending_check import PendingCheck
from authgw.forward_auth.response_bytes import serialised
from tests.support.check_scene import (
    SESSION,
    CheckScene,
    at_once,
    later,
    made,
    original,
    subrequest,
)


class FailingUsers(NoUsers):
    """A user directory with a defect; its message contains a secret."""

    def find(self, sub: str) -> None:
        raise RuntimeError("a secret of the client")


async def test_the_third_check_is_cached(scene: CheckScene) -> None:
    headers = (*original(), scene.bearer())
    responses = [at_once(scene.begin(*headers)) for _ in range(2)]
    cached = scene.cached(*headers)
    assert cached is not None
    assert (cached.status, responses[0].status, responses[1].status) == (200, 200, 200)
    assert ("Remote-User", "1") in responses[0].headers
    assert b"Remote-User: 1\r\n" in cached.prepared
    assert scene.events == []


async def test_another_request_is_not_cached(scene: CheckScene) -> None:
    headers = (*original(), scene.bearer())
    for _ in range(2):
        scene.begin(*headers)
    assert scene.cached(*headers) is not None
    assert scene.cached(*original("/other"), scene.bearer()) is None
    assert scene.cached(*headers, peer="127.0.0.2") is None
    assert scene.cached(*original(), ("Authorization", "Bearer other")) is None
    assert scene.cached(*headers, ("X-Other", "a")) is None


async def test_a_cached_session_that_ended_is_not_found(scene: CheckScene) -> None:
    headers = (*original(), scene.bearer())
    for _ in range(2):
        scene.begin(*headers)
    scene.store.records.clear()
    assert scene.cached(*headers) is None
    assert at_once(scene.begin(*headers)).reason == "session_ended"


async def test_a_watched_session_is_checked_completely(scene: CheckScene) -> None:
    headers = (*original(), scene.bearer())
    for _ in range(2):
        scene.begin(*headers)
    scene.endpoint.context.allowed_checks.watch(SESSION.sid)
    assert scene.cached(*headers) is None


@pytest.mark.parametrize(
    "more",
    [
        {"is_plain": False},
        {"method": "HEAD"},
        {"dialect": FORWARDED, "path": FORWARDED.path},
        {"dialect": FORWARDED},
    ],
)
async def test_other_checks_are_never_cached(scene: CheckScene, more: dict[str, Any]) -> None:
    forwarded = (
        ("X-Forwarded-Method", "GET"),
        ("X-Forwarded-Proto", "https"),
        ("X-Forwarded-Host", "app.example.com"),
        ("X-Forwarded-Uri", "/"),
    )
    target = forwarded if "dialect" in more else original()
    headers = (*target, scene.bearer())
    for _ in range(3):
        assert at_once(scene.begin(*headers, **more)).status == 200
    assert scene.cached(*headers) is None
    refused = [at_once(scene.begin(*target, **more)) for _ in range(3)]
    assert {each.prepared for each in refused} == {b""}
    assert scene.endpoint.cache is not None
    assert len(scene.endpoint.cache) == 0


async def test_a_check_with_a_body_is_never_cached(scene: CheckScene) -> None:
    headers = (*original(), scene.bearer())
    for has_to_read in (False, True, False):
        scene.store.has_to_read = has_to_read
        response = await scene.endpoint.respond(subrequest(*headers), NGINX)
        assert (response.status, response.prepared) == (200, b"")
    assert scene.cached(*headers) is None


async def test_a_session_that_is_not_mirrored_is_read(scene: CheckScene) -> None:
    scene.store.has_to_read = True
    headers = (*original(), scene.bearer())
    # The second time its rule is cached.
    for _ in range(2):
        assert (await later(scene.begin(*headers))).status == 200
    assert scene.events == []


@pytest.mark.parametrize("cached", ["nothing", "its rule", "its caller"])
async def test_a_store_that_is_down_refuses_once(scene: CheckScene, cached: str) -> None:
    headers = (*original(), scene.bearer())
    for _ in range(["nothing", "its rule", "its caller"].index(cached)):
        scene.begin(*headers)
    scene.store.has_to_read = scene.store.down = True
    response = await later(scene.begin(*headers))
    assert (response.status, response.reason) == (503, StoreUnavailableError.code)
    assert [(e.name, e.reason) for e in scene.events] == [("deny", StoreUnavailableError.code)]


@pytest.mark.parametrize("path", ["/public", "/public?a"])
async def test_a_public_page_depends_on_no_store(scene: CheckScene, path: str) -> None:
    scene.store.has_to_read = scene.store.down = True
    assert at_once(scene.begin(*original(path))).status == 200
    assert (await later(scene.begin(*original(path), scene.bearer()))).status == 200
    assert scene.events == []


REFUSALS = [
    (original(), 401, "token_missing"),
    ((*original(), ("Authorization", "Bearer a.b.c")), 401, "token_malformed"),
    (original(host="other.example.com"), 403, "no_rule"),
    (original()[:2], 403, "target_missing"),
    ((*original(), original()[0]), 403, "target_duplicated"),
    ((*original(), ("Remote-User", "admin")), 403, "identity_header_from_client"),
    ((("X-Forwarded-Uri", "/"),), 403, "wrong_dialect"),
]


@pytest.mark.parametrize(("headers", "status", "reason"), REFUSALS)
async def test_a_refusal_has_its_status_and_event(
    scene: CheckScene, headers: tuple[tuple[str, str], ...], status: int, reason: str
) -> None:
    # The second time it may be cached.
    for number in range(1, 3):
        named = (*headers, ("X-Request-ID", f"id-{number}"))
        response = at_once(scene.begin(*named))
        assert (response.status, response.reason) == (status, reason)
        assert ("X-Request-ID", f"id-{number}") in response.own
        assert len(scene.events) == number
        event = scene.events[-1]
        assert (event.name, event.reason, event.request_id) == ("deny", reason, f"id-{number}")
    assert scene.events[0].detail == scene.events[1].detail


CREDENTIALS: list[tuple[tuple[str, str], ...]] = [
    (),
    (("Authorization", "Bearer a.b.c"),),
    (("Authorization", "Bearer garbage \t"),),
    (("Authorization", "Basic YTpi"),),
    (("Authorization", "Bearer a"), ("Authorization", "Bearer b")),
    (("Cookie", "other=1"),),
    (("Authorization", "Bearer garbage"), ("Cookie", "other=1")),
]


@pytest.mark.parametrize("credentials", CREDENTIALS)
async def test_a_check_whose_rule_is_known_has_the_same_response_and_event(
    scene: CheckScene, credentials: tuple[tuple[str, str], ...]
) -> None:
    headers = (*original(), *credentials, ("X-Request-ID", "r1 "))
    assert scene.known(*headers) is None
    first = at_once(scene.begin(*headers))
    for _ in range(2):
        known = scene.known(*headers)
        assert known is not None
        assert serialised(at_once(known)) == serialised(first)
    for event in scene.events[1:]:
        assert event == scene.events[0]
        assert event.request_id == "r1"
    assert scene.known(*headers, peer="127.0.0.2") is None
    assert scene.known(*original("/other"), *headers[3:]) is None


@pytest.mark.parametrize("credentials", CREDENTIALS)
async def test_a_refused_check_leaves_no_cycle(
    scene: CheckScene, credentials: tuple[tuple[str, str], ...]
) -> None:
    headers = (*original(), *credentials)
    gc.collect()
    gc.disable()
    try:
        for _ in range(3):
            scene.begin(*headers)
            scene.known(*headers)
        assert not any(isinstance(each, PendingCheck) for each in gc.get_objects())
    finally:
        gc.enable()


async def test_a_valid_session_is_allowed_where_the_rule_is_known(scene: CheckScene) -> None:
    headers = (*original(), scene.bearer())
    scene.begin(*headers)
    for has_to_read in (False, True):
        scene.store.has_to_read = has_to_read
        known = scene.known(*headers)
        assert known is not None
        response = await later(known) if has_to_read else at_once(known)
        assert (response.status, response.own) == (200, ())
    assert scene.events == []


async def test_a_caller_without_the_group_is_refused(scene: CheckScene) -> None:
    response = at_once(scene.begin(*original("/admin"), scene.bearer()))
    assert (response.status, response.reason) == (403, "not_permitted")
    (event,) = scene.events
    assert (event.name, event.sub, event.sid) == ("deny", "1", SESSION.sid)


async def test_a_peer_that_is_not_trusted_is_refused(scene: CheckScene) -> None:
    response = at_once(scene.begin(*original(), scene.bearer(), peer="192.0.2.9"))
    assert (response.status, response.reason) == (403, "untrusted_proxy")
    assert [event.address for event in scene.events] == ["192.0.2.9"]


async def test_a_direct_check_must_be_configured(scene: CheckScene) -> None:
    response = at_once(scene.begin(scene.bearer()))
    assert response.reason == json.loads(response.body)["code"] == "direct_check_off"
    assert [event.reason for event in scene.events] == ["direct_check_off"]


async def test_allowed_checks_are_recorded_and_not_cached() -> None:
    scene = made(NoUsers(), "all")
    await scene.store.add(SESSION, 5)
    for number in range(1, 4):
        assert at_once(scene.begin(*original(), scene.bearer())).status == 200
        assert [event.name for event in scene.events] == ["allow"] * number
    assert scene.cached(*original(), scene.bearer()) is None


@pytest.mark.parametrize("has_to_read", [False, True])
async def test_an_exception_is_a_problem_without_its_text(has_to_read: bool) -> None:
    scene = made(FailingUsers())
    await scene.store.add(SESSION, 5)
    scene.store.has_to_read = has_to_read
    begun = scene.begin(*original(), scene.bearer())
    response = await later(begun) if has_to_read else at_once(begun)
    assert (response.status, response.reason) == (500, "internal_error")
    assert json.loads(response.body)["code"] == "internal_error"
    (event,) = scene.events
    assert (event.name, event.reason) == ("failure", "internal_error")
    assert "RuntimeError at test_endpoint.py" in event.detail
    for text in (response.body.decode(), event.detail):
        assert "secret" not in text
        assert "Traceback" not in text
