"""Logins without passwords: what is closed, and the one-time link of an operator."""

import time
from pathlib import Path
from typing import Any

import pyotp
import pytest
from aiohttp import ClientResponse

from authgw.core.tokens import LEEWAY, TicketClaims, TokenType
from authgw.identity import bindings_editor, users_editor
from authgw.identity.user_entry import mark
from authgw.services.rescue import RESCUE_LIFETIME, rescue_ticket
from tests.support.builders import an_issuer
from tests.support.gateway import HASH, PASSWORD, SECRET, MakeGateway, RunningGateway, basic
from tests.support.login_scene import APP, RULES, Jar, page_of, reload_users
from tests.support.users import OTHER

DAV = "https://dav.example.com/dav"
PROVIDERS = {
    "company": {
        "issuer": "https://kc.example.com/realms/x",
        "client_id": "authgw",
        "client_secret_file": "kc",
        "accept": "linked",
    }
}


def login_of(**keys: Any) -> dict[str, Any]:
    return page_of(passwords=False, providers=PROVIDERS, **keys)


@pytest.fixture
def secret_file(tmp_path: Path) -> None:
    (tmp_path / "kc").write_text("secret\n")
    (tmp_path / "kc").chmod(0o600)


@pytest.fixture
async def jar(make_gateway: MakeGateway, secret_file: None) -> Jar:
    """A browser at a gateway with `login.passwords: false`."""
    return Jar(await make_gateway(login=login_of(), rules=RULES))


def ticket_for(sub: str = "bob", *, password: str = HASH, age: float = 0.0) -> str:
    return rescue_ticket(an_issuer(), sub, mark(password), now=time.time() - age)


async def open_link(jar: Jar, ticket: str) -> ClientResponse:
    return await jar.get(f"/login/rescue?ticket={ticket}")


async def use_link(jar: Jar, ticket: str) -> ClientResponse:
    return await jar.post("/login/rescue", ticket=ticket)


async def test_nobody_logs_in_by_password(jar: Jar) -> None:
    running = jar.running
    page = await jar.get("/login")
    assert page.status == 200
    assert 'type="password"' not in jar.text
    assert (await jar.post("/login", username="bob", password=PASSWORD)).status in (403, 404)
    assert "__Secure-authgw" not in jar.cookies
    for body in (
        {"username": "bob", "password": PASSWORD},
        {"username": "alice", "password": PASSWORD, "totp": pyotp.TOTP(SECRET).now()},
    ):
        refused = await running.post("/login", body)
        assert refused.status == 403
        problem = await refused.json()
        assert problem["code"] == "passwords_off"
        assert "identity provider" in problem["detail"]
    assert running.events[-1].name == "login_failure"
    assert (await running.login(7))["sid"], "trusted backends are not concerned"


async def test_app_passwords_stay_unless_they_are_switched_off(
    jar: Jar, make_gateway: MakeGateway
) -> None:
    off = Jar(await make_gateway(login=login_of(app_passwords=False), rules=RULES))
    for browser, status in ((jar, 200), (off, 401)):
        secret = users_editor.add_app_password(browser.running.users.path, "bob", "laptop")
        await reload_users(browser.running)
        assert (await browser.check(DAV, **basic("bob", secret))).status == status
    assert off.running.events[-1].cause == "app_passwords_off"


async def test_a_link_opens_one_session(jar: Jar) -> None:
    ticket = ticket_for()
    page = await open_link(jar, ticket)
    assert page.status == 200
    assert "<bdi>bob</bdi>" in jar.text
    assert (await jar.check(APP)).status == 401, "the page spends nothing"
    assert (await open_link(jar, ticket)).status == 200
    done = await use_link(jar, ticket)
    assert (done.status, done.headers["Location"]) == (
        303,
        "https://auth.example.com/login/account",
    )
    assert (await jar.check(APP)).headers["Remote-User"] == "bob"
    event = next(event for event in jar.running.events if event.name == "login")
    assert (event.sub, event.credential) == ("bob", "rescue")
    other = Jar(jar.running)
    await open_link(other, ticket_for())
    used = await use_link(other, ticket)
    assert used.status == 400
    assert "__Secure-authgw" not in other.cookies
    event = jar.running.events[-1]
    assert (event.name, event.sub, event.cause) == ("login_failure", "bob", "rescue_used")


async def test_a_user_with_a_second_factor_needs_it(jar: Jar) -> None:
    ticket = ticket_for("alice")
    await open_link(jar, ticket)
    assert "<bdi>Alice A</bdi>" in jar.text
    step = await use_link(jar, ticket)
    assert (step.status, step.headers["Location"]) == (303, "/login/totp")
    assert (await jar.check(APP)).status == 401
    await jar.get("/login/totp")
    assert (await jar.post("/login/totp", code=pyotp.TOTP(SECRET).now())).status == 303
    assert (await jar.check("https://app.example.com/vault/x")).headers["Remote-User"] == "alice"
    event = next(event for event in jar.running.events if event.name == "login")
    assert event.credential == "rescue+otp"


@pytest.mark.parametrize(
    ("ticket", "cause"),
    [
        ("", "rescue_malformed"),
        ("x", "rescue_malformed"),
        (ticket_for(age=RESCUE_LIFETIME + LEEWAY + 1), "rescue_expired"),
        (ticket_for("nobody"), "rescue_other_password"),
        (ticket_for(password=OTHER), "rescue_other_password"),
        (ticket_for("gone"), "disabled"),
        (
            an_issuer().mint_ticket(
                "bob", TokenType.PENDING, TicketClaims("j", 60, mark(HASH)), now=time.time()
            ),
            "rescue_malformed",
        ),
    ],
)
async def test_other_links_are_refused(jar: Jar, ticket: str, cause: str) -> None:
    page = await open_link(jar, ticket)
    assert page.status == 400
    assert "the rescue link is not valid" in jar.text.lower()
    await jar.get("/login/rescue?ticket=" + ticket_for())
    assert (await use_link(jar, ticket)).status == 400
    assert jar.running.events[-1].cause == cause
    assert (await jar.check(APP)).status == 401


async def test_a_password_block_or_removal_ends_links_and_their_sessions(jar: Jar) -> None:
    running, first, second = jar.running, ticket_for(), ticket_for()
    await open_link(jar, first)
    await use_link(jar, first)
    assert (await jar.check(APP)).status == 200
    bindings_editor.block(running.users.bindings_path, "name:BOB")
    await reload_users(running)
    assert (await jar.check(APP)).status == 401
    assert (await open_link(Jar(running), second)).status == 400
    bindings_editor.unblock(running.users.bindings_path, "name:BOB")
    users_editor.set_password(running.users.path, "bob", OTHER)
    await reload_users(running)
    assert (await open_link(Jar(running), second)).status == 400


async def test_another_site_cannot_use_a_link(jar: Jar) -> None:
    ticket = ticket_for()
    await open_link(jar, ticket)
    refused = await jar.send("/login/rescue", {"Origin": "https://evil.test"}, {"ticket": ticket})
    assert refused.status == 403
    refused = await jar.send("/login/rescue", {"Origin": jar.origin}, {"ticket": ticket})
    assert refused.status == 403
    assert (await jar.check(APP)).status == 401
    assert (await use_link(jar, ticket)).status == 303


async def test_a_link_is_spent_once_on_all_replicas(jar: Jar) -> None:
    ticket = ticket_for()
    browsers = [Jar(jar.running) for _ in range(4)]
    for browser in browsers:
        await open_link(browser, ticket)
    results = [(await use_link(browser, ticket)).status for browser in browsers]
    assert sorted(results) == [303, 400, 400, 400]


async def test_there_are_no_links_where_users_have_passwords(make_gateway: MakeGateway) -> None:
    running: RunningGateway = await make_gateway(login=page_of(), rules=RULES)
    jar = Jar(running)
    await jar.get("/login")
    assert (await open_link(jar, ticket_for())).status == 404
    assert (await use_link(jar, ticket_for())).status == 404
