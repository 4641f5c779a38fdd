"""Return targets: their maximum length, hosts out of reach of a login, and redirect loops."""

from dataclasses import replace
from urllib.parse import parse_qs, quote, urlsplit

import pytest

from authgw.core.limits import LOOP_VISITS, LOOP_WINDOW, MAX_RD_BYTES
from authgw.core.rules import Allow, Credential, Rule, Rules
from authgw.forward_auth.allowed_checks import AllowedChecks
from authgw.web.visits import next_visit
from tests.support.dialects import by_forwarding
from tests.support.every_page import Page
from tests.support.gateway import PASSWORD, MakeGateway
from tests.support.login_scene import APP, RULES, Jar, code, page_of

SIZES = [2600, 4096, 8191, MAX_RD_BYTES]
TOO_LONG = [MAX_RD_BYTES + 1, 12288, 16384, 30000]
HOME = "https://app.example.com/"


def long_url(size: int, letter: str = "a") -> str:
    start = "https://app.example.com/x?"
    return start + (letter * size)[: size - len(start)]


def login(rd: str) -> str:
    return f"/login?rd={quote(rd, safe='')}"


def hidden(jar: Jar, *names: str) -> dict[str, str]:
    fields = {field["name"]: field["value"] for field in Page(jar.text).all("input", type="hidden")}
    return {name: fields[name] for name in names if name in fields}


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("letter", ["a", "/", "&", "%3d"])
async def test_return_urls_up_to_the_limit(jar: Jar, size: int, letter: str) -> None:
    url = long_url(size, letter)
    checked = await jar.check(url)
    page = urlsplit(checked.headers["Location"])
    assert (await jar.get(f"{page.path}?{page.query}")).status == 200
    sent = hidden(jar, "rd", "cut")
    response = await jar.post("/login", **sent, username="bob", password=PASSWORD)
    assert (response.status, response.headers["Location"]) == (303, url)
    assert (await jar.check(url)).status == 200


@pytest.mark.parametrize("size", [4096, MAX_RD_BYTES])
async def test_return_urls_up_to_the_limit_after_the_second_factor(jar: Jar, size: int) -> None:
    url = long_url(size, "/")
    step = await jar.log_in("alice", rd=url)
    await jar.get(step.headers["Location"])
    await jar.post("/login/totp", **hidden(jar, "rd", "cut"), code="000000")
    response = await jar.post("/login/totp", **hidden(jar, "rd", "cut"), code=code())
    assert (response.status, response.headers["Location"]) == (303, url)


@pytest.mark.parametrize("size", TOO_LONG)
@pytest.mark.parametrize("user", ["alice", "bob"])
async def test_a_too_long_return_url_is_explained_before_and_after_the_login(
    jar: Jar, size: int, user: str
) -> None:
    checked = await jar.check(long_url(size))
    assert parse_qs(urlsplit(checked.headers["Location"]).query) == {"rd": [HOME], "cut": ["yes"]}
    page = urlsplit(checked.headers["Location"])
    await jar.get(f"{page.path}?{page.query}")
    assert "The link that you opened is longer than 8,192 bytes" in jar.text
    sent = {"username": user, "password": PASSWORD}
    response = await jar.post("/login", **hidden(jar, "rd", "cut"), **sent)
    if user == "alice":
        await jar.get(response.headers["Location"])
        response = await jar.post("/login/totp", **hidden(jar, "rd", "cut"), code=code())
    assert response.status == 303
    assert len(response.headers["Location"]) < 1000
    assert (await jar.get(response.headers["Location"])).status == 200
    assert "The link that you opened is longer than 8,192 bytes" in jar.text
    assert "8,192 bytes" in jar.text
    assert Page(jar.text).all("a", href=HOME)
    assert (await jar.check()).status == 200


async def test_a_too_long_return_url_of_a_client_is_replaced(jar: Jar) -> None:
    await jar.get(login(long_url(10000)))
    assert hidden(jar, "rd", "cut") == {"rd": HOME, "cut": "yes"}
    fields = {"rd": long_url(9000), "username": "bob", "password": PASSWORD}
    response = await jar.post("/login", **fields)
    assert response.headers["Location"] == f"/login/account?rd={quote(HOME, safe='')}&cut=yes"
    hostile = f"https://evil.example/{'a' * 9000}"
    await jar.get(login(hostile) + "&switch=yes")
    response = await jar.post("/login", rd=hostile, username="bob", password=PASSWORD)
    await jar.get(response.headers["Location"])
    assert not [link for link in Page(jar.text).all("a") if "evil" in link["href"]]


@pytest.mark.parametrize("rd", ["https://app.example.com/caf%E9", "https://app.example.com/é?ü"])
async def test_return_urls_with_non_ascii_characters(jar: Jar, rd: str) -> None:
    response = await jar.log_in(rd=rd)
    assert response.headers["Location"] == quote(rd, safe=":/?%")


OTHER = Rules([Rule("1", Allow(authenticated=True), "app.other.lan"), *RULES.ordered])


async def test_an_unreachable_host_is_explained(make_gateway: MakeGateway) -> None:
    running = await make_gateway(login=page_of(), rules=OTHER)
    jar = Jar(running)
    message = "This login does not reach app.other.lan: it is outside of login.cookie_domain"
    rd = "https://app.other.lan/x"
    assert (await jar.check(rd)).headers["Location"].endswith(quote(rd, safe=""))
    await jar.get(login(rd))
    assert message in jar.text
    response = await jar.log_in(rd=rd)
    assert response.headers["Location"] == f"/login/account?rd={quote(rd, safe='')}"
    await jar.get(response.headers["Location"])
    assert message in jar.text
    assert [message in event.detail for event in running.events if event.name == "loop"] == [True]
    again = await jar.get(login(rd))
    assert again.headers["Location"] == response.headers["Location"]
    # The message does not repeat hosts without a rule.
    assert (
        (await jar.get(login("https://evil.example/")))
        .headers["Location"]
        .endswith("/login/account")
    )
    await jar.get(login("https://evil.example/") + "&switch=yes")
    assert "does not reach" not in jar.text


async def test_a_missing_cookie_domain_is_explained(make_gateway: MakeGateway) -> None:
    running = await make_gateway(login=page_of(cookie_domain=None), rules=RULES)
    jar = Jar(running)
    await jar.get(login(APP))
    assert "login.cookie_domain is not set" in jar.text


async def test_a_redirect_loop_is_distinguished_from_tabs(jar: Jar) -> None:
    await jar.log_in("bob")
    for _ in range(2 * LOOP_VISITS):
        assert (await jar.get(login(APP))).status == 303, "six tabs of the same page"
        assert (await jar.check()).status == 200
    for number in range(2 * LOOP_VISITS):
        assert (await jar.get(login(f"{APP}&tab={number}"))).status == 303, "of different pages"
    carried = dict(jar.cookies)
    for _ in range(2 * LOOP_VISITS):
        jar.cookies = dict(carried)
        assert (await jar.get(login(f"{APP}&at=once"))).status == 303, "reloaded at once"
    jar.cookies = carried
    statuses = [(await jar.get(login(f"{APP}&loop"))).status for _ in range(4)]
    assert statuses == [303, 303, 508, 508]
    page = Page(jar.text)
    assert page.all("a", href=f"{APP}&loop")
    assert page.all("a", href="/login/account")


@pytest.mark.parametrize("record_allowed", [True, False])
async def test_allowed_checks_are_noted_with_and_without_the_decision_cache(
    make_gateway: MakeGateway, record_allowed: bool
) -> None:
    rules = Rules([replace(rule, number=n) for n, rule in enumerate(RULES.ordered)])
    running = await make_gateway(
        login=page_of(),
        rules=rules,
        logging={"decisions": "all" if record_allowed else "denied"},
    )
    jar = Jar(running)
    await jar.log_in("bob")
    for _ in range(6):
        for _ in range(3):
            # The cookies of the login pages have a Path of their own.
            only = {"Cookie": f"__Secure-authgw={jar.session}"}
            assert (await jar.check(**only)).status == 200
        assert (await jar.get(login(APP))).status == 303


async def test_a_check_on_another_host_does_not_end_a_loop(jar: Jar) -> None:
    await jar.log_in("bob")
    statuses = []
    for _ in range(3):
        statuses.append((await jar.get(login(APP))).status)
        assert (await jar.check("https://dav.example.com/")).status == 200
    assert statuses == [303, 303, 508]


PROGRAMS = frozenset({Credential.BEARER})
OTHER_PAGE = page_of(url="https://auth.b.net/login", cookie_domain="b.net")


@pytest.mark.parametrize(
    ("section", "rd", "cause"),
    [
        ({}, "https://app.example.com/", "the proxy does not pass Cookie"),
        ({}, "http://app.example.com/", "reached by http"),
        ({"redirect_hosts": ("x.lan",)}, "https://x.lan/", "outside of login.cookie_domain"),
        (
            {"cookie_domain": None, "redirect_hosts": ("app.example.com",)},
            "https://app.example.com/",
            "login.cookie_domain is not set",
        ),
        (
            {},
            "https://api.example.com/",
            "accepts no session cookie: add `cookie` to its `credentials`",
        ),
    ],
)
async def test_the_page_of_a_loop_explains_its_cause(
    make_gateway: MakeGateway, section: dict[str, object], rd: str, cause: str
) -> None:
    api = Rule("9", Allow(authenticated=True), "api.example.com", credentials=PROGRAMS)
    rules = Rules([api, *RULES.ordered])
    running = await make_gateway(login=page_of(**section), rules=rules)
    jar = Jar(running)
    await jar.log_in("bob")
    assert [(await jar.get(login(rd))).status for _ in range(3)] == [303, 303, 508]
    assert cause in jar.text
    assert cause in running.events[-1].detail


async def test_a_loop_between_two_login_pages_names_the_other_page(
    make_gateway: MakeGateway,
) -> None:
    both = page_of(redirect_hosts=("app.b.net",))
    running = await make_gateway(login={"domains": [both, OTHER_PAGE]})
    jar = Jar(running)
    await jar.log_in("bob")
    for _ in range(3):
        response = await jar.get(login("https://app.b.net/"))
    assert response.status == 508
    assert "accepts the cookie of another login page: https://auth.b.net/login" in jar.text


def test_a_chain_of_visits_ends_by_time_or_an_allowed_check() -> None:
    now = [1000.0]
    allowed = AllowedChecks(lambda: now[0])
    first = next_visit((), "s", "h", "/x", allowed)
    second = next_visit(("junk", first.text), "s", "h", "/x", allowed)
    assert (first.number, second.number) == (1, 2)
    assert next_visit((second.text,), "t", "h", "/x", allowed).number == 1
    assert next_visit((second.text,), "s", "h", "/y", allowed).number == 1
    allowed.note("s", "h")
    assert next_visit((second.text,), "s", "h", "/x", allowed).number == 3, "nobody watched"
    allowed.watch("s")
    allowed.note("s", "h")
    assert next_visit((second.text,), "s", "other", "/x", allowed).number == 3
    assert next_visit((second.text,), "s", "h", "/x", allowed).number == 1
    now[0] += LOOP_WINDOW + 1
    assert next_visit((second.text,), "s", "other", "/x", allowed).number == 1


def test_allowed_checks_take_bounded_memory() -> None:
    allowed = AllowedChecks()
    for number in range(5000):
        allowed.watch(str(number))
    for number in range(1000):
        allowed.note("4999", str(number))
    assert len(allowed._hosts) == 4096
    assert len(allowed._hosts["4999"]) <= 64


async def test_a_prefetch_does_not_count_as_a_visit(jar: Jar) -> None:
    await jar.log_in("bob")
    ahead = {"Sec-Purpose": "prefetch"}
    assert [(await jar.get(login(APP), **ahead)).status for _ in range(5)] == [303] * 5


async def test_a_lost_session_cookie_is_explained(jar: Jar) -> None:
    await jar.log_in("bob")
    del jar.cookies["__Secure-authgw"]
    await jar.get(login(APP))
    assert "your browser did not keep the session cookie" in jar.text
    assert jar.running.events[-1].name == "loop"
    assert hidden(jar, "rd") == {"rd": APP}
    # Not after a logout, and not before any login.
    await jar.log_in("bob")
    await jar.send("/logout", {"Origin": jar.origin}, {})
    del jar.cookies["__Secure-authgw"]
    await jar.get(login(APP))
    assert "did not keep" not in jar.text
    jar.cookies.clear()
    await jar.get(login(APP))
    assert "did not keep" not in jar.text


@pytest.mark.parametrize("path", ["/authenticate", "/authenticate/forward"])
async def test_a_browser_at_a_rule_for_programs_gets_a_page(
    make_gateway: MakeGateway, path: str
) -> None:
    api = Rule("9", Allow(authenticated=True), "api.example.com", credentials=PROGRAMS)
    running = await make_gateway(login=page_of(), rules=Rules([api]))
    jar = Jar(running)
    target_headers = {
        "X-Original-URL": "https://api.example.com/",
        "X-Original-Host": "api.example.com",
        "X-Original-Method": "GET",
    }
    if path != "/authenticate":
        target_headers = {
            "X-Forwarded-Proto": "https",
            "X-Forwarded-Host": "api.example.com",
            "X-Forwarded-Uri": "/",
            "X-Forwarded-Method": "GET",
        }
    response = await jar.get(path, **target_headers)
    assert (response.status, response.headers["X-Authgw-Reason"]) == (403, "programs_only")
    program = await jar.get(path, **target_headers, Accept="*/*")
    assert (program.status, "WWW-Authenticate" in program.headers) == (401, True)
    if path != "/authenticate":
        return
    page = await jar.get("/login/denied", **target_headers)
    assert (page.status, page.headers["X-Authgw-Reason"]) == (403, "programs_only")
    assert "does not accept a login by browser" in jar.text


async def test_the_refusal_page_names_the_user_without_a_matching_rule(jar: Jar) -> None:
    target_headers = {
        "X-Original-URL": "https://elsewhere.example.com/",
        "X-Original-Host": "elsewhere.example.com",
        "X-Original-Method": "GET",
    }
    await jar.get("/login/denied", **target_headers)
    assert "You are not logged in." in jar.text
    await jar.log_in("bob")
    await jar.get("/login/denied", **target_headers)
    page = Page(jar.text)
    assert "You are logged in as bob." in page.text
    assert "You are not logged in" not in page.text
    assert "Log in" not in page.text
    assert "Switch account" in page.text
    forwarded = dict(by_forwarding("GET", "elsewhere.example.com", "/")[2])
    response = await jar.get("/authenticate/forward", **forwarded)
    assert response.status == 403
    assert "You are logged in as bob." in Page(jar.text).text


async def test_the_return_url_is_kept_while_the_store_is_unavailable(
    jar: Jar, monkeypatch: pytest.MonkeyPatch
) -> None:
    await jar.get(login(APP))
    await jar.running.store.close()
    response = await jar.post("/login", rd=APP, username="bob", password=PASSWORD)
    assert (response.status, response.headers["Retry-After"]) == (503, "1")
    assert response.headers["X-Authgw-Reason"] == "store_unavailable"
    assert hidden(jar, "rd") == {"rd": APP}
    assert Page(jar.text).one("input", name="username")["value"] == "bob"


async def test_every_page_has_a_link_or_form(jar: Jar) -> None:
    async def links(path: str, **headers: str) -> list[str]:
        await jar.get(path, **headers)
        page = Page(jar.text)
        return [link["href"] for link in page.all("a")] + [
            form["action"] for form in page.all("form")
        ]

    assert await links("/login/nowhere") == ["https://auth.example.com/login"]
    assert await links("/login/end?rd=%2Fx") == ["https://auth.example.com/login?rd=%2Fx"]
    assert await links("/logout") == ["/login"]
    assert await links("/login", Host="elsewhere.example.com") == ["https://auth.example.com/login"]
    await jar.log_in("alice", rd=APP)
    assert f"/login?rd={quote(APP, safe='')}&switch=yes" in await links(
        f"/login/totp?rd={quote(APP, safe='')}"
    )
    await jar.log_in("bob")
    assert set(await links("/logout")) == {"/login/account", "/logout"}
    assert "/logout" in await links("/login/account")
