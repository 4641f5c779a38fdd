"""Logins at a provider: automatic logins, pages, and what leaves the gateway."""

import asyncio
import time
from typing import Any
from urllib.parse import quote

import pytest

from authgw.core.errors import ProviderUnavailableError
from authgw.forward_auth.decision_cache import DecisionCache
from tests.support.every_page import Page
from tests.support.login_scene import APP, Jar
from tests.support.provider_browser import (
    START,
    MakeSite,
    OidcSite,
    sent_by,
    with_provider,
)

AUTO = {"passwords": False, "auto": True}


async def test_auto_leads_straight_to_the_provider(make_site: MakeSite) -> None:
    site = await make_site(AUTO)
    response = await site.jar.get(f"/login?rd={quote(APP, safe='')}")
    assert response.headers["Location"] == f"{START}?rd={quote(APP, safe='')}"


async def test_auto_stays_after_a_logout(make_site: MakeSite) -> None:
    """The provider would log the user in again at once."""
    site = await make_site(AUTO)
    await site.log_in()
    await site.jar.get("/logout")
    await site.jar.post("/logout")
    response = await site.jar.get("/login")
    assert response.status == 200
    again = Page(site.jar.text).one("a")["href"]
    assert again == f"{START}?again=yes"
    assert sent_by(await site.jar.get(again))["prompt"] == "select_account"


@pytest.mark.parametrize("query", ["switch=yes", "state=logged-out"])
async def test_auto_stays_where_the_user_chooses(make_site: MakeSite, query: str) -> None:
    site = await make_site(AUTO)
    assert (await site.jar.get(f"/login?{query}")).status == 200
    assert ("You are logged out." in Page(site.jar.text).text) is query.startswith("state")


# --- Logout ---


async def test_the_account_page_names_the_provider(site: OidcSite) -> None:
    await site.log_in(rd="", name="Alice")
    await site.jar.get("/login/account")
    text = Page(site.jar.text).text
    assert "Logged in with Example Ltd" in text
    assert "This session" in text


# --- The icon ---


async def test_the_icon_has_a_strict_type_and_policy(site: OidcSite) -> None:
    response = await site.jar.get("/login/oidc/company/icon")
    assert response.status == 200
    assert response.headers["Content-Type"] == "image/svg+xml"
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    policy = response.headers["Content-Security-Policy"]
    assert policy == "default-src 'none'; style-src 'unsafe-inline'; sandbox"


async def test_without_an_icon_there_is_no_image(make_site: MakeSite) -> None:
    site = await make_site(icon=None)
    assert (await site.jar.get("/login/oidc/company/icon")).status == 404
    await site.jar.get("/login")
    assert Page(site.jar.text).all("img") == []


# --- Tokens of the provider ---


async def test_no_token_of_the_provider_leaves_the_gateway(make_site: MakeSite) -> None:
    """Neither an app nor the browser gets one."""
    site = await make_site(refresh="15m", logout="idp")
    site.provider.tokens |= {"access_token": "ACCESS-9f1c", "refresh_token": "REFRESH-9f1c"}
    finished = await site.log_in()
    responses = [finished, await site.jar.check(APP), await site.jar.get("/login/account")]
    responses.append(await site.jar.post("/logout"))
    sent = "".join([f"{each.headers}{await each.text()}" for each in responses])
    cookies = "".join(site.jar.cookies.values())
    tokens = ("ACCESS-9f1c", "REFRESH-9f1c", site.provider.tokens["id_token"])
    assert not [token for token in tokens if token in sent + cookies]


async def test_the_store_has_the_refresh_token_encrypted(make_site: MakeSite) -> None:
    site = await make_site(refresh="15m")
    site.provider.tokens |= {"access_token": "ACCESS-9f1c", "refresh_token": "REFRESH-9f1c"}
    await site.log_in()
    [session] = await site.running.store.sessions_of("company:u1")
    assert session.sealed.startswith("v1|")
    record = repr(session) + session.sealed
    assert not [token for token in ("ACCESS-9f1c", "REFRESH-9f1c") if token in record]


# --- Bounds in time: how long a cached response is valid ---


async def test_a_cached_response_ends_when_the_provider_has_to_confirm_the_session(
    make_site: MakeSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The session stays in use, so that neither the mirror nor its token ends the response."""
    offset, hits, provider = [0.0], list[bool](), make_site.provider
    login = with_provider(make_site.make_gateway.folder, refresh="1m")
    running = await make_site.make_gateway(
        login=login,
        rules=[{"allow": "authenticated"}],
        logging={"decisions": "denied"},
        clock=lambda: time.time() + offset[0],
        store_clock=lambda: time.time() + offset[0],
    )
    lookup = DecisionCache.lookup

    def seen(cache: DecisionCache, *arguments: Any) -> Any:
        found = lookup(cache, *arguments)
        hits.append(isinstance(found, tuple))
        return found

    monkeypatch.setattr(DecisionCache, "lookup", seen)
    provider.tokens["refresh_token"] = "RT"
    site = OidcSite(running, provider, Jar(running))
    await site.log_in()
    assert [(await site.jar.check(APP)).status for _ in range(3)] == [200] * 3
    assert hits[-1]
    provider.reply("/token", ProviderUnavailableError())
    offset[0] = 121.0
    for _ in range(60):
        response = await site.jar.check(APP)
        if response.status != 200:
            break
        await asyncio.sleep(0.03)
    assert response.headers["X-Authgw-Reason"] == "recheck"
    assert "recheck=1" in response.headers["Location"]
    assert not hits[-1]
