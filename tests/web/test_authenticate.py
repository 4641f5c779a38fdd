"""Subrequests and direct checks at `/authenticate`, operators' pages, unparsable requests."""

import asyncio
import contextlib
import logging

import pytest

from tests.support.gateway import ORIGINAL, RunningGateway


async def test_subrequest_returns_identity_without_body(gateway: RunningGateway) -> None:
    pair = await gateway.login(5, groups=["users", "team-a"], email="zoë@example.com", name="Zoë")
    response = await gateway.check(pair["access"], **ORIGINAL)
    assert (response.status, await response.read()) == (200, b"")
    assert response.headers["Remote-User"] == "5"
    assert response.headers["Remote-Groups"] == "users,team-a"
    assert response.headers["Remote-Email"] == "zoë@example.com"
    assert response.headers["Remote-Name"] == "Zoë"
    assert response.headers["Cache-Control"] == "no-store"


async def test_decisions_are_recorded_without_query(gateway: RunningGateway) -> None:
    pair = await gateway.login()
    await gateway.check(pair["access"], **ORIGINAL)
    await gateway.client.get("/authenticate", headers=ORIGINAL)
    allowed, denied = gateway.events[-2:]
    assert (allowed.name, allowed.sub, allowed.sid) == ("allow", "1", pair["sid"])
    assert allowed.detail == "GET app.example.com/a"
    assert (denied.name, denied.reason) == ("deny", "token_missing")
    assert denied.detail == "401 GET app.example.com/a: no access token was sent"


async def test_empty_claims_are_sent_as_empty_headers(gateway: RunningGateway) -> None:
    response = await gateway.check((await gateway.login())["access"], **ORIGINAL)
    empty = ("Remote-Groups", "Remote-Email", "Remote-Name")
    assert [response.headers[name] for name in empty] == ["", "", ""]


@pytest.mark.parametrize(
    ("headers", "status", "reason"),
    [
        ({}, 401, "token_missing"),
        ({"Authorization": "Bearer x"}, 401, "token_malformed"),
        ({"Authorization": "Basic eDp5"}, 401, "authorization_malformed"),
        ({"Authorization": "Bearer"}, 401, "authorization_malformed"),
        ({"Authorization": ""}, 401, "authorization_malformed"),
        ({"Remote-User": "admin"}, 403, "identity_header_from_client"),
        ({"remote_user": "admin"}, 403, "identity_header_from_client"),
        ({"Remote.User": "admin"}, 403, "identity_header_from_client"),
        ({"X-Original-Host": "other.example.com"}, 403, "host_conflict"),
        ({"X-Original-URL": ""}, 403, "target_missing"),
        ({"X-Original-Method": "get"}, 403, "target_malformed"),
    ],
)
async def test_refused_subrequests(
    gateway: RunningGateway, headers: dict[str, str], status: int, reason: str
) -> None:
    response = await gateway.client.get("/authenticate", headers={**ORIGINAL, **headers})
    assert (response.status, await response.read()) == (status, b"")
    assert response.headers["X-Authgw-Reason"] == reason
    assert response.headers["X-Request-ID"]
    assert ("WWW-Authenticate" in response.headers) == (status == 401)
    assert gateway.events[-1].reason == reason


async def test_direct_check_refuses_identity_headers(gateway: RunningGateway) -> None:
    pair = await gateway.login()
    response = await gateway.check(pair["access"], **{"Remote-User": "admin"})
    assert response.status == 403
    response = await gateway.check(pair["access"])
    assert response.headers["Remote-User"] == "1"


@pytest.mark.parametrize("name", ["X-Original-URL", "X-Original-Host", "X-Forwarded-Uri"])
async def test_untrusted_peer_is_named_in_the_event(distrustful: RunningGateway, name: str) -> None:
    pair = await distrustful.login()
    response = await distrustful.check(pair["access"], **{name: "https://app.example.com/"})
    assert response.status == 403
    assert response.headers["X-Authgw-Reason"] == "untrusted_proxy"
    assert distrustful.events[-1].detail == (
        f"Ignored {name} from 127.0.0.1: not in server.trusted_proxies. "
        "If this is your proxy, add 127.0.0.1/32."
    )
    assert (await distrustful.check(pair["access"])).status == 200


async def test_only_valid_request_ids_of_trusted_proxies_are_used(
    gateway: RunningGateway, distrustful: RunningGateway
) -> None:
    trusted_id = {"X-Request-ID": "abc-1"}
    response = await gateway.client.get("/authenticate", headers=trusted_id)
    assert response.headers["X-Request-ID"] == "abc-1"
    response = await gateway.client.get("/authenticate", headers={"X-Request-ID": "a b"})
    assert response.headers["X-Request-ID"] != "a b"
    response = await distrustful.client.get("/authenticate", headers=trusted_id)
    assert response.headers["X-Request-ID"] != "abc-1"


async def test_unavailable_store_gives_503(gateway: RunningGateway) -> None:
    pair = await gateway.login_elsewhere()
    await gateway.store.close()
    response = await gateway.check(pair["access"], **ORIGINAL)
    assert (response.status, await response.read()) == (503, b"")


async def test_health_and_key_endpoints(gateway: RunningGateway) -> None:
    for path, text in (("/healthz", "ok"), ("/readyz", "ready")):
        response = await gateway.client.get(path)
        assert (response.status, await response.text()) == (200, text)
    response = await gateway.client.get("/.well-known/jwks.json")
    (key,) = (await response.json())["keys"]
    assert (key["kid"], key["kty"]) == ("a1", "EC")
    assert not {"d", "p", "q", "k"} & set(key)


@pytest.mark.parametrize(
    "sent",
    [
        b"GET /authenticate HTTP/1.1\r\nHost: x\r\nhush hush\r\n\r\n",
        b"hush\r\n\r\n",
        b"GET /hush\x00 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nAuthorization: hush\x01\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nX: hush" + b"x" * 1_000_000 + b"\r\n\r\n",
        b"GET /" + b"hush" * 20000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"POST /login HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n"
        b"Transfer-Encoding: chunked\r\n\r\nhush",
        b"POST /login HTTP/1.1\r\nHost: x\r\nContent-Length: hush\r\n\r\n",
    ],
)
async def test_unparsable_request_is_neither_echoed_nor_logged(
    gateway: RunningGateway, sent: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    server = gateway.client.server
    reader, writer = await asyncio.open_connection(server.host, server.port)
    writer.write(sent)
    response = b""
    with contextlib.suppress(ConnectionResetError):
        response = await asyncio.wait_for(reader.read(), 5)
    writer.close()
    # The unread rest of a megabyte may reset the connection before the response is read.
    assert response.startswith((b"HTTP/1.0 400 ", b"HTTP/1.1 400 ")) or len(sent) > 1_000_000
    assert b"hush" not in response
    assert "hush" not in caplog.text


async def test_response_replaces_cookies_for_proxies_that_cannot_remove_ours(
    gateway: RunningGateway,
) -> None:
    bearer = {"Authorization": f"Bearer {(await gateway.login())['access']}"}
    sent = {**bearer, "Cookie": "a=1; __Host-authgw=x; b=é"}
    forwarded = {"X-Forwarded-Proto": "https", "X-Forwarded-Host": "app.example.com"}
    forwarded |= {"X-Forwarded-Method": "GET", "X-Forwarded-Uri": "/a"}
    for path, target in (("/authenticate/forward", forwarded), ("/authenticate/envoy/a", {})):
        response = await gateway.client.get(path, headers={**sent, **target})
        assert (response.status, response.headers["Cookie"]) == (200, "a=1; b=é")
        response = await gateway.client.get(path, headers={**bearer, **target})
        assert "Cookie" not in response.headers
        response = await gateway.client.get(path, headers={"Cookie": "a=1", **target})
        assert response.status == 401
        assert "Cookie" not in response.headers
    response = await gateway.client.get("/authenticate", headers={**sent, **ORIGINAL})
    assert response.status == 200
    assert "Cookie" not in response.headers


async def test_the_first_check_after_a_login_reads_nothing(
    gateway: RunningGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    pair = await gateway.login()
    monkeypatch.delattr(type(gateway.store), "read_many")
    assert await gateway.status(pair["access"]) == 200
    refreshed = await gateway.post("/refresh", {"refresh": pair["refresh"]})
    assert await gateway.status((await refreshed.json())["access"]) == 200
