"""Requests that name another resource than they mean: only path, host and method decide."""

import re
import time

import pytest

from tests.support.gateway import ORIGINAL, MakeGateway, RunningGateway

RULES: list[dict[str, object]] = [
    {"host": "public.example.com", "allow": "anyone"},
    {"host": "app.example.com", "path": ["/public/**", "=/health"], "allow": "anyone"},
    {"host": "app.example.com", "path": "/read/**", "method": "GET", "allow": "anyone"},
    {"host": "app.example.com", "path": "/admin/**", "allow": "group:admins"},
]


@pytest.fixture
async def ruled(make_gateway: MakeGateway) -> RunningGateway:
    return await make_gateway(rules=RULES)


async def status(ruled: RunningGateway, *, token: str = "", **told: str) -> int:
    bearer = {"Authorization": f"Bearer {token}"} if token else {}
    named = {f"X-Original-{name.title()}": value for name, value in told.items() if name != "url"}
    if "url" in told:
        named["X-Original-URL"] = told["url"]
    answer = await ruled.client.get("/authenticate", headers={**ORIGINAL, **named, **bearer})
    return answer.status


@pytest.mark.parametrize(
    "target",
    [
        "/admin?/public/x",
        "/admin?x=/public/a",
        "/admin?next=/health",
        "/admin/?../public/x",
        "/admin#/public/x",
        "/admin%23/public/x",
        "/admin%3F/public/x",
        "/admin;/public/x",
        "/admin/x?a=b?/public/x",
        "/admin&/public/x",
        "/healthz",
        "/health/",
        "/health%00",
        "/x?/health",
        "/public",  # itself open, and so the sign that this table can tell the two apart
    ],
)
async def test_nothing_but_the_path_opens_a_path(ruled: RunningGateway, target: str) -> None:
    user = (await ruled.login(1))["access"]
    seen = {
        await status(ruled, token=token, url=f"https://app.example.com{target}")
        for token in ("", user)
    }
    assert seen == {200} if target == "/public" else 200 not in seen


@pytest.mark.parametrize(
    ("host", "opens"),
    [
        ("public.example.com", True),
        ("PUBLIC.example.com", True),
        ("public.example.com.", True),
        ("public.example.com:8443", True),
        ("public.example.com.evil.org", False),
        ("evil-public.example.com", False),
        ("public.example.com, app.example.com", False),
        ("app.example.com@public.example.com", False),
        ("public.example.com@app.example.com", False),
        ("public.example.com/app.example.com", False),
        ("public.example.com#app.example.com", False),
        ("public.example.com..", False),
        ("public.example.com:", True),
        ("public.example.com:99999", True),
        ("public.example.com\\app.example.com", False),
        ("xn--public-.example.com", False),
        ("public%2eexample.com", False),
        ("other.example.com", False),
        ("", False),
    ],
)
async def test_no_spelling_of_a_host_opens_another(
    ruled: RunningGateway, host: str, opens: bool
) -> None:
    seen = await status(ruled, url=f"https://{host}/x", host=host)
    assert (seen == 200) == opens


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("https://public.example.com/x", "app.example.com"),
        ("https://app.example.com/admin/x", "public.example.com"),
        ("https://public.example.com@app.example.com/x", "public.example.com"),
        ("//public.example.com/x", "public.example.com"),
        ("https:/public.example.com/x", "public.example.com"),
        ("ftp://public.example.com/x", "public.example.com"),
        ("/x", "public.example.com"),
    ],
)
async def test_two_hosts_are_none(ruled: RunningGateway, url: str, host: str) -> None:
    assert await status(ruled, url=url, host=host) == 403


@pytest.mark.parametrize(
    ("method", "opens"),
    [
        ("GET", True),
        ("get", False),
        ("Get", False),
        ("HEAD", True),
        ("head", False),
        ("POST", False),
        ("OPTIONS", False),
        ("TRACE", False),
        ("CONNECT", False),
        ("PROPFIND", False),
        ("GETGET", False),
        ("GET, POST", False),
        ("GET POST", False),
        ("X" * 300, False),
        ("", False),
    ],
)
async def test_no_spelling_of_a_method_opens_another(
    ruled: RunningGateway, method: str, opens: bool
) -> None:
    seen = await status(ruled, url="https://app.example.com/read/x", method=method)
    assert (seen == 200) == opens


@pytest.mark.parametrize(
    "name", ["X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override", "X-Original-Verb"]
)
async def test_no_header_overrides_a_method(ruled: RunningGateway, name: str) -> None:
    url = {"X-Original-URL": "https://app.example.com/read/x", "X-Original-Method": "POST"}
    answer = await ruled.client.get("/authenticate", headers={**ORIGINAL, **url, name: "GET"})
    assert answer.status == 403


async def test_no_pattern_backtracks(make_gateway: MakeGateway) -> None:
    evil = ["(a+)+$", "([a-z]+)*x", "(a|aa)+$", "(.*)*y"]
    rules = [{"regex": f"/{pattern}", "allow": "anyone"} for pattern in evil]
    path = "/" + "a" * 30_000 + "!"
    began = time.process_time()
    running = await make_gateway(rules=rules)
    assert await status(running, url=f"https://app.example.com{path}") in (401, 403)
    assert time.process_time() - began < 5
    # Python's own would not come back from 40 letters.
    assert re.fullmatch("/(a+)+$", "/" + "a" * 15 + "!") is None
