"""App passwords by Basic and Bearer, and malformed Basic credentials."""

from aiohttp import encode_basic_auth
from multidict import CIMultiDict

from authgw.identity import users_editor
from tests.support.gateway import PASSWORD
from tests.support.login_scene import APP, Jar, reload_users


async def test_app_password_is_accepted_only_by_rules_that_name_it(jar: Jar) -> None:
    file = jar.running.users.path
    secret = users_editor.add_app_password(file, "bob", "laptop", paths=("/dav/**",))
    await reload_users(jar.running)
    url = "https://dav.example.com/dav/calendar"

    async def reason(target: str, authorization: str) -> str:
        jar.cookies = {}
        response = await jar.check(target, Authorization=authorization)
        return response.headers.get("X-Authgw-Reason", response.headers.get("Remote-User", ""))

    assert await reason(url, encode_basic_auth("bob", secret)) == "bob"
    assert await reason(url, f"Bearer {secret}") == "bob"
    assert await reason(url, encode_basic_auth("alice", secret)) == "app_password_refused"
    assert await reason(url, encode_basic_auth("bob", PASSWORD)) == "app_password_refused"
    assert await reason(url, f"Bearer {secret}x") == "app_password_refused"
    elsewhere = "https://dav.example.com/other"
    assert await reason(elsewhere, encode_basic_auth("bob", secret)) == "app_password_refused"
    around = "https://dav.example.com/dav/..%2fother"
    assert await reason(around, encode_basic_auth("bob", secret)) == "app_password_refused"
    assert await reason(APP, encode_basic_auth("bob", secret)) == "authorization_malformed"
    assert await reason(APP, f"Bearer {secret}") == "token_malformed"
    challenge = (await jar.check(url)).headers["WWW-Authenticate"]
    assert challenge.startswith('Basic realm="authgw"')
    users_editor.set_disabled(file, "bob", True)
    await reload_users(jar.running)
    assert await reason(url, encode_basic_auth("bob", secret)) == "app_password_refused"
    users_editor.set_disabled(file, "bob", False)
    users_editor.remove_app_password(file, "bob", "laptop")
    await reload_users(jar.running)
    assert await reason(url, encode_basic_auth("bob", secret)) == "app_password_refused"


async def test_malformed_or_duplicated_basic_credentials_are_refused(jar: Jar) -> None:
    target = {
        "X-Original-URL": "https://dav.example.com/dav/x",
        "X-Original-Host": "dav.example.com",
        "X-Original-Method": "GET",
    }
    headers = CIMultiDict(target)
    headers.add("Authorization", encode_basic_auth("bob", "x"))
    headers.add("Authorization", encode_basic_auth("bob", "y"))
    response = await jar.running.client.get("/authenticate", headers=headers)
    assert response.headers["X-Authgw-Reason"] == "authorization_malformed"
    response = await jar.check(target["X-Original-URL"], Authorization="Basic !")
    assert response.headers["X-Authgw-Reason"] == "authorization_malformed"
    response = await jar.check(target["X-Original-URL"], Authorization="Basic Ym9i")
    assert response.headers["X-Authgw-Reason"] == "authorization_malformed"


async def test_app_password_covers_destination_of_move_and_copy(jar: Jar) -> None:
    secret = users_editor.add_app_password(
        jar.running.users.path, "bob", "laptop", paths=("/dav/alice/**",)
    )
    await reload_users(jar.running)
    credentials = {"Authorization": encode_basic_auth("bob", secret)}

    async def result(method: str, **headers: str) -> str:
        jar.cookies = {}
        sent = {"X-Original-Method": method, **headers, **credentials}
        response = await jar.check("https://dav.example.com/dav/alice/x", **sent)
        return response.headers.get("X-Authgw-Reason", response.headers.get("Remote-User", ""))

    there = "https://dav.example.com/dav"
    for method in ("MOVE", "COPY"):
        assert await result(method, Destination=f"{there}/alice/y") == "bob"
        assert await result(method, Destination=f"{there}/bob/y") == "app_password_refused"
        assert await result(method, Destination=f"{there}/alice/../y") == "app_password_refused"
        assert await result(method, Destination="https://evil.example/y") == "destination_denied"
        assert await result(method) == "destination_denied"
    overriding = {"X-HTTP-Method-Override": "MOVE", "Destination": f"{there}/bob/y"}
    assert await result("POST", **overriding) == "app_password_refused"
