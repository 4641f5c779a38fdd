"""App passwords, and credentials of HTTP Basic that are none."""

from aiohttp import encode_basic_auth
from multidict import CIMultiDict

from authgw.identity import users_editor
from tests.support.gateway import PASSWORD
from tests.support.login_scene import APP, Jar, reload_users


async def test_app_passwords_count_where_a_rule_names_them(jar: Jar) -> None:
    file = jar.running.users.path
    secret = users_editor.add_app_password(file, "bob", "laptop", paths=("/dav/**",))
    await reload_users(jar.running)
    url = "https://dav.example.com/dav/calendar"

    async def reason(target: str, authorization: str) -> str:
        jar.cookies = {}
        answer = await jar.check(target, Authorization=authorization)
        return answer.headers.get("X-Authgw-Reason", answer.headers.get("Remote-User", ""))

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


async def test_two_basic_credentials_are_none(jar: Jar) -> None:
    told = {
        "X-Original-URL": "https://dav.example.com/dav/x",
        "X-Original-Host": "dav.example.com",
        "X-Original-Method": "GET",
    }
    headers = CIMultiDict(told)
    headers.add("Authorization", encode_basic_auth("bob", "x"))
    headers.add("Authorization", encode_basic_auth("bob", "y"))
    answer = await jar.running.client.get("/authenticate", headers=headers)
    assert answer.headers["X-Authgw-Reason"] == "authorization_malformed"
    answer = await jar.check(told["X-Original-URL"], Authorization="Basic !")
    assert answer.headers["X-Authgw-Reason"] == "authorization_malformed"
    answer = await jar.check(told["X-Original-URL"], Authorization="Basic Ym9i")
    assert answer.headers["X-Authgw-Reason"] == "authorization_malformed"


async def test_an_app_password_moves_within_its_paths_only(jar: Jar) -> None:
    secret = users_editor.add_app_password(
        jar.running.users.path, "bob", "laptop", paths=("/dav/alice/**",)
    )
    await reload_users(jar.running)
    shown = {"Authorization": encode_basic_auth("bob", secret)}

    async def moved(method: str, **headers: str) -> str:
        jar.cookies = {}
        told = {"X-Original-Method": method, **headers, **shown}
        answer = await jar.check("https://dav.example.com/dav/alice/x", **told)
        return answer.headers.get("X-Authgw-Reason", answer.headers.get("Remote-User", ""))

    there = "https://dav.example.com/dav"
    for method in ("MOVE", "COPY"):
        assert await moved(method, Destination=f"{there}/alice/y") == "bob"
        assert await moved(method, Destination=f"{there}/bob/y") == "app_password_refused"
        assert await moved(method, Destination=f"{there}/alice/../y") == "app_password_refused"
        assert await moved(method, Destination="https://evil.example/y") == "destination_denied"
        assert await moved(method) == "destination_denied"
    overriding = {"X-HTTP-Method-Override": "MOVE", "Destination": f"{there}/bob/y"}
    assert await moved("POST", **overriding) == "app_password_refused"
