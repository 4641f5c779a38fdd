"""Checks of cached callers whose sessions have to be read."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from authgw.core.tokens import LEEWAY
from authgw.forward_auth.endpoint import Begun
from tests.support.builders import LIVES, NOW
from tests.support.check_scene import SESSION, CheckScene, at_once, later, original


@pytest.fixture
async def unread(scene: CheckScene) -> tuple[tuple[str, str], ...]:
    """Return the headers of a check whose caller is cached, but whose session must be read."""
    headers = (*original(), scene.bearer())
    for _ in range(2):
        scene.begin(*headers)
    assert scene.cached(*headers) is not None
    scene.store.has_to_read = True
    scene.store.now += 1
    return headers


@pytest.mark.parametrize("begin", [CheckScene.begin, CheckScene.known])
async def test_the_response_to_a_cached_caller_is_sent_after_a_read(
    scene: CheckScene,
    unread: tuple[tuple[str, str], ...],
    begin: Callable[..., Begun],
) -> None:
    response = await later(begin(scene, *unread))
    assert (response.status, scene.events) == (200, [])
    assert b"Remote-User: 1\r\n" in response.prepared
    assert scene.store.used[SESSION.sid] == NOW + 1


async def test_a_cached_caller_whose_session_has_ended_is_refused_after_the_read(
    scene: CheckScene, unread: tuple[tuple[str, str], ...]
) -> None:
    scene.store.records.clear()
    assert (await later(scene.begin(*unread))).reason == "session_ended"
    assert [event.reason for event in scene.events] == ["session_ended"]


async def test_a_cached_caller_whose_session_has_changed_gets_another_response(
    scene: CheckScene, unread: tuple[tuple[str, str], ...]
) -> None:
    changed = replace(SESSION, groups=("other",))
    await scene.store.replace(scene.store.snapshot(SESSION.sid), changed)
    response = await later(scene.begin(*unread))
    assert ("Remote-Groups", "other") in response.headers


async def test_a_cached_caller_is_checked_completely_if_users_change_during_the_read(
    scene: CheckScene, unread: tuple[tuple[str, str], ...]
) -> None:
    begun = scene.begin(*unread)
    scene.users.version += 1
    # Only a decision has its headers one by one.
    assert ("Remote-User", "1") in (await later(begun)).headers


async def test_a_cached_caller_with_an_expired_token_is_refused_without_a_read(
    scene: CheckScene, unread: tuple[tuple[str, str], ...]
) -> None:
    begun = scene.begin(*unread)
    scene.now += LIVES.access + LEEWAY
    assert at_once(scene.begin(*unread)).reason == "token_expired"
    assert scene.store.used[SESSION.sid] == NOW
    assert (await later(begun)).reason == "token_expired"


async def test_a_watched_session_of_a_cached_caller_is_noted_after_the_read(
    scene: CheckScene, unread: tuple[tuple[str, str], ...]
) -> None:
    checks = scene.endpoint.context.allowed_checks
    begun = scene.begin(*unread)
    checks.watch(SESSION.sid)
    assert (await later(begun)).status == 200
    assert checks.since(SESSION.sid, "app.example.com", 1.0)
