"""Forged identities, paths, hosts and forwarding headers, through each proxy."""

import json
import posixpath
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

from tests.support.nginx import SPELLINGS
from tests.support.processes import HttpResponse
from tests.support.proxies import (
    HOST,
    IDENTITY,
    Proxied,
    only_as,
    told,
)

RECORDED = json.loads((Path(__file__).parents[1] / "data" / "recorded.json").read_text())


def resolved(path: str) -> str:
    """Return the path that a lenient upstream would use."""
    path = path.partition("?")[0].partition("#")[0]
    for _ in range(4):
        path = unquote(path)
    path = path.replace("\\", "/").replace("\x00", "")
    path = "/".join(segment.partition(";")[0] for segment in path.split("/"))
    return "/" + posixpath.normpath(path).lstrip("/").lower()


def is_admin(path: str) -> bool:
    return resolved(path) == "/admin" or resolved(path).startswith("/admin/")


@pytest.mark.parametrize("name", SPELLINGS)
def test_spoofed_identity_never_arrives(proxied: Proxied, name: str) -> None:
    token = proxied.login(3, "users")
    for path in ("/", "/public/x"):
        for sent in ([(name, "root")], [(name, "root"), ("Connection", name)], [(name, "")]):
            for known_token in (token, ""):
                answer = proxied.send(path, *sent, token=known_token)
                assert b"root" not in answer.body
                if answer.status == 200:
                    # A public page does not wait long for the identity.
                    nobody = not known_token or (
                        path != "/" and ("remote-user", "3") not in told(answer)
                    )
                    only_as(answer, *(("", "") if nobody else ("3", "users")))
                else:
                    assert answer.status in (400, 401, 403)


@pytest.mark.parametrize("name", [*IDENTITY, "Remote-User, Remote-Groups"])
def test_connection_cannot_drop_the_identity(proxied: Proxied, name: str) -> None:
    answer = proxied.send("/", ("Connection", name), token=proxied.login(3, "users"))
    assert answer.status in (200, 400, 403)
    if answer.status == 200:
        only_as(answer, "3")
        # If the app is a proxy, it must not be told to drop the identity either.
        assert not [
            value for name, value in told(answer) if name == "connection" and "emote" in value
        ]


@pytest.mark.parametrize("recorded", RECORDED["requests"], ids=lambda one: one["name"])
def test_recorded_requests(proxied: Proxied, recorded: dict[str, Any]) -> None:
    sizes = {"cookie_8k": 8192, "cookie_20k": 20480}
    headers, path = [], recorded["path"]
    for name, value in recorded["headers"]:
        if name in ("Connection", "Content-Length", "Transfer-Encoding", "Expect"):
            continue
        if recorded["name"] in sizes and name == "Cookie":
            value = "a=" + "x" * (sizes[recorded["name"]] - 2)
        headers.append((name, value.replace("app.example.com", HOST)))
    if recorded["name"] == "long_url_10k":
        path = "/a?q=" + "z" * 10240
    body = b"x" * recorded["body"]
    path = path.replace("app.example.com", HOST)

    def send(token: str = "") -> HttpResponse:
        return proxied.send(
            path,
            *headers,
            body=body,
            token=token,
            method=recorded["method"],
            version=recorded["version"],
            host=None,
        )

    anonymous = send()
    assert not 200 <= anonymous.status < 300
    known_token = send(proxied.login(3, "users"))
    assert known_token.status != 500
    if known_token.status == 200 and recorded["method"] != "HEAD":
        assert not is_admin(known_token.json()["path"])
        only_as(known_token, "3")


@pytest.mark.parametrize(
    "path",
    [
        *("//admin", "/a/../admin", "/a%2f..%2fadmin", "/%2561dmin", "/admin;x", "/admin%00"),
        *("/public/../admin", "/public/%2e%2e/admin", "/public/..%2fadmin", "/public//../admin"),
        *(
            "/public/..;/admin",
            "/public/%2e%2e%2fadmin",
            "/public\\..\\admin",
            "/ADMIN",
            "/./admin",
        ),
        *("/public/#/../../admin", "/a#/../admin", "/admin#", "/%61dmin", "/admin/.", "/admin?x"),
    ],
)
def test_no_spelling_reaches_what_is_not_allowed(proxied: Proxied, path: str) -> None:
    for token in (proxied.login(3, "users"), ""):
        answer = proxied.send(path, token=token)
        assert answer.status not in (0, 500)
        if answer.status == 200:
            assert not is_admin(answer.json()["path"])


def test_client_headers_about_the_request_are_ignored(proxied: Proxied) -> None:
    forged = [
        ("X-Forwarded-Uri", "/public/x"),
        ("X-Forwarded-Method", "OPTIONS"),
        ("X-Forwarded-Host", "other.test"),
        ("X-Forwarded-Proto", "https"),
        ("X-Forwarded-For", "10.1.2.3"),
        ("X-Real-IP", "10.1.2.3"),
        ("X-Original-URL", f"http://{HOST}/public/x"),
        ("X-Original-Method", "OPTIONS"),
        ("X-Original-Host", HOST),
        ("X-Rewrite-URL", "/public/x"),
        ("X-HTTP-Method-Override", "OPTIONS"),
    ]
    user = proxied.login(3, "users")
    for some in [*([lie] for lie in forged), forged]:
        assert proxied.send("/page", *some).status in (401, 403), some
        assert proxied.send("/admin/x", *some, token=user).status == 403, some
        assert proxied.send("/net/x", *some).status in (401, 403), some
        assert proxied.send("/page", *some, token=user).status in (200, 403), some


def test_another_host_in_the_request_line(proxied: Proxied) -> None:
    user = proxied.login(3, "users")
    for path, host in [
        ("http://evil.example/public/x", HOST),
        (f"http://{HOST}/admin/x", "evil.example"),
        (f"http://{HOST}/admin/x", HOST),
        ("/page", "evil.example"),
        ("/page", f"{HOST}, evil.example"),
    ]:
        answer = proxied.send(path, token=user, host=host)
        assert not 200 <= answer.status < 300, (path, host)
    assert proxied.send("/page", ("Host", "evil.example"), token=user).status not in (200, 500)
