"""Ways back: how long they may be, hosts that a login does not reach, and loops."""

from dataclasses import replace
from urllib.parse import parse_qs, quote, urlsplit

import pytest

from authgw.core.limits import LOOP_VISITS, LOOP_WINDOW, MAX_RD_BYTES
from authgw.core.rules import Allow, Credential, Rule, Rules
from authgw.web.visits import AllowedChecks, next_visit
from tests.support.every_page import Page
from tests.support.gateway import PASSWORD, MakeGateway
from tests.support.login_scene import APP, RULES, Jar, code, page_of

SIZES = [2600, 4096, 8191, MAX_RD_BYTES]
TOO_LONG = [MAX_RD_BYTES + 1, 12288, 16384, 30000]
HOME = "https://app.example.com/"


def long(size: int, letter: str = "a") -> str:
    start = "https://app.example.com/x?"
    return start + (letter * size)[: size - len(start)]


def login(rd: str) -> str:
    return f"/login?rd={quote(rd, safe='')}"


def hidden(jar: Jar, *names: str) -> dict[str, str]:
    fields = {one["name"]: one["value"] for one in Page(jar.text).all("input", type="hidden")}
    return {name: fields[name] for name in names if name in fields}


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("letter", ["a", "/", "&", "%3d"])
async def test_a_login_leads_back_over_8_kib(jar: Jar, size: int, letter: str) -> None:
    url = long(size, letter)
    asked = await jar.asks(url)
    page = urlsplit(asked.headers["Location"])
    assert (await jar.get(f"{page.path}?{page.query}")).status == 200
    sent = hidden(jar, "rd", "cut")
    answer = await jar.post("/login", **sent, username="bob", password=PASSWORD)
    assert (answer.status, answer.headers["Location"]) == (303, url)
    assert (await jar.asks(url)).status == 200


@pytest.mark.parametrize("size", [4096, MAX_RD_BYTES])
async def test_the_second_step_leads_back_over_8_kib(jar: Jar, size: int) -> None:
    url = long(size, "/")
    step = await jar.log_in("alice", rd=url)
    await jar.get(step.headers["Location"])
    await jar.post("/login/totp", **hidden(jar, "rd", "cut"), code="000000")
    answer = await jar.post("/login/totp", **hidden(jar, "rd", "cut"), code=code())
    assert (answer.status, answer.headers["Location"]) == (303, url)


@pytest.mark.parametrize("size", TOO_LONG)
@pytest.mark.parametrize("user", ["alice", "bob"])
async def test_a_longer_way_back_is_named_before_and_after_the_login(
    jar: Jar, size: int, user: str
) -> None:
    asked = await jar.asks(long(size))
    assert parse_qs(urlsplit(asked.headers["Location"]).query) == {"rd": [HOME], "cut": ["yes"]}
    page = urlsplit(asked.headers["Location"])
    await jar.get(f"{page.path}?{page.query}")
    assert "The link that you opened is too long" in jar.text
    sent = {"username": user, "password": PASSWORD}
    answer = await jar.post("/login", **hidden(jar, "rd", "cut"), **sent)
    if user == "alice":
        await jar.get(answer.headers["Location"])
        answer = await jar.post("/login/totp", **hidden(jar, "rd", "cut"), code=code())
    assert answer.status == 303
    assert len(answer.headers["Location"]) < 1000
    assert (await jar.get(answer.headers["Location"])).status == 200
    assert "The link that you opened is too long" in jar.text
    assert "8,192 bytes" in jar.text
    assert Page(jar.text).all("a", href=HOME)
    assert (await jar.asks()).status == 200


async def test_a_long_way_back_of_ones_own_making_is_cut_alike(jar: Jar) -> None:
    await jar.get(login(long(10000)))
    assert hidden(jar, "rd", "cut") == {"rd": HOME, "cut": "yes"}
    fields = {"rd": long(9000), "username": "bob", "password": PASSWORD}
    answer = await jar.post("/login", **fields)
    assert answer.headers["Location"] == f"/login/account?rd={quote(HOME, safe='')}&cut=yes"
    hostile = f"https://evil.example/{'a' * 9000}"
    await jar.get(login(hostile) + "&switch=yes")
    answer = await jar.post("/login", rd=hostile, username="bob", password=PASSWORD)
    await jar.get(answer.headers["Location"])
    assert not [one for one in Page(jar.text).all("a") if "evil" in one["href"]]


@pytest.mark.parametrize("rd", ["https://app.example.com/caf%E9", "https://app.example.com/é?ü"])
async def test_names_of_other_letters_come_back(jar: Jar, rd: str) -> None:
    answer = await jar.log_in(rd=rd)
    assert answer.headers["Location"] == quote(rd, safe=":/?%")


OTHER = Rules([Rule("1", Allow(authenticated=True), "app.other.lan"), *RULES.ordered])


async def test_a_host_that_no_login_reaches_is_named(make_gateway: MakeGateway) -> None:
    running = await make_gateway(login=page_of(), rules=OTHER)
    jar = Jar(running)
    said = "This login does not reach app.other.lan: it is outside of login.cookie_domain"
    rd = "https://app.other.lan/x"
    assert (await jar.asks(rd)).headers["Location"].endswith(quote(rd, safe=""))
    await jar.get(login(rd))
    assert said in jar.text
    answer = await jar.log_in(rd=rd)
    assert answer.headers["Location"] == f"/login/account?rd={quote(rd, safe='')}"
    await jar.get(answer.headers["Location"])
    assert said in jar.text
    assert [said in one.detail for one in running.events if one.name == "loop"] == [True]
    again = await jar.get(login(rd))
    assert again.headers["Location"] == answer.headers["Location"]
    # Of hosts that nobody protects nothing is repeated.
    assert (
        (await jar.get(login("https://evil.example/")))
        .headers["Location"]
        .endswith("/login/account")
    )
    await jar.get(login("https://evil.example/") + "&switch=yes")
    assert "does not reach" not in jar.text


async def test_a_missing_cookie_domain_is_named(make_gateway: MakeGateway) -> None:
    running = await make_gateway(login=page_of(cookie_domain=None), rules=RULES)
    jar = Jar(running)
    await jar.get(login(APP))
    assert "login.cookie_domain is not set" in jar.text


async def test_a_session_that_leads_nowhere_is_told_from_tabs(jar: Jar) -> None:
    await jar.log_in("bob")
    for _ in range(2 * LOOP_VISITS):
        assert (await jar.get(login(APP))).status == 303, "six tabs of the same page"
        assert (await jar.asks()).status == 200
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
async def test_allowed_checks_are_noted_where_answers_are_remembered(
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
            assert (await jar.asks(**only)).status == 200
        assert (await jar.get(login(APP))).status == 303


async def test_a_check_on_another_host_does_not_end_a_loop(jar: Jar) -> None:
    await jar.log_in("bob")
    statuses = []
    for _ in range(3):
        statuses.append((await jar.get(login(APP))).status)
        assert (await jar.asks("https://dav.example.com/")).status == 200
    assert statuses == [303, 303, 508]


PROGRAMS = frozenset({Credential.BEARER})
OTHER_PAGE = page_of(url="https://auth.b.net/login", cookie_domain="b.net")


@pytest.mark.parametrize(
    ("said", "rd", "cause"),
    [
        ({}, "https://app.example.com/", "the proxy does not pass Cookie"),
        ({}, "http://app.example.com/", "reached by http"),
        ({"redirect_hosts": ("x.lan",)}, "https://x.lan/", "outside of login.cookie_domain"),
        (
            {"cookie_domain": None, "redirect_hosts": ("app.example.com",)},
            "https://app.example.com/",
            "login.cookie_domain is not set",
        ),
        ({}, "https://api.example.com/", "no `cookie` among its credentials"),
    ],
)
async def test_the_page_of_a_loop_names_its_cause(
    make_gateway: MakeGateway, said: dict[str, object], rd: str, cause: str
) -> None:
    api = Rule("9", Allow(authenticated=True), "api.example.com", credentials=PROGRAMS)
    rules = Rules([api, *RULES.ordered])
    running = await make_gateway(login=page_of(**said), rules=rules)
    jar = Jar(running)
    await jar.log_in("bob")
    assert [(await jar.get(login(rd))).status for _ in range(3)] == [303, 303, 508]
    assert cause in jar.text
    assert cause in running.events[-1].detail


async def test_a_loop_between_two_login_pages_names_the_other(make_gateway: MakeGateway) -> None:
    both = page_of(redirect_hosts=("app.b.net",))
    running = await make_gateway(login={"domains": [both, OTHER_PAGE]})
    jar = Jar(running)
    await jar.log_in("bob")
    for _ in range(3):
        answer = await jar.get(login("https://app.b.net/"))
    assert answer.status == 508
    assert "takes the cookie of another login page: https://auth.b.net/login" in jar.text


def test_a_chain_of_visits_ends_with_time_and_with_an_allowed_check() -> None:
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


def test_watching_takes_bounded_memory() -> None:
    allowed = AllowedChecks()
    for number in range(5000):
        allowed.watch(str(number))
    for number in range(1000):
        allowed.note("4999", str(number))
    assert len(allowed._hosts) == 4096
    assert len(allowed._hosts["4999"]) <= 64


async def test_a_prefetch_is_no_visit(jar: Jar) -> None:
    await jar.log_in("bob")
    ahead = {"Sec-Purpose": "prefetch"}
    assert [(await jar.get(login(APP), **ahead)).status for _ in range(5)] == [303] * 5


async def test_a_browser_that_did_not_keep_the_cookie_is_told_so(jar: Jar) -> None:
    await jar.log_in("bob")
    del jar.cookies["__Secure-authgw"]
    await jar.get(login(APP))
    assert "your browser did not keep the session cookie" in jar.text
    assert jar.running.events[-1].name == "loop"
    assert hidden(jar, "rd") == {"rd": APP}
    # Not after a log-out, and not before any login.
    await jar.log_in("bob")
    await jar.send("/logout", {"Origin": jar.origin}, {})
    del jar.cookies["__Secure-authgw"]
    await jar.get(login(APP))
    assert "did not keep" not in jar.text
    jar.cookies.clear()
    await jar.get(login(APP))
    assert "did not keep" not in jar.text


@pytest.mark.parametrize("path", ["/authenticate", "/authenticate/forward"])
async def test_a_browser_at_a_rule_for_programs_sees_a_page(
    make_gateway: MakeGateway, path: str
) -> None:
    api = Rule("9", Allow(authenticated=True), "api.example.com", credentials=PROGRAMS)
    running = await make_gateway(login=page_of(), rules=Rules([api]))
    jar = Jar(running)
    told = {
        "X-Original-URL": "https://api.example.com/",
        "X-Original-Host": "api.example.com",
        "X-Original-Method": "GET",
    }
    if path != "/authenticate":
        told = {
            "X-Forwarded-Proto": "https",
            "X-Forwarded-Host": "api.example.com",
            "X-Forwarded-Uri": "/",
            "X-Forwarded-Method": "GET",
        }
    answer = await jar.get(path, **told)
    assert (answer.status, answer.headers["X-Authgw-Reason"]) == (403, "programs_only")
    program = await jar.get(path, **told, Accept="*/*")
    assert (program.status, "WWW-Authenticate" in program.headers) == (401, True)
    if path != "/authenticate":
        return
    page = await jar.get("/login/denied", **told)
    assert (page.status, page.headers["X-Authgw-Reason"]) == (403, "programs_only")
    assert "takes no login of a browser" in jar.text


async def test_who_is_signed_in_is_named_where_no_rule_matches(jar: Jar) -> None:
    told = {
        "X-Original-URL": "https://elsewhere.example.com/",
        "X-Original-Host": "elsewhere.example.com",
        "X-Original-Method": "GET",
    }
    await jar.get("/login/denied", **told)
    assert "You are not signed in." in jar.text
    await jar.log_in("bob")
    await jar.get("/login/denied", **told)
    page = Page(jar.text)
    assert "You are signed in as bob." in page.text
    assert "You are not signed in" not in page.text
    assert "Log in" not in page.text
    assert "Switch account" in page.text
    forwarded = {
        "X-Forwarded-Proto": "https",
        "X-Forwarded-Host": "elsewhere.example.com",
        "X-Forwarded-Uri": "/",
        "X-Forwarded-Method": "GET",
    }
    answer = await jar.get("/authenticate/forward", **forwarded)
    assert answer.status == 403
    assert "You are signed in as bob." in Page(jar.text).text


async def test_the_way_back_survives_while_nobody_can_log_in(
    jar: Jar, monkeypatch: pytest.MonkeyPatch
) -> None:
    await jar.get(login(APP))
    await jar.running.store.close()
    answer = await jar.post("/login", rd=APP, username="bob", password=PASSWORD)
    assert (answer.status, answer.headers["Retry-After"]) == (503, "1")
    assert answer.headers["X-Authgw-Reason"] == "store_unavailable"
    assert hidden(jar, "rd") == {"rd": APP}
    assert Page(jar.text).one("input", name="username")["value"] == "bob"


async def test_every_state_has_a_way_on(jar: Jar) -> None:
    async def links(path: str, **headers: str) -> list[str]:
        await jar.get(path, **headers)
        page = Page(jar.text)
        return [one["href"] for one in page.all("a")] + [one["action"] for one in page.all("form")]

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
