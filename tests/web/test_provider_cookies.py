"""Cookies of logins at a provider that somebody planted."""

from urllib.parse import quote

import pytest

from authgw.core.limits import MAX_HELPER_COOKIES
from tests.support.login_scene import APP
from tests.support.provider_browser import CALLBACK, START, OidcSite

FLOW = "__Host-authgw-flow-"


@pytest.mark.parametrize("suffix", ["(x)", "a b", "\u00e9", "[]", '"', "@", "<b>", "", "a,b"])
async def test_a_cookie_with_an_invalid_name_is_none_of_a_flow(site: OidcSite, suffix: str) -> None:
    line = "; ".join(f"{FLOW}{each}=1" for each in (suffix, "aaaaaaaa", "bbbbbbbb"))
    started = await site.running.client.get(
        START, headers={**site.jar._headers(), "Cookie": line}, allow_redirects=False
    )
    assert started.status == 303
    finished = await site.running.client.get(
        f"{CALLBACK}?code=1&state={quote(suffix)}",
        headers={**site.jar._headers(), "Cookie": line},
        allow_redirects=False,
    )
    assert finished.status == 400


async def test_planted_cookies_do_not_make_a_response_too_long(site: OidcSite) -> None:
    line = "; ".join(f"{FLOW}{number:08}=1" for number in range(200))
    started = await site.jar.get(START, Cookie=line)
    assert started.status == 303
    deleted = [each for each in started.headers.getall("Set-Cookie") if "Max-Age=0" in each]
    assert len(deleted) == MAX_HELPER_COOKIES
    assert (await site.jar.get(site.answer(started))).headers["Location"]


@pytest.mark.parametrize("planted", ["", "x", "x.y.z"])
@pytest.mark.parametrize("is_last", [True, False])
async def test_a_planted_cookie_does_not_hide_that_of_the_flow(
    site: OidcSite, planted: str, is_last: bool
) -> None:
    path = site.answer(await site.start())
    (flow,) = site.flows()
    pairs = [f"{flow}={site.jar.cookies[flow]}", f"{flow}={planted}"]
    line = "; ".join(pairs if is_last else reversed(pairs))
    response = await site.jar.get(path, Cookie=line)
    assert (response.status, response.headers["Location"]) == (303, APP)
