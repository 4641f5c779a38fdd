"""Login, refresh, logout, revocation and the list of sessions, over HTTP."""

from typing import Any

import pytest

from tests.support.gateway import RunningGateway, basic

BAD_USER_IDS: list[Any] = [0, -1, 1.0, 1.5, True, None, "7", 2**63, 2**64, [1], {}]


async def code_of(response: Any) -> tuple[int, str]:
    assert response.headers["Content-Type"] == "application/problem+json"
    assert response.headers["Cache-Control"] == "no-store"
    body = await response.json()
    assert body["status"] == response.status
    assert body["code"] == response.headers["X-Authgw-Reason"]
    assert body["request_id"] == response.headers["X-Request-ID"]
    return response.status, body["code"]


async def test_login_check_refresh_and_logout(gateway: RunningGateway) -> None:
    response = await gateway.client.get("/ping")
    assert (response.status, await response.text()) == (200, "pong")
    pair = await gateway.login(1)
    assert pair["token_type"] == "Bearer"
    assert (pair["expires_in"], pair["refresh_expires_in"]) == (900, 3600)
    claims = await (await gateway.check(pair["access"])).json()
    assert {"user_id", "uid", "type", "iss", "exp", "nbf", "iat"} <= set(claims)
    assert (claims["user_id"], claims["type"], claims["sub"]) == (1, "access", "1")
    response = await gateway.post("/refresh", {"refresh": pair["refresh"]})
    assert response.status == 200
    new = await response.json()
    assert new["sid"] == pair["sid"]
    # The load test of the predecessor logs out with the access token from before the refresh.
    bearer = {"Authorization": f"Bearer {pair['access']}"}
    response = await gateway.post("/logout", headers=bearer)
    assert (response.status, await response.text()) == (200, "")
    assert await gateway.status(new["access"]) == 401
    names = [event.name for event in gateway.events]
    assert names == ["login", "allow", "logout", "deny"]
    assert {event.sid for event in gateway.events} == {pair["sid"]}


async def test_no_set_cookie_and_no_store(gateway: RunningGateway) -> None:
    response = await gateway.post("/login", {"user_id": 1}, headers=gateway.shop)
    assert "Set-Cookie" not in response.headers
    assert response.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("number", [1, 2**53 + 1, 2**63 - 1])
async def test_user_ids_are_exact(gateway: RunningGateway, number: int) -> None:
    pair = await gateway.login(number)
    claims = await (await gateway.check(pair["access"])).json()
    assert claims["user_id"] == number


@pytest.mark.parametrize("value", BAD_USER_IDS)
async def test_invalid_user_ids_are_refused(gateway: RunningGateway, value: Any) -> None:
    answer = await gateway.post("/login", {"user_id": value}, headers=gateway.shop)
    assert await code_of(answer) == (400, "body_malformed")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b'"x"',
        b"{}",
        b'{"user_id": 1} x',
        b'{"user_id": 1, "user_id": 2}',
        b'{"user_id": NaN}',
        b'{"user_id": 1e3}',
        b'{"user_id": 1' + b"0" * 5000 + b"}",
        b'{"user_id": 1, "who": 2}',
        b'{"user_id": 1, "subject": "a"}',
        b'{"subject": ""}',
        b'{"subject": " a"}',
        b'{"subject": "a\\n"}',
        b'{"subject": "a\\u0000b"}',
        b'{"subject": "\\ud800"}',
        b'{"subject": "\xff"}',
        b'{"subject": 7}',
        b'{"subject": "' + b"a" * 256 + b'"}',
        b'{"user_id": 1, "groups": "users"}',
        b'{"user_id": 1, "groups": ["a,b"]}',
        b'{"user_id": 1, "groups": [1]}',
        b'{"user_id": 1, "email": "a\\r\\nX: y"}',
        b'{"user_id": 1, "name": 1}',
        b"[" * 10000,
    ],
)
async def test_malformed_bodies(gateway: RunningGateway, body: bytes) -> None:
    headers = {"Content-Type": "application/json", **gateway.shop}
    response = await gateway.client.post("/login", data=body, headers=headers)
    assert await code_of(response) == (400, "body_malformed")


async def test_too_many_groups(gateway: RunningGateway) -> None:
    groups = [f"team-{number:058}" for number in range(80)]
    response = await gateway.post("/login", {"user_id": 1, "groups": groups}, headers=gateway.shop)
    assert await code_of(response) == (400, "body_malformed")


async def test_too_large_and_unsupported_bodies(gateway: RunningGateway) -> None:
    for path in ("/login", "/refresh", "/logout", "/revoke"):
        big = await gateway.client.post(
            path,
            data=b'{"a": "' + b"x" * 20000 + b'"}',
            headers={
                "Content-Type": "application/json",
                **(gateway.shop if path in ("/login", "/revoke") else {}),
            },
        )
        assert await code_of(big) == (413, "body_too_large")
    for headers in (
        {"Content-Type": "text/plain"},
        {"Content-Type": "application/x-www-form-urlencoded"},
        {"Content-Type": "application/json", "Content-Encoding": "gzip"},
    ):
        response = await gateway.client.post("/refresh", data=b"x", headers=headers)
        assert response.status in (400, 415)


async def chunks() -> Any:
    for _ in range(40):
        yield b" " * 1000


async def test_a_chunked_body_is_limited(gateway: RunningGateway) -> None:
    headers = {"Content-Type": "application/json"}
    response = await gateway.client.post("/refresh", data=chunks(), headers=headers)
    assert await code_of(response) == (413, "body_too_large")


async def test_wrong_methods_and_paths(gateway: RunningGateway) -> None:
    for path, allowed in (
        ("/login", "GET,HEAD,POST"),
        ("/ping", "GET,HEAD"),
        ("/authenticate", "GET,HEAD"),
    ):
        response = await gateway.client.put(path)
        assert await code_of(response) == (405, "method_not_allowed")
        assert response.headers["Allow"] == allowed
    assert await code_of(await gateway.client.get("/nowhere")) == (404, "not_found")


@pytest.mark.parametrize(
    "header",
    [None, "Basic", "Basic !!!", "Basic bm9jb2xvbg==", "Basic /w==", "Bearer x", "basic c2hvcDp4"],
)
async def test_backends_must_authenticate(gateway: RunningGateway, header: str | None) -> None:
    headers = {"Authorization": header} if header else {}
    response = await gateway.post("/login", {"user_id": 1}, headers=headers)
    assert await code_of(response) == (401, "client_unknown")
    assert response.headers["WWW-Authenticate"].startswith("Basic ")


async def test_wrong_secrets_are_limited_and_the_right_secret_is_accepted(
    gateway: RunningGateway,
) -> None:
    wrong = basic("shop", "wrong")
    for _ in range(10):
        response = await gateway.post("/login", {"user_id": 1}, headers=wrong)
        assert response.status == 401
    response = await gateway.post("/login", {"user_id": 1}, headers=wrong)
    assert await code_of(response) == (429, "too_many_failures")
    assert 0 < int(response.headers["Retry-After"]) <= 60
    await gateway.login(1)


async def test_rights_of_a_backend(gateway: RunningGateway) -> None:
    for body in ({"user_id": 1}, {"subject": "b-1", "groups": ["users"]}):
        response = await gateway.post("/login", body, headers=gateway.blog)
        assert await code_of(response) == (403, "client_forbidden")
    response = await gateway.post(
        "/login", {"user_id": 1, "groups": ["admins"]}, headers=gateway.shop
    )
    assert await code_of(response) == (403, "client_forbidden")
    assert (await gateway.post("/login", {"subject": "b-1"}, headers=gateway.blog)).status == 200


async def test_a_backend_lists_and_ends_only_its_own_sessions(gateway: RunningGateway) -> None:
    pair = await (await gateway.post("/login", {"subject": "b-1"}, headers=gateway.shop)).json()
    listed = await gateway.client.get("/sessions?subject=b-1", headers=gateway.blog)
    assert await listed.json() == {"sessions": []}
    for body in ({"subject": "b-1"}, {"sid": pair["sid"]}, {"sid": "x"}):
        response = await gateway.post("/revoke", body, headers=gateway.blog)
        assert await response.json() == {"revoked": []}
    assert await gateway.status(pair["access"]) == 200
    listed = await gateway.client.get("/sessions?subject=b-1", headers=gateway.shop)
    assert [session["sid"] for session in (await listed.json())["sessions"]] == [pair["sid"]]
    answer = await gateway.post("/revoke", {"sid": pair["sid"]}, headers=gateway.shop)
    assert await answer.json() == {"revoked": [pair["sid"]]}
    assert await gateway.status(pair["access"]) == 401


async def test_revoke_by_user_id(gateway: RunningGateway) -> None:
    pairs = [await gateway.login(7) for _ in range(2)]
    other = await gateway.login(8)
    listed = await gateway.client.get("/sessions?user_id=7", headers=gateway.shop)
    assert len((await listed.json())["sessions"]) == 2
    response = await gateway.post("/revoke", {"user_id": 7}, headers=gateway.shop)
    assert set((await response.json())["revoked"]) == {pair["sid"] for pair in pairs}
    assert [await gateway.status(pair["access"]) for pair in [*pairs, other]] == [401, 401, 200]


@pytest.mark.parametrize(
    "query",
    [
        "",
        "?user_id=+1",
        "?user_id=1_0",
        "?user_id=1&user_id=2",
        "?user_id=0",
        "?sid=x",
        "?user_id=1&subject=2",
    ],
)
async def test_malformed_queries(gateway: RunningGateway, query: str) -> None:
    response = await gateway.client.get(f"/sessions{query}", headers=gateway.shop)
    assert await code_of(response) == (400, "body_malformed")


async def test_malformed_revocations(gateway: RunningGateway) -> None:
    for body in ({}, {"sid": ""}, {"sid": "x", "user_id": 1}, {"sid": 1}):
        response = await gateway.post("/revoke", body, headers=gateway.shop)
        assert await code_of(response) == (400, "body_malformed")


async def test_reuse_of_a_refresh_token_ends_the_session(gateway: RunningGateway) -> None:
    pair = await gateway.login()
    second = await (await gateway.post("/refresh", {"refresh": pair["refresh"]})).json()
    await gateway.post("/refresh", {"refresh": second["refresh"]})
    response = await gateway.post("/refresh", {"refresh": pair["refresh"]})
    assert await code_of(response) == (401, "refresh_reused")
    assert await gateway.status(second["access"]) == 401
    (event,) = [event for event in gateway.events if event.name == "refresh_reuse"]
    assert (event.sid, event.sub) == (pair["sid"], "1")


async def test_a_token_of_the_wrong_type_is_refused(gateway: RunningGateway) -> None:
    pair = await gateway.login()
    response = await gateway.post("/refresh", {"refresh": pair["access"]})
    assert await code_of(response) == (401, "token_wrong_type")
    assert await code_of(await gateway.check(pair["refresh"])) == (401, "token_wrong_type")
    for body in ({}, {"refresh": 1}, {"refresh": None}):
        assert (await code_of(await gateway.post("/refresh", body)))[0] == 400


async def test_logout_everywhere_and_by_refresh_token(gateway: RunningGateway) -> None:
    first, second, third = [await gateway.login() for _ in range(3)]
    answer = await gateway.post("/logout", {"refresh": first["refresh"]})
    assert answer.status == 200
    assert [await gateway.status(pair["access"]) for pair in (first, second)] == [401, 200]
    bearer = {"Authorization": f"Bearer {second['access']}"}
    response = await gateway.post("/logout", {"all": True}, headers=bearer)
    assert response.status == 200
    assert await gateway.status(third["access"]) == 401
    # A session that has ended is accepted.
    assert (await gateway.post("/logout", headers=bearer)).status == 200


async def test_malformed_logouts(gateway: RunningGateway) -> None:
    pair = await gateway.login()
    bearer = {"Authorization": f"Bearer {pair['access']}"}
    response = await gateway.post("/logout", {"refresh": pair["refresh"]}, headers=bearer)
    assert await code_of(response) == (400, "credentials_conflict")
    response = await gateway.post("/logout", {"all": "yes"}, headers=bearer)
    assert await code_of(response) == (400, "body_malformed")
    assert await code_of(await gateway.post("/logout")) == (401, "token_missing")
    assert await gateway.status(pair["access"]) == 200


async def test_open_login_accepts_only_integers(opened: RunningGateway) -> None:
    answer = await opened.post("/login", {"user_id": 1})
    assert answer.status == 200
    for body in ({"subject": "a"}, {"user_id": 1, "groups": ["a"]}, {"user_id": 1, "email": "e"}):
        response = await opened.post("/login", body)
        assert await code_of(response) == (400, "body_malformed")
    wrong = basic("shop", "wrong")
    assert (await opened.post("/login", {"user_id": 1}, headers=wrong)).status == 401


async def test_an_unavailable_store_is_a_503(gateway: RunningGateway) -> None:
    pair = await gateway.login_elsewhere()
    await gateway.store.close()
    for response in (
        await gateway.check(pair["access"]),
        await gateway.post("/refresh", {"refresh": pair["refresh"]}),
        await gateway.post("/login", {"user_id": 1}, headers=gateway.shop),
        await gateway.post("/logout", {"refresh": pair["refresh"]}),
    ):
        assert await code_of(response) == (503, "store_unavailable")
        assert response.headers["Retry-After"] == "1"


async def test_an_unexpected_error_is_a_500_without_details(
    gateway: RunningGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: Any) -> Any:
        raise LookupError("a secret")

    monkeypatch.setattr(gateway.store, "add", broken)
    response = await gateway.post("/login", {"user_id": 1}, headers=gateway.shop)
    assert await code_of(response) == (500, "internal_error")
    assert "secret" not in await response.text()
    assert "LookupError at test_tokens.py" in gateway.events[-1].detail
    assert "a secret" not in gateway.events[-1].detail


async def test_tokens_also_have_the_names_of_rfc_6749(gateway: RunningGateway) -> None:
    pair = await gateway.login(1)
    assert (pair["access_token"], pair["refresh_token"]) == (pair["access"], pair["refresh"])
    response = await gateway.post("/refresh", {"refresh_token": pair["refresh"]})
    new = await response.json()
    assert (new["access_token"], new["refresh_token"]) == (new["access"], new["refresh"])
    both = {"refresh": new["refresh"], "refresh_token": new["refresh"]}
    newest = await (await gateway.post("/refresh", both)).json()
    response = await gateway.post("/logout", {"refresh_token": newest["refresh"]})
    assert response.status == 200
    assert await gateway.status(newest["access"]) == 401


@pytest.mark.parametrize("path", ["/refresh", "/logout"])
async def test_different_tokens_under_both_names_are_refused(
    gateway: RunningGateway, path: str
) -> None:
    pair, other = await gateway.login(1), await gateway.login(1)
    for body in (
        {"refresh": pair["refresh"], "refresh_token": other["refresh"]},
        {"refresh": pair["refresh"], "refresh_token": 7},
        {"refresh": None, "refresh_token": pair["refresh"]},
    ):
        answer = await gateway.post(path, body)
        assert await code_of(answer) == (400, "body_malformed")
    assert {await gateway.status(pair["access"]) for pair in (pair, other)} == {200}


async def test_a_header_and_a_refresh_token_are_refused(gateway: RunningGateway) -> None:
    pair = await gateway.login(1)
    bearer = {"Authorization": f"Bearer {pair['access']}"}
    response = await gateway.post("/logout", {"refresh_token": pair["refresh"]}, headers=bearer)
    assert await code_of(response) == (400, "credentials_conflict")


@pytest.mark.parametrize(
    ("headers", "start", "status"),
    [
        ({}, b"", 200),
        ({"Content-Type": ""}, b"", 200),
        ({"Content-Type": "application/json; charset=utf-8"}, b"", 200),
        ({"Content-Type": "application/JSON"}, b"", 200),
        ({"Content-Type": "text/json"}, b"", 200),
        ({"Content-Type": "application/json"}, b"\xef\xbb\xbf", 200),
        ({}, b"\xef\xbb\xbf", 200),
        ({"Content-Type": "text/plain"}, b"", 415),
        ({"Content-Type": "application/octet-stream"}, b"", 415),
        ({"Content-Type": "application/x-www-form-urlencoded"}, b"", 415),
        ({"Content-Encoding": "gzip"}, b"", 415),
        # Headers that another site can cause a browser to send.
        ({"Origin": "https://evil.example"}, b"", 415),
        ({"Sec-Fetch-Site": "cross-site"}, b"", 415),
    ],
)
async def test_content_types_of_bodies(
    gateway: RunningGateway, headers: dict[str, str], start: bytes, status: int
) -> None:
    skip = () if "Content-Type" in headers else ("Content-Type",)
    sent = {**gateway.shop, **headers}
    body = start + b'{"user_id": 1}'
    response = await gateway.client.post("/login", data=body, headers=sent, skip_auto_headers=skip)
    assert response.status == status, await response.text()


@pytest.mark.parametrize(
    ("headers", "status"), [({}, 200), ({"Content-Type": "application/json"}, 400)]
)
async def test_logout_by_header_with_a_body_that_is_not_json(
    gateway: RunningGateway, headers: dict[str, str], status: int
) -> None:
    pair = await gateway.login(1)
    sent = {"Authorization": f"Bearer {pair['access']}", **headers}
    skip = () if headers else ("Content-Type",)
    response = await gateway.client.post(
        "/logout", data=b"garbage", headers=sent, skip_auto_headers=skip
    )
    assert response.status == status
    assert await gateway.status(pair["access"]) == (401 if status == 200 else 200)


async def test_logout_with_a_body_that_is_not_json_ends_no_session(gateway: RunningGateway) -> None:
    response = await gateway.client.post(
        "/logout", data=b"garbage", skip_auto_headers=("Content-Type",)
    )
    assert await code_of(response) == (400, "body_malformed")
