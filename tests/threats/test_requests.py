"""Requests that name one thing and mean another: path, host and method decide, nothing else."""

import re
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from authgw.config.loader import load
from tests.support.gateway import ORIGINAL, Surface, surface

RULES = """\
rules:
  - {host: public.example.com, allow: anyone}
  - {host: app.example.com, path: ["/public/**", "=/health"], allow: anyone}
  - {host: app.example.com, path: /read/**, method: GET, allow: anyone}
  - {host: app.example.com, path: /admin/**, allow: "group:admins"}
"""


@pytest.fixture
async def ruled(tmp_path: Path) -> AsyncIterator[Surface]:
    (tmp_path / "config.yml").write_text(RULES)
    rules = load(tmp_path / "config.yml", {}).rules
    async for running in surface(tmp_path, rules=rules):
        yield running


async def status(ruled: Surface, *, token: str = "", **told: str) -> int:
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
async def test_nothing_but_the_path_opens_a_path(ruled: Surface, target: str) -> None:
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
async def test_no_spelling_of_a_host_opens_another(ruled: Surface, host: str, opens: bool) -> None:
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
async def test_two_hosts_are_none(ruled: Surface, url: str, host: str) -> None:
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
    ruled: Surface, method: str, opens: bool
) -> None:
    seen = await status(ruled, url="https://app.example.com/read/x", method=method)
    assert (seen == 200) == opens


@pytest.mark.parametrize(
    "name", ["X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override", "X-Original-Verb"]
)
async def test_no_header_overrides_a_method(ruled: Surface, name: str) -> None:
    url = {"X-Original-URL": "https://app.example.com/read/x", "X-Original-Method": "POST"}
    answer = await ruled.client.get("/authenticate", headers={**ORIGINAL, **url, name: "GET"})
    assert answer.status == 403


async def test_no_pattern_backtracks(tmp_path: Path) -> None:
    evil = ["(a+)+$", "([a-z]+)*x", "(a|aa)+$", "(.*)*y"]
    entries = "".join(f"  - {{regex: '/{pattern}', allow: anyone}}\n" for pattern in evil)
    (tmp_path / "config.yml").write_text(f"rules:\n{entries}")
    path = "/" + "a" * 30_000 + "!"
    began = time.process_time()
    async for running in surface(tmp_path, rules=load(tmp_path / "config.yml", {}).rules):
        assert await status(running, url=f"https://app.example.com{path}") in (401, 403)
    assert time.process_time() - began < 5
    # Python's own would not come back from 40 letters.
    assert re.fullmatch("/(a+)+$", "/" + "a" * 15 + "!") is None
