"""Rules over HTTP: match first, identify second, public pages without a store."""

from pathlib import Path

import pytest

from authgw.config.loader import load
from authgw.core.rules import Rules
from tests.support.gateway import ORIGINAL, MakeGateway, RunningGateway
from tests.support.login_scene import page_of

TEXT = """\
rules:
  - {path: ["/public/**", "=/health"], allow: anyone}
  - {path: /admin/**, allow: ["group:team-a", "user:7"]}
  - {path: /v1/**, method: [GET, POST], allow: authenticated, preflight: allow}
  - {host: app.example.com, from: [10.0.0.0/8], regex: "/net/[a-z]+", allow: anyone}
  - {host: app.example.com, path: /files/**, allow: authenticated, encoded: slash}
  - {host: app.example.com, path: /pages/**, allow: authenticated, credentials: cookie}
  - {host: app.example.com, path: /calls/**, allow: authenticated, credentials: [bearer]}
"""


def compiled(folder: Path) -> Rules:
    (folder / "config.yml").write_text(TEXT)
    rules = load(folder / "config.yml", {}).rules
    assert rules is not None
    return rules


@pytest.fixture
async def ruled(make_gateway: MakeGateway, tmp_path: Path) -> RunningGateway:
    return await make_gateway(rules=compiled(tmp_path))


async def ask(ruled: RunningGateway, path: str, token: str = "", **headers: str) -> tuple[int, str]:
    bearer = {"Authorization": f"Bearer {token}"} if token else {}
    target = {**ORIGINAL, "X-Original-URL": f"https://app.example.com{path}"}
    named = {name.replace("__", "-"): value for name, value in headers.items()}
    answer = await ruled.client.get("/authenticate", headers={**target, **bearer, **named})
    assert await answer.read() == b""
    reason = answer.headers.get("X-Authgw-Reason")
    return answer.status, reason or answer.headers["Remote-User"]


async def test_the_matching_rule_decides(ruled: RunningGateway) -> None:
    user = (await ruled.login(1))["access"]
    member = (await ruled.login(2, groups=["team-a"]))["access"]
    named = (await ruled.login(7))["access"]
    assert await ask(ruled, "/public/x") == (200, "")
    assert await ask(ruled, "/public/x", user) == (200, "1")
    assert await ask(ruled, "/public/x", "bad") == (200, "")
    assert await ask(ruled, "/public/x", Authorization="Basic x") == (200, "")
    assert await ask(ruled, "/admin/x") == (401, "token_missing")
    assert await ask(ruled, "/admin/x", user) == (403, "not_permitted")
    assert await ask(ruled, "/admin/x", member) == (200, "2")
    assert await ask(ruled, "/admin", named) == (200, "7")
    assert await ask(ruled, "/v1/x", Authorization="Basic x") == (401, "authorization_malformed")
    assert await ask(ruled, "/elsewhere", user) == (403, "no_rule")
    assert await ask(ruled, "/files/a%2fb", user) == (200, "1")
    assert await ask(ruled, "//admin/x", member) == (403, "path_ambiguous")
    assert await ask(ruled, "/net/abc", X__Forwarded__For="10.1.2.3") == (200, "")
    assert await ask(ruled, "/net/abc", X__Forwarded__For="192.0.2.1") == (403, "no_rule")
    assert await ask(ruled, "/public/x", Remote__User="7") == (403, "identity_header_from_client")
    denied = next(event for event in ruled.events if event.reason == "not_permitted")
    assert (denied.sub, denied.detail) == (
        "1",
        "403 GET app.example.com/admin/x: 1 matched rules[1] (config.yml:3), "
        "needs group:team-a, user:7, has no groups.",
    )


async def test_only_the_credentials_that_a_rule_names_count(ruled: RunningGateway) -> None:
    user = (await ruled.login(1))["access"]
    assert await ask(ruled, "/calls/x", user) == (200, "1")
    assert await ask(ruled, "/pages/x", user) == (401, "token_missing")
    assert await ask(ruled, "/pages/x", Authorization="Basic x") == (401, "token_missing")


async def test_a_forgotten_header_is_named_with_its_line(ruled: RunningGateway) -> None:
    await ruled.check((await ruled.login(1))["access"])
    assert ruled.events[-1].detail == (
        "Denied: rules exist, but X-Original-URL is missing. In the auth location add: "
        "proxy_set_header X-Original-URL $authgw_scheme://$authgw_authority$request_uri;"
    )


async def test_a_refusal_that_clients_will_read_names_the_request(ruled: RunningGateway) -> None:
    forward = {
        "X-Forwarded-Method": "GET",
        "X-Forwarded-Proto": "https",
        "X-Forwarded-Host": "app.example.com",
        "X-Forwarded-Uri": "/calls/x",
    }
    for path, headers in [
        ("/authenticate/forward", forward),
        ("/authenticate/envoy/calls/x", {"Host": "app.example.com"}),
    ]:
        answer = await ruled.client.get(path, headers=headers)
        assert answer.status == 401
        identifier = answer.headers["X-Request-ID"]
        assert await answer.text() == f"401 not logged in (token_missing), request {identifier}\n"


async def test_a_preflight_passes_without_a_token(ruled: RunningGateway) -> None:
    cors = {"Origin": "https://a.example", "Access__Control__Request__Method": "POST"}
    options = {"X__Original__Method": "OPTIONS"}
    assert await ask(ruled, "/v1/x", **options, **cors) == (200, "")
    assert await ask(ruled, "/v1/x", **options) == (403, "no_rule")
    assert await ask(ruled, "/v1/x", **cors) == (401, "token_missing")
    cors["Access__Control__Request__Method"] = "DELETE"
    assert await ask(ruled, "/v1/x", **options, **cors) == (403, "no_rule")


async def test_public_pages_survive_a_dead_store(ruled: RunningGateway) -> None:
    user = (await ruled.login(1))["access"]
    await ruled.store.close()
    assert await ask(ruled, "/public/x", user) == (200, "")
    assert await ask(ruled, "/v1/x", user) == (503, "store_unavailable")
    assert await ask(ruled, "/elsewhere", user) == (403, "no_rule")


async def test_a_direct_check_is_off_beside_rules(
    ruled: RunningGateway, make_gateway: MakeGateway, tmp_path: Path
) -> None:
    answer = await ruled.check((await ruled.login(1))["access"])
    assert answer.status == 403
    assert answer.headers["X-Authgw-Reason"] == "direct_check_off"
    open_again = await make_gateway(rules=compiled(tmp_path), auth={"direct_check": True})
    answer = await open_again.check((await open_again.login(1))["access"])
    assert answer.status == 200


@pytest.mark.parametrize("written", ["unknown", "", "10.1.1.1,", "010.1.1.1", "_hidden", "junk"])
async def test_an_address_that_cannot_be_read_is_in_no_network(
    ruled: RunningGateway, written: str
) -> None:
    assert await ask(ruled, "/net/a", **{"X-Forwarded-For": "10.1.1.1:443"}) == (200, "")
    assert await ask(ruled, "/net/a", **{"X-Forwarded-For": written}) == (403, "no_rule")
    assert ruled.events[-1].address == "unknown"


async def test_head_is_allowed_where_get_is(ruled: RunningGateway) -> None:
    user = (await ruled.login(1))["access"]
    head = {"X-Original-Method": "HEAD"}
    assert await ask(ruled, "/v1/x", user, **head) == (200, "1")
    delete = {"X-Original-Method": "DELETE"}
    assert await ask(ruled, "/v1/x", user, **delete) == (403, "no_rule")


@pytest.mark.parametrize(
    "path", ["/authenticate", "/authenticate/forward", "/authenticate/envoy/pages/x"]
)
async def test_the_way_back_to_a_host_under_an_https_page_is_https(
    make_gateway: MakeGateway, tmp_path: Path, path: str
) -> None:
    told = {
        **(ORIGINAL if path == "/authenticate" else {}),
        "X-Original-URL": "http://app.example.com:80/pages/x",
        "X-Forwarded-Method": "GET",
        "X-Forwarded-Proto": "http",
        "X-Forwarded-Host": "app.example.com",
        "X-Forwarded-Uri": "/pages/x",
        "Host": "app.example.com",
        "Accept": "text/html",
        "Sec-Fetch-Mode": "navigate",
    }
    running = await make_gateway(rules=compiled(tmp_path), login=page_of())
    answer = await running.client.get(path, headers=told, allow_redirects=False)
    where = answer.headers["Location"]
    assert where.endswith("rd=https%3A%2F%2Fapp.example.com%2Fpages%2Fx")
