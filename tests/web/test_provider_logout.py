"""Logouts of users of an identity provider, and the end of their other sessions."""

from authgw.core.sessions import Session
from tests.support.every_page import Page
from tests.support.fake_provider import ISSUER
from tests.support.login_scene import APP, Jar
from tests.support.provider_browser import MakeSite, OidcSite, newest_session, sent_by


async def test_a_logout_goes_on_to_the_provider(make_site: MakeSite) -> None:
    """The session here ends first, by POST; a GET ends nothing."""
    site = await make_site(logout="idp")
    await site.log_in()
    shown = await site.jar.get("/logout")
    assert "form-action 'self' https: http:" in shown.headers["Content-Security-Policy"]
    assert (await site.jar.check(APP)).status == 200
    session = site.jar.session
    response = await site.jar.post("/logout")
    assert response.status == 303
    assert response.headers["Location"].startswith(f"{ISSUER}/logout?")
    sent = sent_by(response)
    assert sent["client_id"] == "authgw"
    assert "id_token_hint" not in sent
    assert site.jar.session == ""
    site.jar.cookies["__Secure-authgw"] = session
    assert (await site.jar.check(APP)).status == 401


async def test_a_logout_ends_the_session_before_the_provider_is_contacted(
    make_site: MakeSite,
) -> None:
    site = await make_site(logout="idp")
    await site.log_in()
    session = await newest_session(site)
    providers = site.running.serving.gateway.login.providers
    assert providers is not None
    seen: list[Session | None] = []

    async def slow(_: object, __: object) -> str:
        seen.append((await site.running.store.read(session.sid)).session)
        return ""

    object.__setattr__(providers, "end_session_url", slow)
    await site.jar.get("/login/account")
    await site.jar.post("/logout")
    assert seen == [None]


async def test_a_user_of_a_provider_ends_all_other_sessions(site: OidcSite) -> None:
    await site.log_in()
    lost, site.jar = site.jar, Jar(site.running)
    await site.log_in()
    await site.jar.get("/login/account")
    await site.jar.post("/login/end", others="yes")
    assert "All other sessions were ended." in Page(site.jar.text).text
    assert (await lost.check(APP)).status == 401
    assert (await site.jar.check(APP)).status == 200


async def test_a_local_logout_stays_here(site: OidcSite) -> None:
    await site.log_in()
    await site.jar.get("/logout")
    response = await site.jar.post("/logout")
    assert response.headers["Location"] == "/logout?done=yes"
