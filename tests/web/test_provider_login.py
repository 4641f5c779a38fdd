"""Logins at an identity provider in a browser: buttons, start, callback, and what is refused."""

from urllib.parse import quote

import pytest

from authgw.core.errors import ProviderUnavailableError
from authgw.core.limits import MAX_FLOW_COOKIES, PER_CALLBACK
from tests.support.every_page import Page
from tests.support.fake_provider import ISSUER
from tests.support.login_scene import APP
from tests.support.provider_browser import (
    CALLBACK,
    ELSEWHERE,
    OWN_PAGE,
    START,
    MakeSite,
    OidcSite,
    newest_session,
    sent_by,
)


def reasons(site: OidcSite) -> list[tuple[str, str]]:
    return [(event.reason, event.cause) for event in site.running.events if event.reason]


async def test_the_login_page_has_a_button_for_the_provider(site: OidcSite) -> None:
    await site.jar.get(f"/login?rd={quote(APP, safe='')}")
    page = Page(site.jar.text)
    link = page.one("a")
    assert link["href"] == f"{START}?rd={quote(APP, safe='')}"
    assert link["data-keeps-fragment"] == "rd"
    assert page.one("img") == {
        "src": "/login/oidc/company/icon",
        "alt": "",
        "width": "20",
        "height": "20",
    }
    assert "Log in with Example Ltd" in page.text
    assert page.all("input", name="password")


async def test_without_passwords_the_page_has_no_form(make_site: MakeSite) -> None:
    site = await make_site({"passwords": False})
    await site.jar.get("/login")
    page = Page(site.jar.text)
    assert not page.all("form")
    assert page.one("a")["href"] == START
    response = await site.jar.post("/login", rd=APP, username="bob", password="x")
    assert response.status == 404


async def test_a_login_leads_to_the_provider_and_back_to_the_very_url(
    site: OidcSite,
) -> None:
    started = await site.start()
    assert started.headers["Location"].startswith(f"{ISSUER}/auth?")
    assert started.headers["Cache-Control"] == "no-store"
    redirect = sent_by(started)["redirect_uri"]
    assert redirect == "https://auth.example.com/login/oidc/company/callback"
    (flow,) = site.flows()
    assert flow == f"__Host-authgw-flow-{sent_by(started)['state'][:8]}"
    cookie = next(each for each in site.jar.set_cookies if each.key == flow)
    assert (cookie["path"], cookie["samesite"], cookie["domain"]) == ("/", "Lax", "")
    assert (cookie["secure"], cookie["httponly"], cookie["max-age"]) == (True, True, "600")
    finished = await site.jar.get(site.answer(started, name="Alice"))
    assert (finished.status, finished.headers["Location"]) == (303, APP)
    assert site.flows() == []
    checked = await site.jar.check(APP)
    assert (checked.status, checked.headers["Remote-User"]) == (200, "company:u1")
    login = next(event for event in site.running.events if event.name == "login")
    assert (login.sub, login.credential) == ("company:u1", "oidc:company")


async def test_the_newest_two_flows_are_kept(site: OidcSite) -> None:
    states = [sent_by(await site.start())["state"][:8] for _ in range(4)]
    assert site.flows() == [f"__Host-authgw-flow-{state}" for state in states[-MAX_FLOW_COOKIES:]]


async def test_the_secrets_of_a_flow_are_not_in_its_cookie(site: OidcSite) -> None:
    sent = sent_by(await site.start())
    (flow,) = site.flows()
    value = site.jar.cookies[flow]
    assert sent["nonce"] not in value
    assert sent["state"] not in value


@pytest.mark.parametrize("name", ["unknown", "company2"])
@pytest.mark.parametrize("path", ["", "/callback", "/icon"])
async def test_an_unknown_provider_is_not_found(site: OidcSite, name: str, path: str) -> None:
    assert (await site.jar.get(f"/login/oidc/{name}{path}")).status == 404


# --- Login CSRF: the response of another browser's login ---


async def test_a_callback_without_its_cookie_is_refused(site: OidcSite) -> None:
    path = site.answer(await site.start())
    site.jar.cookies.clear()
    response = await site.jar.get(path)
    assert response.status == 400
    assert reasons(site) == [("flow_invalid", "flow_cookie")]
    assert "Start the login again" in Page(site.jar.text).text
    assert not site.jar.session


async def test_a_callback_with_the_cookie_of_another_flow_is_refused(site: OidcSite) -> None:
    other = site.answer(await site.start())
    site.jar.cookies.clear()
    await site.start()
    (mine,) = site.flows()
    state = other.partition("state=")[2][:8]
    site.jar.cookies[f"__Host-authgw-flow-{state}"] = site.jar.cookies[mine]
    response = await site.jar.get(other)
    assert response.status == 400
    assert reasons(site)[-1] == ("flow_invalid", "flow_cookie")
    assert not site.jar.session


async def test_an_expired_flow_starts_again_with_its_target(
    make_site: MakeSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = await make_site()
    path = site.answer(await site.start())
    logins = site.running.serving.gateway.login.providers
    assert logins is not None
    clock = logins.logins._clock
    monkeypatch.setattr(logins.logins, "_clock", lambda: clock() + 700)
    response = await site.jar.get(path)
    assert response.status == 400
    assert reasons(site) == [("flow_invalid", "flow_expired")]
    hrefs = [link["href"] for link in Page(site.jar.text).all("a")]
    assert hrefs[0] == f"{START}?rd={quote(APP, safe='')}"
    assert site.flows() == []


async def test_a_used_response_is_refused(site: OidcSite) -> None:
    path = site.answer(await site.start())
    cookies = dict(site.jar.cookies)
    assert (await site.jar.get(path)).status == 303
    site.jar.cookies = cookies
    calls = len(site.provider.calls.made)
    response = await site.jar.get(path)
    assert response.status == 400
    assert reasons(site)[-1] == ("flow_invalid", "flow_spent")
    assert len(site.provider.calls.made) == calls
    assert not site.jar.session


async def test_a_used_response_leads_a_logged_in_user_on(site: OidcSite) -> None:
    path = site.answer(await site.start())
    cookies = dict(site.jar.cookies)
    await site.jar.get(path)
    site.jar.cookies |= cookies
    response = await site.jar.get(path)
    assert (response.status, response.headers["Location"]) == (303, APP)


async def test_a_prompt_that_the_provider_refuses_is_left_out(site: OidcSite) -> None:
    sent = sent_by(await site.start(f"{START}?again=yes", rd=""))
    assert sent["prompt"] == "select_account"
    path = f"{START}/callback?error=invalid_request&state={sent['state']}"
    response = await site.jar.get(path)
    assert response.status == 303
    assert "prompt=" not in response.headers["Location"]
    assert response.headers["Location"].startswith(ISSUER)


async def test_responses_of_an_address_are_limited(site: OidcSite) -> None:
    for _ in range(PER_CALLBACK.max_failures):
        response = await site.jar.get(site.answer(await site.start(), aud="another"))
        assert response.status == 400
        site.jar.cookies.clear()
    calls = len(site.provider.calls.made)
    response = await site.jar.get(site.answer(await site.start()))
    assert response.status == 429
    assert len(site.provider.calls.made) == calls


@pytest.mark.parametrize(
    "query",
    [
        "",
        "code=C1",
        "state=x",
        "code=C1&state={state}&state={state}",
        "code=C1&error=access_denied&state={state}",
        "code=C1&state={state}&iss=https%3A%2F%2Fevil.example.com",
        "code=%ff&state={state}",
        "&".join(f"a{n}=1" for n in range(40)),
    ],
)
async def test_a_malformed_response_is_a_page(site: OidcSite, query: str) -> None:
    started = await site.start()
    query = query.format(state=sent_by(started)["state"])
    response = await site.jar.get(f"{CALLBACK}?{query}")
    assert response.status == 400
    assert response.content_type == "text/html"
    assert reasons(site)[-1][0] == "flow_invalid"
    assert not site.jar.session


async def test_a_refused_account_sees_a_page_without_the_words_of_the_provider(
    site: OidcSite,
) -> None:
    started = await site.start()
    state = sent_by(started)["state"]
    query = f"error=access_denied&error_description=<b>gotcha</b>&state={state}"
    response = await site.jar.get(f"{CALLBACK}?{query}")
    assert response.status == 403
    assert "gotcha" not in site.jar.text
    again = Page(site.jar.text).all("a")[0]["href"]
    assert again == f"{START}?again=yes&rd={quote(APP, safe='')}"
    assert sent_by(await site.jar.get(again))["prompt"] == "select_account"


async def test_an_account_that_may_not_log_in_sees_why(make_site: MakeSite) -> None:
    site = await make_site(accept="linked")
    response = await site.log_in()
    assert (response.status, site.jar.session) == (403, "")
    assert "This account may not log in" in Page(site.jar.text).text


async def test_a_provider_that_is_away_is_a_page_and_a_hint(site: OidcSite) -> None:
    site.provider.reply("/.well-known/openid-configuration", ProviderUnavailableError())
    response = await site.start()
    assert response.status == 503
    page = Page(site.jar.text)
    assert page.all("a")[0]["href"] == f"{START}?rd={quote(APP, safe='')}"
    await site.jar.get("/login")
    assert "could not be reached a moment ago" in Page(site.jar.text).text
    assert Page(site.jar.text).one("a")["href"] == START


@pytest.mark.parametrize("error", ["server_error", "temporarily_unavailable", "invalid_scope"])
async def test_the_error_of_a_single_login_is_no_hint_for_all_users(
    site: OidcSite, error: str
) -> None:
    """Anybody can begin a login and write the response himself."""
    state = sent_by(await site.start())["state"]
    response = await site.jar.get(f"{CALLBACK}?error={error}&state={state}")
    assert response.status == 503
    await site.jar.get("/login")
    assert "could not be reached" not in Page(site.jar.text).text


# --- Start: who may lead a user away ---


async def test_a_program_that_looks_whether_a_link_works_ends_no_login(site: OidcSite) -> None:
    path = site.answer(await site.start())
    response = await site.running.client.head(
        path, headers=site.jar._headers(), allow_redirects=False
    )
    assert response.status == 403
    assert "Set-Cookie" not in response.headers
    assert reasons(site) == [("cross_site", "not_navigation")]
    assert (await site.jar.get(path)).headers["Location"] == APP


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Mode": "no-cors"},
        {"Sec-Fetch-Dest": "image"},
        {"Sec-Fetch-Dest": "iframe"},
        {"Sec-Purpose": "prefetch"},
        {"Sec-Purpose": "prefetch;prerender"},
        {"Purpose": "prefetch"},
    ],
)
@pytest.mark.parametrize("path", [START, f"{CALLBACK}?code=C1&state=x"])
async def test_only_navigations_are_accepted(
    site: OidcSite, headers: dict[str, str], path: str
) -> None:
    """Neither a script nor an embedded page nor a prefetch begins or ends a login."""
    response = await site.jar.get(path, **headers)
    assert response.status == 403
    assert reasons(site) == [("cross_site", "not_navigation")]
    assert site.flows() == []


async def test_a_foreign_link_asks_a_logged_in_user_first(site: OidcSite) -> None:
    await site.jar.log_in("bob")
    session = site.jar.session
    for headers in (ELSEWHERE, {}, {"Referer": "https://evil.example.com/"}):
        response = await site.start(**headers)
        assert response.status == 200
        page = Page(site.jar.text)
        assert "You are logged in as bob" in page.text
        assert page.one("form")["action"] == START
        assert site.flows() == []
    response = await site.jar.post(START, rd=APP)
    assert response.headers["Location"].startswith(f"{ISSUER}/auth?")
    assert sent_by(response)["prompt"] == "select_account"
    finished = await site.jar.get(site.answer(response))
    assert finished.headers["Location"] == APP
    assert site.jar.session != session


async def test_the_form_of_another_site_is_refused(site: OidcSite) -> None:
    await site.jar.log_in("bob")
    await site.start(**ELSEWHERE)
    token = site.jar.token
    evil = {"Origin": "https://evil.example.com", "Sec-Fetch-Site": "cross-site"}
    assert (await site.jar.send(START, evil, {"token": token})).status == 403
    own = {"Origin": "https://auth.example.com"}
    assert (await site.jar.send(START, own, {"token": "wrong"})).status == 403
    assert site.flows() == []


@pytest.mark.parametrize("headers", [OWN_PAGE, {"Referer": "https://auth.example.com/login?x"}])
async def test_our_own_page_leads_on_at_once(site: OidcSite, headers: dict[str, str]) -> None:
    await site.jar.log_in("bob")
    assert (await site.start(**headers)).status == 303


async def test_the_same_account_continues_its_session(site: OidcSite) -> None:
    """A proof opens a new session with the end of the old one, which ends."""
    await site.log_in()
    old, began = site.jar.session, await newest_session(site)
    started = await site.start(**OWN_PAGE)
    await site.jar.get(site.answer(started))
    assert site.jar.session not in ("", old)
    continued = await newest_session(site)
    assert continued.sid != began.sid
    assert (continued.created_at, continued.expires_at) == (began.created_at, began.expires_at)
    revoked = [event for event in site.running.events if event.name == "revoke"]
    assert [event.sentence for event in revoked] == ["replaced by a new login"]
    before = site.jar.cookies
    site.jar.cookies = {"__Secure-authgw": old}
    assert (await site.jar.check(APP)).status == 401
    site.jar.cookies = before
    assert (await site.jar.check(APP)).status == 200


# --- auto: straight to the only provider ---
