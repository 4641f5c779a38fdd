"""Logouts that a provider reports."""

import pytest

from authgw.core.errors import (
    StoreUnavailableError,
)
from tests.support.fake_provider import as_json
from tests.support.login_scene import APP
from tests.support.provider_browser import START, MakeSite, OidcSite

REPORT = f"{START}/backchannel"


async def report(site: OidcSite, body: str, **headers: str) -> tuple[int, str]:
    kind = {"Content-Type": "application/x-www-form-urlencoded", "Host": "auth.example.com"}
    response = await site.running.client.post(REPORT, data=body, headers={**kind, **headers})
    return response.status, response.headers.get("Cache-Control", "")


async def test_a_reported_logout_ends_the_session(site: OidcSite) -> None:
    await site.log_in(sid="S1")
    token = site.provider.logout_token(sub="u1", sid="S1")
    # Parameters that authgw does not know are ignored (section 2.5 of the specification).
    assert await report(site, f"logout_token={token}&other=1") == (200, "no-store")
    assert (await site.jar.check(APP)).status == 401
    revoked = [event for event in site.running.events if event.name == "revoke"]
    assert [(each.sub, each.sentence) for each in revoked] == [
        ("company:u1", "logged out at oidc:company")
    ]


@pytest.mark.parametrize(
    "body",
    ["", "logout_token=", "logout_token=a&logout_token=b", "logout_token=a.b.c", "x=%ff", "x"],
)
async def test_a_malformed_report_ends_nobody(site: OidcSite, body: str) -> None:
    await site.log_in()
    assert await report(site, body) == (400, "no-store")
    assert (await site.jar.check(APP)).status == 200


async def test_a_report_with_two_tokens_ends_nobody(site: OidcSite) -> None:
    await site.log_in()
    token = site.provider.logout_token(sub="u1")
    assert await report(site, f"logout_token={token}&logout_token={token}") == (400, "no-store")
    assert (await site.jar.check(APP)).status == 200


async def test_a_report_that_could_not_be_handled_is_repeated(
    site: OidcSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    await site.log_in()
    providers = site.running.serving.gateway.login.providers
    assert providers is not None

    async def fail(*_: str) -> tuple[()]:
        raise StoreUnavailableError

    object.__setattr__(providers, "report", fail)
    token = site.provider.logout_token(sub="u1")
    assert await report(site, f"logout_token={token}") == (503, "no-store")


@pytest.mark.parametrize(("network", "status"), [("127.0.0.0/8", 200), ("10.0.0.0/8", 400)])
async def test_reports_are_limited_to_networks(
    make_site: MakeSite, network: str, status: int
) -> None:
    site = await make_site(backchannel_from=[network])
    await site.log_in()
    token = site.provider.logout_token(sub="u1")
    assert (await report(site, f"logout_token={token}"))[0] == status
    if status == 400:
        causes = [event.cause for event in site.running.events if event.reason]
        assert causes[-1] == "logout_network"


async def test_keys_that_cannot_be_fetched_are_503(site: OidcSite) -> None:
    site.provider.reply("/keys", as_json({}, 500))
    token = site.provider.logout_token(sub="u1")
    assert (await report(site, f"logout_token={token}"))[0] == 503
