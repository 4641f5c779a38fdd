"""The session cookie: attributes, name, planted and duplicate cookies."""

import pytest

from tests.support.gateway import PASSWORD, MakeGateway
from tests.support.login_scene import LOGIN, Jar, page_of


async def test_the_session_cookie_has_every_attribute(jar: Jar) -> None:
    await jar.log_in()
    (cookie,) = [cookie for cookie in jar.set_cookies if cookie.key == "__Secure-authgw"]
    assert cookie["domain"] == "example.com"
    assert (cookie["path"], cookie["samesite"]) == ("/", "Lax")
    assert cookie["secure"]
    assert cookie["httponly"]
    assert 7100 <= int(cookie["max-age"]) <= 7200
    for helper in (cookie for cookie in jar.set_cookies if cookie.key != "__Secure-authgw"):
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
async def test_the_prefix_matches_the_scope_of_the_cookie(
    make_gateway: MakeGateway, url: str, domain: str | None, name: str
) -> None:
    running = await make_gateway(login=page_of(url=url, cookie_domain=domain))
    jar = Jar(running, url.removesuffix("/login"))
    await jar.log_in()
    (cookie,) = [cookie for cookie in jar.set_cookies if cookie.key == name]
    assert cookie["domain"] == (domain or "")
    assert bool(cookie["secure"]) == (name != "authgw")


@pytest.mark.parametrize("record_allowed", [True, False])
async def test_a_domain_cookie_is_not_accepted_on_a_host_with_its_own_login_page(
    make_gateway: MakeGateway, record_allowed: bool
) -> None:
    own_page = page_of(url="https://auth.example.org/login", cookie_domain=None)
    running = await make_gateway(
        login={"domains": [page_of(), own_page]},
        logging={"decisions": "all" if record_allowed else "denied"},
    )
    jar = Jar(running)
    await jar.log_in("bob")
    other_jar = Jar(running)
    other_jar.cookies = {"__Host-authgw": jar.session}
    for _ in range(4):
        assert (await jar.check("https://app.example.com/")).status == 200
        assert (await other_jar.check("https://auth.example.org/")).status == 200
        assert (await jar.check("https://auth.example.org/")).status == 401
    account = await jar.get("/login/account", Host="auth.example.org")
    assert account.status == 303


async def test_a_login_does_not_adopt_a_planted_cookie(jar: Jar) -> None:
    jar.cookies["__Secure-authgw"] = "planted"
    await jar.log_in()
    assert jar.session != "planted"


async def test_several_active_sessions_in_a_browser_are_refused(jar: Jar) -> None:
    await jar.log_in("bob")
    first = jar.session
    other = Jar(jar.running)
    await other.log_in("bob")
    second = other.session
    name = "__Secure-authgw"

    async def status(line: str, **more: str) -> int:
        jar.cookies = {}
        return (await jar.check(Cookie=line, **more)).status

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


async def test_a_host_cookie_after_a_comma_is_not_accepted(
    make_gateway: MakeGateway,
) -> None:
    running = await make_gateway(login=page_of(cookie_domain=None))
    jar = Jar(running)
    await jar.log_in("bob")
    token = jar.cookies["__Host-authgw"]
    jar.cookies = {}
    assert (await jar.check(Cookie=f"__Host-authgw={token}")).status == 200
    assert (await jar.check(Cookie=f"x=1,__Host-authgw={token}")).status == 401
