"""The session's cookie: its attributes and its name, and what comes planted or twice."""

from pathlib import Path

import pytest

from authgw.core.login_sites import LoginSites
from tests.support.gateway import PASSWORD, surface
from tests.support.login_scene import LOGIN, Jar, page_of


async def test_the_session_cookie_has_every_attribute(jar: Jar) -> None:
    await jar.log_in()
    (cookie,) = [one for one in jar.given if one.key == "__Secure-authgw"]
    assert cookie["domain"] == "example.com"
    assert (cookie["path"], cookie["samesite"]) == ("/", "Lax")
    assert cookie["secure"]
    assert cookie["httponly"]
    assert 7100 <= int(cookie["max-age"]) <= 7200
    for helper in (one for one in jar.given if one.key != "__Secure-authgw"):
        assert (helper["path"], helper["samesite"], helper["domain"]) == ("/login", "Lax", "")
        assert helper["secure"]
        assert helper["httponly"]


@pytest.mark.parametrize(
    ("url", "domain", "name"),
    [
        (LOGIN, None, "__Host-authgw"),
        ("http://localhost:4000/login", None, "authgw"),
        ("http://auth.example.localhost:4000/login", "example.localhost", "__Secure-authgw"),
    ],
)
async def test_the_prefix_says_how_far_a_cookie_reaches(
    tmp_path: Path, url: str, domain: str | None, name: str
) -> None:
    sites = page_of(url=url, cookie_domain=domain)
    async for running in surface(tmp_path, sites=sites):
        jar = Jar(running, sites.all[0].origin)
        await jar.log_in()
        (cookie,) = [one for one in jar.given if one.key == name]
        assert cookie["domain"] == (domain or "")
        assert bool(cookie["secure"]) == (name != "authgw")


@pytest.mark.parametrize("record_allowed", [True, False])
async def test_a_domains_cookie_is_none_of_a_host_with_a_page_of_its_own(
    tmp_path: Path, record_allowed: bool
) -> None:
    alone = page_of(url="https://auth.example.org/login", cookie_domain=None)
    sites = LoginSites((*page_of().all, *alone.all))
    async for running in surface(tmp_path, sites=sites, record_allowed=record_allowed):
        jar = Jar(running)
        await jar.log_in("bob")
        there = Jar(running)
        there.cookies = {"__Host-authgw": jar.session}
        for _ in range(4):
            assert (await jar.asks("https://app.example.com/")).status == 200
            assert (await there.asks("https://auth.example.org/")).status == 200
            assert (await jar.asks("https://auth.example.org/")).status == 401
        account = await jar.get("/login/account", Host="auth.example.org")
        assert account.status == 303


async def test_a_planted_cookie_is_not_what_the_log_in_hands_out(jar: Jar) -> None:
    jar.cookies["__Secure-authgw"] = "planted"
    await jar.log_in()
    assert jar.session != "planted"


async def test_two_live_sessions_in_one_jar_are_refused(jar: Jar) -> None:
    await jar.log_in("bob")
    first = jar.session
    other = Jar(jar.running)
    await other.log_in("bob")
    second = other.session
    name = "__Secure-authgw"

    async def status(line: str, **more: str) -> int:
        jar.cookies = {}
        return (await jar.asks(Cookie=line, **more)).status

    assert await status(f"{name}={first}; {name}={second}") == 401
    assert await status(f"{name}={first},{name}={second}") == 401
    assert await status(f"{name}={first}; {name}=dead; x=1") == 200
    assert await status(f"{name}=dead; x=1; {name}={first}") == 200
    assert await status(f"{name}=dead,{name}={first}; x=1") == 200
    assert await status(f"{name}={first}; {name}={first}") == 200
    assert await status("; ".join([f"{name}={first}"] * 5)) == 401
    assert await status(f"\xa0{name}={first}") == 401
    assert await status(f"x{name}={first}") == 401
    assert await status(f"__Host-authgw={first}") == 401
    program = await (
        await jar.running.post("/login", {"username": "bob", "password": PASSWORD})
    ).json()
    bearer = f"Bearer {program['access']}"
    assert await status(f"{name}={first}", Authorization=bearer) == 401
    assert await status(f"{name}=dead", Authorization=bearer) == 200
    assert await status(f"{name}={first}", Authorization="Bearer no.such.token") == 200
    assert await status(f"{name}={program['access']}") == 401
    assert await status("", Authorization=f"Bearer {first}") == 401


async def test_a_sibling_cannot_plant_a_host_cookie_behind_a_comma(tmp_path: Path) -> None:
    async for running in surface(tmp_path, sites=page_of(cookie_domain=None)):
        jar = Jar(running)
        await jar.log_in("bob")
        token = jar.cookies["__Host-authgw"]
        jar.cookies = {}
        assert (await jar.asks(Cookie=f"__Host-authgw={token}")).status == 200
        assert (await jar.asks(Cookie=f"x=1,__Host-authgw={token}")).status == 401
