"""Rules over HTTP: matching before identification, public pages without a store."""

from pathlib import Path

import pytest

from authgw.config.loader import load
from authgw.core.rules import Rules
from tests.support.gateway import ORIGINAL, MakeGateway, RunningGateway
from tests.support.login_scene import page_of

TEXT = """\
rules:
  - {path: ["/public/**", "=/health"], allow: anyone}
  - {path: /admin/**, allow: ["group:team-a", "user:client/shop:7"]}
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


async def result(
    ruled: RunningGateway, path: str, token: str = "", **headers: str
) -> tuple[int, str]:
    bearer = {"Authorization": f"Bearer {token}"} if token else {}
    target = {**ORIGINAL, "X-Original-URL": f"https://app.example.com{path}"}
    named = {name.replace("__", "-"): value for name, value in headers.items()}
    response = await ruled.client.get("/authenticate", headers={**target, **bearer, **named})
    assert await response.read() == b""
    reason = response.headers.get("X-Authgw-Reason")
    return response.status, reason or response.headers["Remote-User"]


async def test_matching_rule_decides(ruled: RunningGateway) -> None:
    user = (await ruled.login(1))["access"]
    member = (await ruled.login(2, groups=["team-a"]))["access"]
    named = (await ruled.login(7))["access"]
    assert await result(ruled, "/public/x") == (200, "")
    assert await result(ruled, "/public/x", user) == (200, "1")
    assert await result(ruled, "/public/x", "bad") == (200, "")
    assert await result(ruled, "/public/x", Authorization="Basic x") == (200, "")
    assert await result(ruled, "/admin/x") == (401, "token_missing")
    assert await result(ruled, "/admin/x", user) == (403, "not_permitted")
    assert await result(ruled, "/admin/x", member) == (200, "2")
    assert await result(ruled, "/admin", named) == (200, "7")
    assert await result(ruled, "/v1/x", Authorization="Basic x") == (401, "authorization_malformed")
    assert await result(ruled, "/elsewhere", user) == (403, "no_rule")
    assert await result(ruled, "/files/a%2fb", user) == (200, "1")
    assert await result(ruled, "//admin/x", member) == (403, "path_ambiguous")
    assert await result(ruled, "/net/abc", X__Forwarded__For="10.1.2.3") == (200, "")
    assert await result(ruled, "/net/abc", X__Forwarded__For="192.0.2.1") == (403, "no_rule")
    assert await result(ruled, "/public/x", Remote__User="7") == (
        403,
        "identity_header_from_client",
    )
    denied = next(event for event in ruled.events if event.reason == "not_permitted")
    assert (denied.sub, denied.detail) == (
        "1",
        "403 GET app.example.com/admin/x: 1 matched rules[1] (config.yml:3), "
        "needs group:team-a, user:client/shop:7, has no groups.",
    )


async def test_rule_accepts_only_its_credentials(ruled: RunningGateway) -> None:
    user = (await ruled.login(1))["access"]
    assert await result(ruled, "/calls/x", user) == (200, "1")
    assert await result(ruled, "/pages/x", user) == (401, "token_missing")
    assert await result(ruled, "/pages/x", Authorization="Basic x") == (401, "token_missing")


async def test_missing_target_header_is_reported_with_its_directive(ruled: RunningGateway) -> None:
    await ruled.check((await ruled.login(1))["access"])
    assert ruled.events[-1].detail == (
        "Denied: rules exist, but X-Original-URL is missing. In the auth location add: "
        "proxy_set_header X-Original-URL $authgw_scheme://$authgw_authority$request_uri;"
    )


async def test_refusal_for_clients_contains_the_request_id(ruled: RunningGateway) -> None:
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
        response = await ruled.client.get(path, headers=headers)
        assert response.status == 401
        identifier = response.headers["X-Request-ID"]
        assert await response.text() == f"401 not logged in (token_missing), request {identifier}\n"


async def test_preflight_is_allowed_without_token(ruled: RunningGateway) -> None:
    cors = {"Origin": "https://a.example", "Access__Control__Request__Method": "POST"}
    options = {"X__Original__Method": "OPTIONS"}
    assert await result(ruled, "/v1/x", **options, **cors) == (200, "")
    assert await result(ruled, "/v1/x", **options) == (403, "no_rule")
    assert await result(ruled, "/v1/x", **cors) == (401, "token_missing")
    cors["Access__Control__Request__Method"] = "DELETE"
    assert await result(ruled, "/v1/x", **options, **cors) == (403, "no_rule")


async def test_public_page_is_allowed_without_store(ruled: RunningGateway) -> None:
    user = (await ruled.login_elsewhere(1))["access"]
    await ruled.store.close()
    assert await result(ruled, "/public/x", user) == (200, "")
    assert await result(ruled, "/v1/x", user) == (503, "store_unavailable")
    assert await result(ruled, "/elsewhere", user) == (403, "no_rule")


async def test_direct_check_is_off_with_rules(
    ruled: RunningGateway, make_gateway: MakeGateway, tmp_path: Path
) -> None:
    response = await ruled.check((await ruled.login(1))["access"])
    assert response.status == 403
    assert response.headers["X-Authgw-Reason"] == "direct_check_off"
    enabled = await make_gateway(rules=compiled(tmp_path), auth={"direct_check": True})
    response = await enabled.check((await enabled.login(1))["access"])
    assert response.status == 200


@pytest.mark.parametrize("address", ["unknown", "", "10.1.1.1,", "010.1.1.1", "_hidden", "junk"])
async def test_malformed_address_matches_no_network(ruled: RunningGateway, address: str) -> None:
    assert await result(ruled, "/net/a", **{"X-Forwarded-For": "10.1.1.1:443"}) == (200, "")
    assert await result(ruled, "/net/a", **{"X-Forwarded-For": address}) == (403, "no_rule")
    assert ruled.events[-1].address == "unknown"


async def test_head_is_allowed_like_get(ruled: RunningGateway) -> None:
    user = (await ruled.login(1))["access"]
    head = {"X-Original-Method": "HEAD"}
    assert await result(ruled, "/v1/x", user, **head) == (200, "1")
    delete = {"X-Original-Method": "DELETE"}
    assert await result(ruled, "/v1/x", user, **delete) == (403, "no_rule")


@pytest.mark.parametrize(
    "path", ["/authenticate", "/authenticate/forward", "/authenticate/envoy/pages/x"]
)
async def test_return_target_is_https_if_the_login_page_is(
    make_gateway: MakeGateway, tmp_path: Path, path: str
) -> None:
    sent = {
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
    response = await running.client.get(path, headers=sent, allow_redirects=False)
    location = response.headers["Location"]
    assert location.endswith("rd=https%3A%2F%2Fapp.example.com%2Fpages%2Fx")
