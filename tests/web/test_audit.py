"""The audit trail: each event is recorded once, with subject, session and address.

Clients act at random on a gateway, compared with a model of the events of each action.
"""

import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import pytest

from authgw.core.audit import Event
from authgw.core.errors import StoreUnavailableError
from authgw.identity import users_editor
from tests.support.gateway import PASSWORD, RunningGateway
from tests.support.login_scene import Jar, reload_users

ACTIONS, MOST = 400, 5
EventSummary = tuple[str, str, str, str]  # name, sub, sid, reason


@dataclass
class AuditedDevice:
    """A client that logged in as a subject, and every refresh token that it was given."""

    sub: str
    sid: str
    access: str
    refresh: list[str]


@dataclass
class AuditModel:
    """The model: who is logged in where, the oldest first."""

    gateway: RunningGateway
    choose: random.Random
    live: list[AuditedDevice] = field(default_factory=list)
    ended: list[AuditedDevice] = field(default_factory=list)

    def end(self, gone: list[AuditedDevice], name: str = "revoke") -> list[EventSummary]:
        self.live = [device for device in self.live if device not in gone]
        self.ended += gone
        return [(name, device.sub, device.sid, "") for device in gone]

    def of(self, sub: str) -> list[AuditedDevice]:
        return [device for device in self.live if device.sub == sub]

    async def log_in(self) -> list[EventSummary]:
        number = self.choose.randrange(1, 4)
        pair = await self.gateway.login(number)
        new = AuditedDevice(str(number), pair["sid"], pair["access"], [pair["refresh"]])
        displaced = self.of(new.sub)[: -MOST + 1 or None] if len(self.of(new.sub)) >= MOST else []
        ended_events = self.end(displaced)
        self.live.append(new)
        return [("login", new.sub, new.sid, ""), *ended_events]

    async def fail_as_a_client(self) -> list[EventSummary]:
        wrong = {"Authorization": "Basic c2hvcDp3cm9uZw=="}  # shop:wrong
        answer = await self.gateway.post("/login", {"user_id": 1}, headers=wrong)
        reason = "client_unknown" if answer.status == 401 else "too_many_failures"
        return [("login_failure", "client:shop", "", reason)]

    async def ask_too_much_as_a_client(self) -> list[EventSummary]:
        body = {"user_id": 9, "groups": ["admins"]}
        await self.gateway.post("/login", body, headers=self.gateway.shop)
        return [("login_failure", "9", "", "client_forbidden")]

    async def log_in_without_a_code(self) -> list[EventSummary]:
        body = {"username": "alice", "password": PASSWORD}
        await self.gateway.post("/login", body)
        return [("login_failure", "alice", "", "totp_required")]

    async def check(self) -> list[EventSummary]:
        device = self.choose.choice(self.live)
        assert await self.gateway.status(device.access) == 200
        return [("allow", device.sub, device.sid, "")]

    async def check_what_ended(self) -> list[EventSummary]:
        device = self.choose.choice(self.ended)
        assert await self.gateway.status(device.access) == 401
        return [("deny", device.sub, device.sid, "session_ended")]

    async def check_nothing_of_ours(self) -> list[EventSummary]:
        assert await self.gateway.status("a.b.c") == 401
        return [("deny", "", "", "token_malformed")]

    async def refresh(self) -> list[EventSummary]:
        device = self.choose.choice(self.live)
        answer = await self.gateway.post("/refresh", {"refresh": device.refresh[-1]})
        pair = await answer.json()
        device.access = pair["access"]
        device.refresh.append(pair["refresh"])
        return []

    async def refresh_what_ended(self) -> list[EventSummary]:
        device = self.choose.choice(self.ended)
        answer = await self.gateway.post("/refresh", {"refresh": device.refresh[-1]})
        assert answer.status == 401
        return [("deny", device.sub, device.sid, "session_ended")]

    async def use_again(self) -> list[EventSummary]:
        device = self.choose.choice(self.live)
        if len(device.refresh) < 3:
            return []
        path = self.choose.choice(["/refresh", "/logout"])
        assert (await self.gateway.post(path, {"refresh": device.refresh[0]})).status == 401
        ((_, sub, sid, _),) = self.end([device])
        return [("refresh_reuse", sub, sid, "refresh_reused")]

    async def log_out(self) -> list[EventSummary]:
        device = self.choose.choice(self.live + self.ended)
        body = {"refresh": device.refresh[-1]}
        assert (await self.gateway.post("/logout", body)).status == 200
        self.end([device] if device in self.live else [])
        return [("logout", device.sub, device.sid, "")]

    async def log_out_everywhere(self) -> list[EventSummary]:
        device = self.choose.choice(self.live)
        bearer = {"Authorization": f"Bearer {device.access}"}
        answer = await self.gateway.post("/logout", {"all": True}, headers=bearer)
        assert answer.status == 200
        others = self.end([other for other in self.of(device.sub) if other is not device])
        return self.end([device], "logout") + others

    async def revoke(self) -> list[EventSummary]:
        chosen = self.choose.choice(self.live)
        by_sid = self.choose.random() < 0.7
        gone = [chosen] if by_sid else self.of(chosen.sub)
        body = {"sid": chosen.sid} if by_sid else {"user_id": int(chosen.sub)}
        answer = await self.gateway.post("/revoke", body, headers=self.gateway.shop)
        assert (await answer.json())["revoked"] == [device.sid for device in gone]
        return self.end(gone)

    async def revoke_what_is_not_ones_own(self) -> list[EventSummary]:
        chosen = self.choose.choice(self.live + self.ended)
        answer = await self.gateway.post("/revoke", {"sid": chosen.sid}, headers=self.gateway.blog)
        assert (await answer.json())["revoked"] == []
        return []

    def actions(self) -> list[Callable[[], Awaitable[list[EventSummary]]]]:
        first = [
            *[self.log_in] * 6,
            self.fail_as_a_client,
            self.ask_too_much_as_a_client,
            self.check_nothing_of_ours,
        ]
        alive = [*[self.refresh] * 6, self.check, self.use_again, self.log_out_everywhere]
        either = [self.log_out, self.revoke, self.revoke_what_is_not_ones_own]
        return [
            *first,
            *(alive + either if self.live else []),
            *([self.check_what_ended, self.refresh_what_ended] if self.ended else []),
        ]


def summary(event: Event) -> EventSummary:
    return event.name, event.sub, event.sid, event.reason


@pytest.mark.parametrize("seed", range(3))
async def test_events_are_the_actions(gateway: RunningGateway, seed: int) -> None:
    world, ids = AuditModel(gateway, random.Random(seed)), set()
    chosen = [world.log_in_without_a_code]
    for number in range(ACTIONS):
        gateway.events.clear()
        expected = await (chosen.pop() if chosen else world.choose.choice(world.actions()))()
        assert sorted(map(summary, gateway.events)) == sorted(expected), number
        assert {event.address for event in gateway.events} <= {"127.0.0.1"}
        if gateway.events:
            (request_id,) = {event.request_id for event in gateway.events}
            assert request_id not in ids
            ids.add(request_id)
    assert len(world.ended) > 50


async def test_what_ended_before_the_store_went_away_is_recorded(
    gateway: RunningGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = [await gateway.login(7) for _ in range(2)]
    revoke = gateway.store.revoke

    async def once(sid: str) -> bool:
        if sid == second["sid"]:
            raise StoreUnavailableError
        return await revoke(sid)

    monkeypatch.setattr(gateway.store, "revoke", once)
    gateway.events.clear()
    answer = await gateway.post("/revoke", {"user_id": 7}, headers=gateway.shop)
    assert answer.status == 503
    assert [summary(event) for event in gateway.events] == [
        ("revoke", "7", first["sid"], ""),
        ("deny", "", "", "store_unavailable"),
    ]


async def test_a_reuse_says_when_and_from_where_the_session_was_opened(
    gateway: RunningGateway,
) -> None:
    pair = await gateway.login(1)
    last = pair
    for _ in range(2):
        last = await (await gateway.post("/refresh", {"refresh": last["refresh"]})).json()
    answer = await gateway.post("/refresh", {"refresh": pair["refresh"]})
    (event,) = [each for each in gateway.events if each.name == "refresh_reuse"]
    assert event.detail == (
        "session revoked: a refresh token was used again at least 0 s after it was replaced; "
        "the session was opened from 127.0.0.1"
    )
    # Whoever came with it learns nothing of that.
    assert "127.0.0.1" not in await answer.text()


async def test_a_log_in_that_takes_a_sessions_place_says_so(jar: Jar) -> None:
    await jar.log_in("bob")
    (before,) = jar.running.events
    await jar.log_in("bob")
    _, login, revoke = jar.running.events
    assert (before.name, login.name) == ("login", "login")
    assert summary(revoke) == ("revoke", "bob", before.sid, "")
    assert revoke.detail == "replaced by a new login"


async def test_ending_all_other_sessions_records_each(jar: Jar) -> None:
    others = [Jar(jar.running) for _ in range(2)]
    for each in (*others, jar):
        await each.log_in("bob")
    sids = [event.sid for event in jar.running.events]
    await jar.get("/login/account")
    jar.running.events.clear()
    await jar.post("/login/end", others="yes")
    assert list(map(summary, jar.running.events)) == [
        ("revoke", "bob", sid, "") for sid in sids[:2]
    ]


async def test_an_app_password_for_another_path_is_refused_by_name(jar: Jar) -> None:
    users = jar.running.users
    secret = users_editor.add_app_password(users.path, "bob", "laptop", paths=("/dav/**",))
    await reload_users(jar.running)
    for path in ("/dav/x", "/other"):
        await jar.check(f"https://dav.example.com{path}", Authorization=f"Bearer {secret}")
    allowed, denied = jar.running.events
    assert summary(allowed) == ("allow", "bob", "", "")
    assert summary(denied) == ("deny", "bob", "", "app_password_refused")
