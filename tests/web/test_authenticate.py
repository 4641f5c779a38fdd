"""`/authenticate` in both ways, the operators' pages, and what the parser refuses."""

import asyncio
import contextlib
import logging

import pytest

from tests.support.gateway import ORIGINAL, RunningGateway


async def test_a_subrequest_is_answered_with_identity_and_no_body(gateway: RunningGateway) -> None:
    pair = await gateway.login(5, groups=["users", "team-a"], email="zoë@example.com", name="Zoë")
    answer = await gateway.check(pair["access"], **ORIGINAL)
    assert (answer.status, await answer.read()) == (200, b"")
    assert answer.headers["Remote-User"] == "5"
    assert answer.headers["Remote-Groups"] == "users,team-a"
    assert answer.headers["Remote-Email"] == "zoë@example.com"
    assert answer.headers["Remote-Name"] == "Zoë"
    assert answer.headers["Cache-Control"] == "no-store"


async def test_decisions_are_recorded_without_the_query(gateway: RunningGateway) -> None:
    pair = await gateway.login()
    await gateway.check(pair["access"], **ORIGINAL)
    await gateway.client.get("/authenticate", headers=ORIGINAL)
    allowed, denied = gateway.events[-2:]
    assert (allowed.name, allowed.sub, allowed.sid) == ("allow", "1", pair["sid"])
    assert allowed.detail == "GET app.example.com/a"
    assert (denied.name, denied.reason) == ("deny", "token_missing")
    assert denied.detail == "401 GET app.example.com/a: no access token was sent"


async def test_all_identity_headers_are_always_there(gateway: RunningGateway) -> None:
    answer = await gateway.check((await gateway.login())["access"], **ORIGINAL)
    empty = ("Remote-Groups", "Remote-Email", "Remote-Name")
    assert [answer.headers[name] for name in empty] == ["", "", ""]


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
    answer = await gateway.client.get("/authenticate", headers={**ORIGINAL, **headers})
    assert (answer.status, await answer.read()) == (status, b"")
    assert answer.headers["X-Authgw-Reason"] == reason
    assert answer.headers["X-Request-ID"]
    assert ("WWW-Authenticate" in answer.headers) == (status == 401)
    assert gateway.events[-1].reason == reason


async def test_a_direct_check_refuses_identity_headers_too(gateway: RunningGateway) -> None:
    pair = await gateway.login()
    answer = await gateway.check(pair["access"], **{"Remote-User": "admin"})
    assert answer.status == 403
    answer = await gateway.check(pair["access"])
    assert answer.headers["Remote-User"] == "1"


@pytest.mark.parametrize("name", ["X-Original-URL", "X-Original-Host", "X-Forwarded-Uri"])
async def test_an_untrusted_peer_is_named(distrustful: RunningGateway, name: str) -> None:
    pair = await distrustful.login()
    answer = await distrustful.check(pair["access"], **{name: "https://app.example.com/"})
    assert answer.status == 403
    assert answer.headers["X-Authgw-Reason"] == "untrusted_proxy"
    assert distrustful.events[-1].detail == (
        f"Ignored {name} from 127.0.0.1: not in server.trusted_proxies. "
        "If this is your proxy, add 127.0.0.1/32."
    )
    assert (await distrustful.check(pair["access"])).status == 200


async def test_request_ids_of_trusted_proxies_pass_through(
    gateway: RunningGateway, distrustful: RunningGateway
) -> None:
    given = {"X-Request-ID": "abc-1"}
    answer = await gateway.client.get("/authenticate", headers=given)
    assert answer.headers["X-Request-ID"] == "abc-1"
    answer = await gateway.client.get("/authenticate", headers={"X-Request-ID": "a b"})
    assert answer.headers["X-Request-ID"] != "a b"
    answer = await distrustful.client.get("/authenticate", headers=given)
    assert answer.headers["X-Request-ID"] != "abc-1"


async def test_a_dead_store_is_503_to_the_proxy(gateway: RunningGateway) -> None:
    pair = await gateway.login()
    await gateway.store.close()
    answer = await gateway.check(pair["access"], **ORIGINAL)
    assert (answer.status, await answer.read()) == (503, b"")


async def test_operators_pages(gateway: RunningGateway) -> None:
    for path, text in (("/healthz", "ok"), ("/readyz", "ready")):
        answer = await gateway.client.get(path)
        assert (answer.status, await answer.text()) == (200, text)
    answer = await gateway.client.get("/.well-known/jwks.json")
    (key,) = (await answer.json())["keys"]
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
async def test_what_the_parser_refuses_is_neither_echoed_nor_logged(
    gateway: RunningGateway, sent: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    server = gateway.client.server
    reader, writer = await asyncio.open_connection(server.host, server.port)
    writer.write(sent)
    answer = b""
    with contextlib.suppress(ConnectionResetError):
        answer = await asyncio.wait_for(reader.read(), 5)
    writer.close()
    # What it no longer reads of a megabyte may reset the connection under its answer.
    assert answer.startswith((b"HTTP/1.0 400 ", b"HTTP/1.1 400 ")) or len(sent) > 1_000_000
    assert b"hush" not in answer
    assert "hush" not in caplog.text


async def test_other_cookies_are_told_to_proxies_that_cannot_take_ours_out(
    gateway: RunningGateway,
) -> None:
    bearer = {"Authorization": f"Bearer {(await gateway.login())['access']}"}
    sent = {**bearer, "Cookie": "a=1; __Host-authgw=x; b=é"}
    forwarded = {"X-Forwarded-Proto": "https", "X-Forwarded-Host": "app.example.com"}
    forwarded |= {"X-Forwarded-Method": "GET", "X-Forwarded-Uri": "/a"}
    for path, told in (("/authenticate/forward", forwarded), ("/authenticate/envoy/a", {})):
        answer = await gateway.client.get(path, headers={**sent, **told})
        assert (answer.status, answer.headers["Cookie"]) == (200, "a=1; b=é")
        answer = await gateway.client.get(path, headers={**bearer, **told})
        assert "Cookie" not in answer.headers
        answer = await gateway.client.get(path, headers={"Cookie": "a=1", **told})
        assert answer.status == 401
        assert "Cookie" not in answer.headers
    answer = await gateway.client.get("/authenticate", headers={**sent, **ORIGINAL})
    assert answer.status == 200
    assert "Cookie" not in answer.headers
