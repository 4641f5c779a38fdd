"""Audit events of logins at an identity provider name the provider and the account."""

from authgw.core.audit import Event
from authgw.core.errors import ProviderUnavailableError
from authgw.core.log_events import AUDIT_EVENTS
from authgw.observability.logging import fields_of
from tests.support.provider_browser import START, MakeSite, OidcSite

NAMED = {"authgw.provider": "company", "authgw.account": "u1"}


def last(site: OidcSite, name: str) -> Event:
    """Return the last event of this name; each of its fields is in the table."""
    event = [event for event in site.running.events if event.name == name][-1]
    assert {*fields_of(event)} <= {*AUDIT_EVENTS[name].fields, "event", "detail"}
    return event


def named(event: Event) -> dict[str, str | int]:
    return {name: value for name, value in fields_of(event).items() if name in NAMED}


async def test_login_and_logout_name_the_account(site: OidcSite) -> None:
    await site.log_in()
    event = last(site, "login")
    assert (event.sub, event.credential, named(event)) == ("company:u1", "oidc:company", NAMED)
    await site.jar.get("/logout")
    await site.jar.post("/logout")
    assert named(last(site, "logout")) == NAMED


async def test_a_login_by_password_names_no_provider(site: OidcSite) -> None:
    await site.jar.log_in("bob", rd="")
    assert named(last(site, "login")) == {}


async def test_a_refused_account_is_named_so_that_it_can_be_linked(make_site: MakeSite) -> None:
    site = await make_site(accept="linked")
    await site.log_in()
    event = last(site, "login_failure")
    assert (event.reason, event.cause) == ("provider_refused", "account_not_accepted")
    assert named(event) == NAMED


async def test_a_provider_that_is_away_is_named(site: OidcSite) -> None:
    site.provider.reply("/token", ProviderUnavailableError(note="is away"))
    await site.log_in()
    event = last(site, "login_failure")
    assert (event.reason, named(event)) == ("provider_unavailable", {"authgw.provider": "company"})


async def test_a_start_that_fails_names_the_provider(site: OidcSite) -> None:
    site.provider.reply("/.well-known/openid-configuration", ProviderUnavailableError(note="away"))
    response = await site.start()
    assert response.status == 503
    assert named(last(site, "login_failure")) == {"authgw.provider": "company"}


async def test_a_reported_logout_names_the_account(site: OidcSite) -> None:
    await site.log_in(sid="S1")
    token = site.provider.logout_token(sub="u1", sid="S1")
    headers = {
        "Content-Type": "application/x-www-form-urlencoded",
        "Host": "auth.example.com",
    }
    body = f"logout_token={token}"
    await site.running.client.post(f"{START}/backchannel", data=body, headers=headers)
    assert named(last(site, "revoke")) == NAMED


async def test_a_change_of_links_names_the_account(make_site: MakeSite) -> None:
    site = await make_site({"self_service": ["link"]})
    await site.jar.log_in("bob", rd="")
    await site.jar.get("/login/account")
    await site.jar.get(site.answer(await site.jar.post(f"{START}/link")))
    event = last(site, "change")
    assert (event.sub, named(event)) == ("bob", NAMED)
    await site.jar.get("/login/account")
    await site.jar.post(f"{START}/link", remove="yes")
    event = last(site, "change")
    assert (event.sub, named(event)) == ("bob", {"authgw.provider": "company"})
