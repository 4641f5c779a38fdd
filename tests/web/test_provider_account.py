"""Linked accounts, codes of linked users, rechecks, and logouts that a provider reports."""

from collections.abc import Callable
from dataclasses import replace
from urllib.parse import quote

import pytest

from authgw.core.errors import (
    ProviderUnavailableError,
    RecheckRequiredError,
    SessionEndedError,
)
from authgw.core.limits import LINK_PROOF_AGE
from authgw.services.results import LoginRequest
from tests.support.every_page import Page
from tests.support.fake_provider import ISSUER
from tests.support.login_scene import APP, code
from tests.support.provider_browser import START, MakeSite, OidcSite, newest_session, sent_by

LINK = f"{START}/link"
SELF_SERVICE = {"self_service": ["link"]}


@pytest.fixture
async def own(make_site: MakeSite) -> OidcSite:
    """Return a gateway whose users may link accounts; bob is logged in."""
    site = await make_site(SELF_SERVICE)
    await site.jar.log_in("bob", rd="")
    await site.jar.get("/login/account")
    return site


def causes(site: OidcSite) -> list[str]:
    return [event.cause for event in site.running.events if event.cause]


def links_of(site: OidcSite, user: str) -> frozenset[str]:
    return site.running.users.linked_issuers(user)


async def link(site: OidcSite, **claims: str) -> str:
    """Begin to link an account; return the path of the callback."""
    return site.answer(await site.jar.post(LINK), **claims)


async def test_a_user_links_an_account_and_logs_in_with_it(own: OidcSite) -> None:
    session = own.jar.session
    assert "Link Example Ltd" in Page(own.jar.text).text
    started = await own.jar.post(LINK)
    assert sent_by(started)["prompt"] == "select_account"
    response = await own.jar.get(own.answer(started))
    assert response.headers["Location"] == "/login/account?linked=company"
    # A link never replaces the session.
    assert own.jar.session == session
    assert links_of(own, "bob") == {ISSUER}
    await own.jar.get("/login/account?linked=company")
    text = Page(own.jar.text).text
    assert "Your account at Example Ltd is linked." in text
    assert "Unlink Example Ltd" in text
    own.jar.cookies.clear()
    await own.log_in()
    checked = await own.jar.check(APP)
    assert checked.headers["Remote-User"] == "bob"


async def test_an_unlinked_account_ends_the_sessions_that_it_opened(own: OidcSite) -> None:
    await own.jar.get(await link(own))
    by_password = own.jar.cookies
    own.jar.cookies = {}
    await own.log_in()
    by_link, own.jar.cookies = own.jar.cookies, by_password
    await own.jar.get("/login/account")
    response = await own.jar.post(LINK, remove="yes")
    assert response.status == 200
    assert "is no longer linked" in Page(own.jar.text).text
    assert links_of(own, "bob") == frozenset()
    own.jar.cookies = by_link
    assert (await own.jar.check(APP)).status == 401


async def test_a_link_is_for_the_session_that_began_it(own: OidcSite) -> None:
    """A callback must not land in another session of the browser."""
    path = await link(own)
    flows = {name: value for name, value in own.jar.cookies.items() if "flow" in name}
    own.jar.cookies.clear()
    await own.jar.log_in("bob", rd="")
    own.jar.cookies |= flows
    response = await own.jar.get(path)
    assert response.status == 400
    assert causes(own)[-1] == "flow_session"
    assert links_of(own, "bob") == frozenset()


async def test_a_link_without_a_session_is_refused(own: OidcSite) -> None:
    path = await link(own)
    del own.jar.cookies["__Secure-authgw"]
    assert (await own.jar.get(path)).status == 400
    assert links_of(own, "bob") == frozenset()
    assert not own.jar.session


async def test_an_account_that_is_linked_elsewhere_is_refused_in_words(
    own: OidcSite,
) -> None:
    own.running.users.link("gone", ISSUER, "u1")
    response = await own.jar.get(await link(own))
    assert response.status == 403
    assert "It is linked to another user" in Page(own.jar.text).text
    assert causes(own)[-1] == "account_taken"


async def test_a_link_needs_a_recent_login(own: OidcSite, monkeypatch: pytest.MonkeyPatch) -> None:
    started = await own.jar.post(LINK)
    services = own.running.serving.gateway.services
    clock = services.clock
    object.__setattr__(services, "clock", lambda: clock() + LINK_PROOF_AGE + 1)
    response = await own.jar.get(own.answer(started))
    assert "Log in again first" in Page(own.jar.text).text
    assert links_of(own, "bob") == frozenset()
    await own.jar.get("/login/account")
    page = Page(own.jar.text)
    assert "/login?switch=yes&rd=/login/account" in [each["href"] for each in page.all("a")]
    assert not [form for form in page.all("form") if form["action"] == LINK]
    response = await own.jar.post(LINK)
    assert response.status == 200
    assert "Log in again first" in Page(own.jar.text).text


@pytest.mark.parametrize("token", ["", "wrong"])
async def test_a_link_needs_the_token_of_its_session(own: OidcSite, token: str) -> None:
    origin = {"Origin": "https://auth.example.com"}
    assert (await own.jar.send(LINK, origin, {"token": token})).status == 403
    evil = {"Origin": "https://evil.example.com"}
    assert (await own.jar.send(LINK, evil, {"token": own.jar.token})).status == 403
    assert own.flows() == []


async def test_without_self_service_nobody_links(site: OidcSite) -> None:
    await site.jar.log_in("bob", rd="")
    await site.jar.get("/login/account")
    assert "Linked accounts" not in Page(site.jar.text).text
    assert (await site.jar.post(LINK)).status == 404


async def test_a_read_only_users_file_hides_the_buttons(
    own: OidcSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    providers = own.running.serving.gateway.login.providers
    assert providers is not None
    monkeypatch.setattr(type(providers.links), "is_writable", False)
    await own.jar.get("/login/account")
    page = Page(own.jar.text)
    assert "the file of the users is read-only" in page.text
    assert not [form for form in page.all("form") if form["action"] == LINK]


# --- A linked user with a second factor here ---


async def test_a_linked_user_is_asked_for_the_code(site: OidcSite) -> None:
    site.running.users.link("alice", ISSUER, "u1")
    response = await site.log_in()
    target = quote(APP, safe="")
    assert response.headers["Location"] == f"/login/totp?rd={target}"
    assert not site.jar.session
    await site.jar.get(f"/login/totp?rd={target}")
    wrong = await site.jar.post("/login/totp", rd=APP, code="000000")
    assert wrong.status == 401
    response = await site.jar.post("/login/totp", rd=APP, code=code())
    assert response.headers["Location"] == APP
    checked = await site.jar.check("https://app.example.com/vault/x")
    assert (checked.status, checked.headers["Remote-User"]) == (200, "alice")


async def test_a_code_adds_to_the_methods_of_the_provider_and_moves_no_other_time(
    site: OidcSite,
) -> None:
    """The session states what was proved and when: no password, and no newer login."""
    site.running.users.link("alice", ISSUER, "u1")
    began = int(site.provider.now) - 1000
    await site.log_in(amr=["swk"], auth_time=began)
    await site.jar.get(f"/login/totp?rd={quote(APP, safe='')}")
    assert (await site.jar.post("/login/totp", rd=APP, code=code())).status == 303
    [session] = await site.running.store.sessions_of("alice")
    assert session.amr == ("swk", "otp")
    assert session.auth_time == began
    assert session.factor_time > began
    assert (session.issuer, session.account) == (ISSUER, "u1")


async def test_a_second_factor_of_the_provider_is_enough(site: OidcSite) -> None:
    site.running.users.link("alice", ISSUER, "u1")
    response = await site.log_in(amr=["mfa"])
    assert response.headers["Location"] == APP
    assert (await site.jar.check("https://app.example.com/vault/x")).status == 200


# --- Return targets ---


async def test_a_long_link_is_cut_to_the_front_page(site: OidcSite) -> None:
    """A ticket with the whole link would not fit into a cookie."""
    response = await site.log_in(rd=f"https://app.example.com/{'a' * 2000}")
    location = response.headers["Location"]
    assert location.startswith("/login/account?rd=https%3A%2F%2Fapp.example.com%2F&cut=yes")
    assert all(len(each.value) <= 4096 for each in site.jar.set_cookies)


async def test_a_foreign_target_is_ignored(site: OidcSite) -> None:
    response = await site.log_in(rd="https://evil.example.org/")
    assert "evil" not in response.headers["Location"]


# --- recheck=1: the provider confirms the session in the foreground ---


@pytest.fixture
async def renewing(make_site: MakeSite) -> OidcSite:
    site = await make_site(refresh="1m")
    site.provider.tokens["refresh_token"] = "RT"
    await site.log_in()
    return site


async def test_a_recheck_leads_on_to_the_target(
    renewing: OidcSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    providers = renewing.running.serving.gateway.login.providers
    assert providers is not None
    checked = []

    async def recheck(session: object) -> bool:
        checked.append(session)
        return True

    object.__setattr__(providers, "recheck", recheck)
    identification = renewing.running.sessions.identification
    bounds = identification._bounds
    monkeypatch.setattr(identification, "_bounds", Demanding(lambda: not checked, bounds))
    response = await renewing.jar.get(f"/login?rd={quote(APP, safe='')}&recheck=1")
    assert (response.status, response.headers["Location"]) == (303, APP)
    assert len(checked) == 1


async def test_a_provider_that_is_away_does_not_end_the_session(
    renewing: OidcSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    providers = renewing.running.serving.gateway.login.providers
    assert providers is not None

    async def recheck(_: object) -> bool:
        raise ProviderUnavailableError

    object.__setattr__(providers, "recheck", recheck)
    identification = renewing.running.sessions.identification
    bounds = identification._bounds
    monkeypatch.setattr(identification, "_bounds", Demanding(lambda: True, bounds))
    response = await renewing.jar.get(f"/login?rd={quote(APP, safe='')}&recheck=1")
    assert response.status == 503
    page = Page(renewing.jar.text)
    assert "You are still logged in" in page.text
    assert page.all("a")[0]["href"] == f"/login?rd={quote(APP, safe='')}&recheck=1"
    assert renewing.jar.session


@pytest.mark.parametrize("age", [10.0, 3600.0 * 24, 3600.0 * 24 * 7])
async def test_a_check_brings_no_session_back_that_has_ended(
    renewing: OidcSite, age: float
) -> None:
    """After `stale` the user logs in again, however willing the provider is to confirm."""
    store = renewing.running.sessions._store
    session = await newest_session(renewing)
    snapshot = await store.read(session.sid)
    old = replace(session, checked_at=session.checked_at - age, tried_at=session.tried_at - age)
    assert await store.replace(snapshot, old) is None
    calls = len(renewing.provider.calls.made)
    response = await renewing.jar.get(f"/login?rd={quote(APP, safe='')}&recheck=1")
    assert len(renewing.provider.calls.made) == calls
    assert response.status == (303 if age < 60 else 200)
    assert (await renewing.jar.check(APP)).status == (200 if age < 60 else 401)


async def test_a_secret_that_cannot_be_opened_keeps_the_bound_of_a_new_session(
    renewing: OidcSite,
) -> None:
    """Without its secret, a session would have no check and no `stale` any more."""
    sessions, session = renewing.running.sessions, await newest_session(renewing)
    broken = replace(session, sealed="v1|lost|x|y")
    login = LoginRequest.of_session(broken, broken.client)
    opened = await sessions.open(login, instead_of=broken)
    assert opened.session.sealed == "v1|lost|x|y"
    now = session.checked_at + 24 * 3600
    with pytest.raises(SessionEndedError):
        sessions.identification.admit(opened.session, now)


async def test_a_session_that_has_to_be_confirmed_is_logged_out_at_the_provider_too(
    make_site: MakeSite,
) -> None:
    site = await make_site(refresh="1m", logout="idp")
    site.provider.tokens["refresh_token"] = "RT"
    await site.log_in()
    await site.jar.get("/login/account")
    store, session = site.running.sessions._store, await newest_session(site)
    old = replace(session, checked_at=session.checked_at - 600, tried_at=session.tried_at - 600)
    assert await store.replace(await store.read(session.sid), old) is None
    response = await site.jar.post("/logout")
    assert response.headers["Location"].startswith(f"{ISSUER}/logout?")


class Demanding:
    """Bounds that demand a check of each session while `demands` returns True."""

    def __init__(self, demands: Callable[[], bool], bounds: object) -> None:
        self._demands = demands
        self._bounds = bounds

    def __getattr__(self, name: str) -> object:
        return getattr(self._bounds, name)

    def until(self, session: object, now: float) -> float:
        if self._demands():
            raise RecheckRequiredError
        return float("inf")

    def is_due(self, session: object, now: float) -> bool:
        return False
